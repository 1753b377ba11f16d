"""The overlays of k8s/, built: schemas of Kubernetes, and what keeps a cluster safe, elastic and alive."""

import json
import re
from functools import cache

import kubernetes_validate
import pytest
import yaml

from actors.captioner.native_replica import GENERATED_TOKENS
from orchestrator.monitoring.gauges import DESCRIPTIONS
from support.kustomize import (
    FOLDER,
    OPTIONAL,
    OVERLAYS,
    bytes_of,
    container,
    named,
    needs_kustomize,
    of_kind,
    other_pods,
    overlay,
    own_overlay,
    ray_cluster,
    ray_pods,
)
from support.paths import ROOT
from support.pod_security import violations

pytestmark = needs_kustomize
KUBERNETES = "1.31"
FOREIGN = {"RayJob", "RayCluster", "PodMonitor"}
PART_OF = "app.kubernetes.io/part-of"
COMPONENT = "app.kubernetes.io/component"


def as_pod(template: dict) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", **template.get("metadata", {})},
        "spec": template["spec"],
    }


@cache
def check_schema(text: str) -> None:
    """Overlays have most manifests in common: each is looked at once."""
    kubernetes_validate.validate(json.loads(text), KUBERNETES, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_manifest_and_pod_fits_the_schema_of_kubernetes(name):
    plain = [each for each in overlay(name) if each["kind"] not in FOREIGN]
    for content in [*plain, *map(as_pod, [*ray_pods(overlay(name)), *other_pods(overlay(name))])]:
        check_schema(json.dumps(content))


@pytest.mark.parametrize("component", OPTIONAL)
def test_a_component_that_no_overlay_has_fits_it_too(component, tmp_path):
    manifests = own_overlay(tmp_path, ["run", component, "image"], OPTIONAL[component])
    for content in manifests:
        if content["kind"] not in FOREIGN:
            check_schema(json.dumps(content))


def test_the_schema_is_seen_to_bite():
    broken = json.loads(json.dumps(as_pod(other_pods(overlay("cpu"))[0])))
    broken["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        check_schema(json.dumps(broken))


def test_the_overlays_are_those_that_are_promised():
    assert OVERLAYS == ["cluster", "cpu", "gpu", "kueue", "local", "postgres", "restricted"]


def test_no_overlay_copies_a_manifest():
    """An overlay names what it is made of; what it changes stands in a component once."""
    for name in OVERLAYS:
        assert {path.name for path in (FOLDER / "overlays" / name).iterdir()} <= {"kustomization.yaml", "run.yaml"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_namespace_that_is_restricted_admits_every_pod(name):
    for template in [*ray_pods(overlay(name)), *other_pods(overlay(name))]:
        assert violations(template["spec"]) == []
    autoscaler = ray_cluster(overlay(name)).get("autoscalerOptions")
    if autoscaler is not None:  # KubeRay puts it into the head's pod
        pod = ray_pods(overlay(name))[0]["spec"]
        side_car = {"name": "autoscaler", "securityContext": autoscaler["securityContext"]}
        assert violations(pod | {"containers": [side_car]}) == []


def test_the_rules_of_a_restricted_namespace_are_seen_to_bite():
    spec = json.loads(json.dumps(ray_pods(overlay("cpu"))[0]["spec"]))
    spec["containers"][0]["securityContext"]["capabilities"]["drop"] = []
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    del spec["securityContext"]["runAsNonRoot"]
    assert violations(spec) == ["volume host of kind hostPath", "ray-head: runAsNonRoot", "ray-head: capabilities.drop"]


def test_the_restricted_overlay_enforces_it_on_a_namespace_of_its_own():
    [namespace] = of_kind(overlay("restricted"), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    everywhere = {"Namespace", "PriorityClass"}
    assert {each["metadata"].get("namespace") for each in overlay("restricted") if each["kind"] not in everywhere} == {
        namespace["metadata"]["name"]
    }
    closed = named(overlay("restricted"), "NetworkPolicy", "knowlip-closed")
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_have_limits_and_those_that_stay_have_probes(name):
    for template in [*ray_pods(overlay(name)), *other_pods(overlay(name))]:
        only = container(template)
        assert only["resources"]["requests"]
        assert only["resources"]["limits"]
        if template["metadata"]["labels"].get(COMPONENT) != "submitter":
            assert {"readinessProbe", "livenessProbe"} <= set(only)


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_have_a_priority_that_exists_and_a_run_takes_no_place_of_others(name):
    classes = {each["metadata"]["name"]: each for each in of_kind(overlay(name), "PriorityClass")}
    for template in ray_pods(overlay(name)):
        assert classes[template["spec"]["priorityClassName"]]["preemptionPolicy"] == "Never"
    for template in other_pods(overlay(name)):
        assert template["spec"]["priorityClassName"] in classes
    assert classes["knowlip-service"]["value"] > classes["knowlip-run"]["value"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_cluster_asks_for_a_token_and_grows_where_nothing_fixes_its_size(name):
    spec = ray_cluster(overlay(name))
    assert spec["authOptions"]["mode"] == "token"
    [group] = spec["workerGroupSpecs"]
    grows = name not in {"kueue", "local"}
    assert spec["enableInTreeAutoscaling"] is grows
    assert (group["minReplicas"] < group["maxReplicas"]) is grows
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_object_store_fits_into_shared_memory_and_that_into_the_pod(name):
    """Above shared memory Ray falls back to disk; what lies in shared memory counts as the pod's."""
    spec = ray_cluster(overlay(name))
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        [size] = [each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if each["name"] == "shared-memory"]
        [mount] = [each for each in container(group["template"])["volumeMounts"] if each["name"] == "shared-memory"]
        assert mount["mountPath"] == "/dev/shm"
        assert int(group["rayStartParams"]["object-store-memory"]) <= bytes_of(size)
        assert bytes_of(size) <= 0.5 * bytes_of(container(group["template"])["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_pods_mount_exists(name):
    claims = {each["metadata"]["name"] for each in of_kind(overlay(name), "PersistentVolumeClaim")}
    maps = {each["metadata"]["name"] for each in of_kind(overlay(name), "ConfigMap")}
    for template in [*ray_pods(overlay(name)), *other_pods(overlay(name))]:
        volumes = template["spec"].get("volumes", [])
        text = yaml.dump([volumes, container(template)])
        assert set(re.findall(r"claimName: (\S+)", text)) <= claims
        assert set(re.findall(r"configMap(?:Ref)?:\s+name: (\S+)", text)) <= maps
        mounted = {each["name"] for each in container(template).get("volumeMounts", [])}
        made = {each["name"] for each in volumes} | ({"data"} if "postgres" in text else set())
        assert mounted <= made
        assert {each["name"] for each in volumes} <= mounted


def test_ray_is_reached_by_named_pods_only():
    policy = named(overlay("cpu"), "NetworkPolicy", "knowlip-ray")["spec"]
    ray, submitter = ({PART_OF: "knowlip", COMPONENT: each} for each in ("ray", "submitter"))
    assert policy["podSelector"] == {"matchLabels": ray}
    allowed = [
        (peer["podSelector"]["matchLabels"], [port["port"] for port in rule.get("ports", [])])
        for rule in policy["ingress"]
        for peer in rule["from"]
    ]
    assert allowed == [
        (ray, []),
        (submitter, [8265]),
        ({"app.kubernetes.io/name": "kuberay-operator"}, [8265]),
        ({"app.kubernetes.io/name": "prometheus"}, [8080]),
    ]


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_have_the_labels_by_which_policies_know_them(name):
    for template in ray_pods(overlay(name)):
        assert {PART_OF: "knowlip", COMPONENT: "ray"}.items() <= template["metadata"]["labels"].items()
    submitters = [each for each in other_pods(overlay(name)) if container(each)["image"].startswith("knowlip:")]
    for template in submitters:
        assert {PART_OF: "knowlip", COMPONENT: "submitter"}.items() <= template["metadata"]["labels"].items()
    assert len(submitters) == 1


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_drained_node_waits_for_the_head_and_the_last_worker(name):
    budgets = of_kind(overlay(name), "PodDisruptionBudget")
    head, *workers = ray_pods(overlay(name))
    for budget, templates in zip(budgets, ([head], workers), strict=True):
        selector = dict(budget["spec"]["selector"]["matchLabels"])
        assert budget["spec"]["minAvailable"] == 1
        assert selector.pop("ray.io/node-type") == ("head" if templates == [head] else "worker")
        assert all(selector.items() <= each["metadata"]["labels"].items() for each in templates)


def test_no_secret_is_written_down():
    for name in OVERLAYS:
        assert of_kind(overlay(name), "Secret") == []
        assert "secretGenerator" not in (FOLDER / "overlays" / name / "kustomization.yaml").read_text()


def test_prometheus_reads_the_metrics_port_of_every_pod_of_ray(tmp_path):
    manifests = own_overlay(tmp_path, ["run", "monitoring", "image"])
    [monitor] = of_kind(manifests, "PodMonitor")
    assert set(monitor["spec"]) == {"selector", "podMetricsEndpoints"}
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    for template in ray_pods(manifests):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert endpoint["port"] in [port["name"] for port in container(template)["ports"]]
    dashboard = named(manifests, "ConfigMap", "knowlip-grafana")
    assert json.loads(dashboard["data"]["grafana_dashboard.json"])["uid"] == "knowlip"


def test_the_dashboard_asks_only_for_gauges_that_a_run_has():
    content = (ROOT / "k8s" / "components" / "monitoring" / "grafana_dashboard.json").read_text()
    asked = set(re.findall(r"ray_(knowlip_\w+)", content))
    there = {*DESCRIPTIONS, f"{GENERATED_TOKENS}_total"}
    assert asked == there
    assert len({panel["id"] for panel in json.loads(content)["panels"]}) == len(json.loads(content)["panels"])
