"""The manifests: schema of Kubernetes, documented fields of KubeRay, and what keeps a cluster safe and elastic."""

from typing import Any, Literal

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.config.schema import ClusterConfig
from support.paths import ROOT

FOLDER = ROOT / "k8s"
KUBERNETES = "1.31"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AuthOptions(Strict):
    mode: Literal["token", "disabled"]
    secretName: str | None = None


class AutoscalerOptions(Strict):
    version: Literal["v1", "v2"] | None = None
    idleTimeoutSeconds: int | None = Field(default=None, ge=1)
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] | None = None
    resources: dict[str, dict[str, str]] | None = None
    securityContext: dict[str, Any] | None = None


class HeadGroupSpec(Strict):
    template: dict[str, Any]
    rayStartParams: dict[str, str]
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"


class WorkerGroupSpec(Strict):
    groupName: str
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=1)
    rayStartParams: dict[str, str]
    template: dict[str, Any]

    @model_validator(mode="after")
    def _in_order(self):
        assert self.minReplicas <= self.replicas <= self.maxReplicas
        return self


class RayClusterSpec(Strict):
    rayVersion: str
    headGroupSpec: HeadGroupSpec
    workerGroupSpecs: list[WorkerGroupSpec] = Field(min_length=1)
    enableInTreeAutoscaling: bool = False
    autoscalerOptions: AutoscalerOptions | None = None
    authOptions: AuthOptions


class RayJobSpec(Strict):
    entrypoint: str
    submissionMode: Literal["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]
    backoffLimit: int = Field(ge=0)
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: int = Field(ge=0)
    activeDeadlineSeconds: int | None = Field(default=None, ge=1)
    rayClusterSpec: RayClusterSpec


class Resource(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster", "RayJob"]
    metadata: dict[str, Any]
    spec: dict[str, Any]


def documents(name: str) -> list[dict]:
    return [each for each in yaml.safe_load_all((FOLDER / name).read_text()) if each]


def cluster_spec(name: str) -> RayClusterSpec:
    [content] = documents(name)
    resource = Resource.model_validate(content)
    if resource.kind == "RayJob":
        return RayJobSpec.model_validate(resource.spec).rayClusterSpec
    return RayClusterSpec.model_validate(resource.spec)


def pods(name: str) -> list[dict]:
    """Every pod template of a file, by hand for KubeRay's own kinds."""
    if name.startswith("ray"):
        spec = cluster_spec(name)
        return [spec.headGroupSpec.template, *(group.template for group in spec.workerGroupSpecs)]
    return [each["spec"]["template"] for each in documents(name) if each["kind"] == "Deployment"]


def as_pod(template: dict) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", **template.get("metadata", {})},
        "spec": template["spec"],
    }


RAY = ["rayjob.yaml", "raycluster.yaml"]
PODS = [*RAY, "mlflow.yaml"]


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml") if path.name not in RAY))
def test_plain_manifests_fit_the_schema(name):
    for content in documents(name):
        kubernetes_validate.validate(content, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_fit_the_schema(name):
    assert pods(name)
    for template in pods(name):
        kubernetes_validate.validate(as_pod(template), KUBERNETES, strict=True)


def test_the_schema_is_seen_to_bite():
    broken = as_pod(pods("mlflow.yaml")[0])
    broken["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_run_without_root_and_have_probes_and_limits(name):
    for template in pods(name):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
            assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]


@pytest.mark.parametrize("name", RAY)
def test_the_cluster_is_elastic_and_asks_for_a_token(name):
    spec = cluster_spec(name)
    assert spec.authOptions.mode == "token"
    assert spec.enableInTreeAutoscaling
    assert any(group.minReplicas < group.maxReplicas for group in spec.workerGroupSpecs)


@pytest.mark.parametrize("name", RAY)
def test_a_job_that_is_stopped_has_time_to_save_its_state(name):
    """Ray kills a job three seconds after SIGTERM unless the head is told otherwise."""
    [head] = [
        container
        for template in pods(name)
        for container in template["spec"]["containers"]
        if container["name"] == "ray-head"
    ]
    [wait_s] = [float(each["value"]) for each in head["env"] if each["name"] == "RAY_JOB_STOP_WAIT_TIME_S"]
    assert wait_s >= 2 * ClusterConfig().grace_period_s


def test_volumes_exist():
    claims = {each["metadata"]["name"] for each in documents("storage.yaml")}
    for name in PODS:
        for template in pods(name):
            volumes = {each["name"]: each for each in template["spec"]["volumes"]}
            used = [each["name"] for container in template["spec"]["containers"] for each in container["volumeMounts"]]
            assert set(used) == set(volumes)
            assert {
                each["persistentVolumeClaim"]["claimName"]
                for each in volumes.values()
                if "persistentVolumeClaim" in each
            } <= claims


def test_versions_and_images_agree_with_the_project():
    root = FOLDER.parent
    lock = (root / "requirements.lock").read_text()
    for name in RAY:
        assert f"\nray=={cluster_spec(name).rayVersion}\n" in lock
    images = {
        container["image"] for name in PODS for template in pods(name) for container in template["spec"]["containers"]
    }
    assert images == {"knowlip:0.2.0"}
    assert 'version = "0.2.0"' in (root / "pyproject.toml").read_text()


def test_the_job_and_the_cluster_are_the_same_cluster():
    assert cluster_spec("rayjob.yaml") == cluster_spec("raycluster.yaml")


def test_ray_is_reached_by_named_pods_only():
    """Not by the pod of any Job: of those only the submitter that KubeRay starts for the RayJob, under its name."""
    [job] = documents("rayjob.yaml")
    [policy] = [each for each in documents("networkpolicy.yaml") if each["metadata"]["name"] == "knowlip-ray"]
    allowed = [
        (peer["podSelector"], [port["port"] for port in rule.get("ports", [])])
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
    ]
    assert allowed == [
        ({"matchLabels": {"app.kubernetes.io/part-of": "knowlip"}}, []),
        ({"matchLabels": {"batch.kubernetes.io/job-name": job["metadata"]["name"]}}, [8265]),
        ({"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}, [8265]),
    ]
    for name in RAY:
        assert all(template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "knowlip" for template in pods(name))


def test_no_secret_is_written_down():
    for path in FOLDER.glob("*.yaml"):
        assert all(content["kind"] != "Secret" for content in yaml.safe_load_all(path.read_text()))
