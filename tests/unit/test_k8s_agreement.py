"""The overlays of k8s/ say the same as the project: configurations, sizes, ports, paths, times, versions and names."""

import re
import textwrap
from copy import deepcopy
from pathlib import PurePosixPath

import pytest
import ray._private.ray_constants as ray_constants
import yaml

from orchestrator.cluster.requirements import most_processes
from orchestrator.cluster.resources import ClusterCapacity, Resources
from orchestrator.config.load import load_config
from orchestrator.config.schema import ClusterConfig
from orchestrator.jobs.package import run_dir_of
from orchestrator.policies.attempts import NAME_PATTERN
from orchestrator.run.preflight import check
from support.kustomize import (
    FOLDER,
    OVERLAYS,
    build,
    bytes_of,
    configuration,
    container,
    environment,
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

pytestmark = needs_kustomize
INSTANCE = "app.kubernetes.io/instance"


def node(group: dict) -> Resources:
    """What a pod of Ray tells Ray that it has: KubeRay passes on the limits of its container."""
    limits = container(group["template"])["resources"]["limits"]
    cpus = group["rayStartParams"].get("num-cpus", limits["cpu"])
    return Resources(float(cpus), float(limits.get("nvidia.com/gpu", 0)), bytes_of(limits["memory"]) / 2**30)


def run_config(name: str, folder):
    path, run = configuration(overlay(name), folder)
    return load_config(path, ["cluster.address=auto", f"name={run}"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_configuration_of_an_overlay_is_one_and_its_cluster_carries_it_from_the_start(name, tmp_path):
    """The preflight counts the nodes that are there, and the admission all that a run may come to hold."""
    config = run_config(name, tmp_path)
    spec = ray_cluster(overlay(name))
    [group] = spec["workerGroupSpecs"]
    head, worker = node(spec["headGroupSpec"]), node(group)
    check(config, ClusterCapacity((head, *[worker] * group["minReplicas"])))
    most = most_processes(config)
    assert sum(kind.most * kind.cpus for kind in most) <= head.cpus + group["maxReplicas"] * worker.cpus
    assert sum(kind.most * kind.gpus for kind in most) <= group["maxReplicas"] * worker.gpus


def test_the_first_run_is_the_default_one(tmp_path):
    default = load_config(ROOT / "configs" / "default.yaml", ["cluster.address=auto"])
    assert run_config("cpu", tmp_path) == default


def test_the_local_run_is_the_smoke_test(tmp_path):
    smoke = load_config(ROOT / "configs" / "smoke.yaml", ["cluster.address=auto"])
    assert run_config("local", tmp_path) == smoke


@pytest.mark.parametrize("name", ["cpu", "cluster"])
def test_all_names_follow_from_the_name_of_the_run(name, tmp_path):
    """An overlay of one's own names its run once, and the configuration is its file."""
    (tmp_path / "run.yaml").write_text("rounds: 7\n")
    components = ["run", *(["standing"] if name == "cluster" else []), "image"]
    own = own_overlay(
        tmp_path,
        components,
        "configMapGenerator: [{name: knowlip-run, behavior: merge, files: [run.yaml], literals: [name=big-cities]}]",
    )
    kind = "Job" if name == "cluster" else "RayJob"
    [job] = of_kind(own, kind)
    assert job["metadata"]["name"] == "knowlip-big-cities"
    [submitter] = [each for each in other_pods(own) if container(each)["image"].startswith("knowlip:")]
    assert submitter["metadata"]["labels"][INSTANCE] == "big-cities"
    place = "cluster" if name == "cluster" else "big-cities"
    assert {each["metadata"]["labels"][INSTANCE] for each in ray_pods(own)} == {place}
    budgets = of_kind(own, "PodDisruptionBudget")
    assert [each["metadata"]["name"] for each in budgets] == [f"knowlip-head.{place}", f"knowlip-workers.{place}"]
    path, run = configuration(own, tmp_path)
    assert load_config(path, [f"name={run}"]).rounds == 7
    [made] = [each["metadata"]["name"] for each in of_kind(own, "ConfigMap") if "name" in each["data"]]
    assert f"name: {made}\n" in yaml.dump(submitter if name == "cluster" else ray_pods(own)[0])


def test_a_second_run_leaves_a_standing_cluster_as_it_is(tmp_path):
    merged = "configMapGenerator: [{name: knowlip-run, behavior: merge, literals: [name=other]}]"
    other = own_overlay(tmp_path, ["run", "standing", "image"], merged)
    for kind in ("RayCluster", "PodDisruptionBudget", "Deployment", "NetworkPolicy", "PersistentVolumeClaim"):
        assert of_kind(other, kind) == of_kind(overlay("cluster"), kind)
    assert of_kind(other, "RayJob") == []


def test_the_standing_cluster_is_that_of_the_job():
    """But for the label, and the configuration, which runs bring along."""
    job, standing = deepcopy(ray_cluster(overlay("cpu"))), ray_cluster(overlay("cluster"))
    for template in (job["headGroupSpec"]["template"], *(group["template"] for group in job["workerGroupSpecs"])):
        template["metadata"]["labels"][INSTANCE] = "cluster"
    own = job["headGroupSpec"]["template"]["spec"]["volumes"][2]["projected"]["sources"].pop(0)
    assert own["configMap"]["name"].startswith("knowlip-run-")
    assert job == standing


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_run_lies_where_submit_would_put_it(name):
    """So a run of a RayJob can be gone on with by `knowlip submit`, and the other way round."""
    head, *_ = ray_pods(overlay(name))
    storage = environment(head)["KNOWLIP_STORAGE"]
    for template in ray_pods(overlay(name)):
        mounts = {each["name"]: each["mountPath"] for each in container(template)["volumeMounts"]}
        assert mounts["runs"] == storage
    script = (FOLDER / "components" / "run" / "run.sh").read_text()
    assert 'cd "$KNOWLIP_STORAGE"' in script
    assert f"place={run_dir_of('$KNOWLIP_RUN', PurePosixPath('.'))}\n" in script


def test_the_job_of_a_standing_cluster_submits_to_it():
    [template] = [each["spec"]["template"] for each in of_kind(overlay("cluster"), "Job")]
    [cluster] = of_kind(overlay("cluster"), "RayCluster")
    told = container(template)["command"]
    options = dict(zip(told[3::2], told[4::2], strict=False))
    assert told[:3] == ["knowlip", "submit", "/etc/knowlip/run.yaml"]
    assert told[-1] == "--wait"
    assert (
        options["--address"] == f"http://{cluster['metadata']['name']}-head-svc:{ray_constants.DEFAULT_DASHBOARD_PORT}"
    )
    assert options["--storage"] == environment(ray_pods(overlay("cluster"))[0])["KNOWLIP_STORAGE"]
    assert options["--name"] == "$(KNOWLIP_RUN)"
    token = environment(template)["RAY_AUTH_TOKEN"]["secretKeyRef"]
    assert token == {"name": cluster["metadata"]["name"], "key": "auth_token"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_names_of_runs_are_such_as_submit_takes(name, tmp_path):
    _, run = configuration(overlay(name), tmp_path)
    assert re.fullmatch(NAME_PATTERN, run)


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_run_that_is_told_to_end_has_time_to_save_its_state(name):
    """The watchdog gives it the grace period and 90 seconds; `ray job stop` alone would kill it after three."""
    grace_s = ClusterConfig().grace_period_s
    for template in ray_pods(overlay(name)):
        assert template["spec"]["terminationGracePeriodSeconds"] > grace_s + 90
    head, *_ = ray_pods(overlay(name))
    assert float(environment(head)["RAY_JOB_STOP_WAIT_TIME_S"]) >= 2 * grace_s


@pytest.mark.parametrize("name", OVERLAYS)
def test_ports_are_those_of_ray_and_probes_start_no_process(name):
    head, *workers = ray_pods(overlay(name))
    ports = {each["name"]: each["containerPort"] for each in container(head)["ports"]}
    assert ports["dashboard"] == ray_constants.DEFAULT_DASHBOARD_PORT
    assert ports["gcs"] == ray_constants.DEFAULT_PORT
    assert all(port < 10_002 for port in ports.values())  # Ray's workers take those above
    for template in (head, *workers):
        for probe in ("readinessProbe", "livenessProbe"):
            port = ray_constants.DEFAULT_DASHBOARD_AGENT_LISTEN_PORT
            assert container(template)[probe]["httpGet"] == {"path": "/api/healthz", "port": port}


@pytest.mark.parametrize("name", OVERLAYS)
def test_runs_find_the_tracking_server(name):
    service = named(overlay(name), "Service", "mlflow")
    [port] = service["spec"]["ports"]
    server = named(overlay(name), "Deployment", "mlflow")["spec"]["template"]
    arguments = container(server)["args"]
    assert service["spec"]["selector"].items() <= server["metadata"]["labels"].items()
    assert arguments[arguments.index("--port") + 1] == str(port["port"])
    uri = f"http://mlflow:{port['port']}"
    assert f"mlflow:{port['port']}" in arguments[arguments.index("--allowed-hosts") + 1].split(",")
    for template in ray_pods(overlay(name)):
        assert environment(template)["MLFLOW_TRACKING_URI"] == uri


def test_with_postgres_nothing_of_mlflow_lies_on_a_volume_and_no_password_in_an_address():
    server = named(overlay("postgres"), "Deployment", "mlflow")["spec"]["template"]
    told = environment(server)
    assert told["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://mlflow@mlflow-postgres:5432/mlflow"
    assert told["PGPASSWORD"]["secretKeyRef"]["name"] == "mlflow-postgres"
    assert "MLFLOW_ARTIFACTS_DESTINATION" not in told  # it comes from the ConfigMap
    assert [each for each in server["spec"]["volumes"] if "emptyDir" not in each] == []
    assert "mlflow" not in [each["metadata"]["name"] for each in of_kind(overlay("postgres"), "PersistentVolumeClaim")]
    database = named(overlay("postgres"), "StatefulSet", "mlflow-postgres")["spec"]["template"]
    assert {"POSTGRES_USER": "mlflow", "POSTGRES_DB": "mlflow"}.items() <= environment(database).items()
    policy = named(overlay("postgres"), "NetworkPolicy", "knowlip-postgres")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= database["metadata"]["labels"].items()


@pytest.mark.parametrize("name", OVERLAYS)
def test_versions_and_images_agree_with_the_project(name):
    spec = ray_cluster(overlay(name))
    assert f"\nray=={spec['rayVersion']}\n" in (ROOT / "requirements.lock").read_text()
    images = {container(each)["image"] for each in [*ray_pods(overlay(name)), *other_pods(overlay(name))]}
    ours = {each for each in images if each.startswith("knowlip")}
    assert ours == {"knowlip:0.2.0-gpu" if name == "gpu" else "knowlip:0.2.0", "knowlip-mlflow:0.2.0"}
    assert 'version = "0.2.0"' in (ROOT / "pyproject.toml").read_text()


def test_the_version_of_the_image_stands_in_one_place():
    found = [path.relative_to(FOLDER) for path in FOLDER.rglob("*.yaml") if "0.2.0" in path.read_text()]
    assert sorted(map(str, found)) == [
        "components/image/kustomization.yaml",
        "overlays/gpu/kustomization.yaml",
    ]


def test_the_overlay_that_the_readme_shows_is_one(tmp_path):
    """Word by word, in the folders that it names."""
    shown = (FOLDER / "README.md").read_text().partition("    resources: [")[2].partition("\n\n")[0]
    own = tmp_path / "cities"
    own.mkdir()
    (tmp_path / "knowlip").symlink_to(ROOT)
    (own / "run.yaml").write_text("rounds: 7\n")
    (own / "kustomization.yaml").write_text(textwrap.dedent(f"    resources: [{shown}\n"))
    built = build(own)
    assert [each["metadata"]["name"] for each in of_kind(built, "RayJob")] == ["knowlip-cities"]
    assert {container(each)["image"] for each in ray_pods(built)} == {"registry.example.org/knowlip:0.2.0"}
    path, name = configuration(built, tmp_path)
    assert (load_config(path).rounds, name) == (7, "cities")


def test_the_readme_names_every_overlay_and_component():
    text = (FOLDER / "README.md").read_text()
    folders = [path.name for kind in ("overlays", "components") for path in (FOLDER / kind).iterdir()]
    assert [name for name in folders if f"`{name}`" not in text] == []
