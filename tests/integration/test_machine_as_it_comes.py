"""Two whole runs at once on one machine with dead proxies, few files, one core, and addresses of other clusters."""

from mlflow import MlflowClient

from chaos.compare import compare
from chaos.nodes import first_node
from orchestrator.tracking.mlflow_store import local_uri
from support.ports import free_port
from support.smallest_run import start_run

FEW_FILES = ("prlimit", "--nofile=1024:1024")
ONE_CORE = ("taskset", "-c", "0")


def test_two_runs_at_once_finish_with_dead_proxies_few_files_one_core_and_a_ray_address_of_others(tmp_path):
    """Both begin in one folder, as two terminals do: they share corpus, MLflow's store and, maybe, the second."""
    dead = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), dead)
    settings = ("rounds=1", "cluster.local_cpus=4", "tracking.kind=mlflow")
    with first_node(1) as cluster:
        addresses = {"dead": f"127.0.0.1:{free_port()}", "live": cluster.address}
        prefixes = {"dead": (*ONE_CORE, *FEW_FILES), "live": FEW_FILES}
        drivers = {}
        try:
            for name, address in addresses.items():
                variables = {**proxies, "RAY_ADDRESS": address}
                drivers[name] = start_run(tmp_path, None, settings, variables, prefixes[name], log=f"{name}.log")
            for name, driver in drivers.items():
                assert driver.wait() == 0, driver.said()[-4000:]
                assert f"RAY_ADDRESS names {addresses[name]}, and cluster.address is null" in driver.said()
        finally:
            for driver in drivers.values():
                driver.clear()
    one, other = sorted(tmp_path.glob("runs/smoke-*"))
    assert compare(one, other).different == ()
    client = MlflowClient(local_uri(one))
    [experiment] = client.search_experiments(filter_string="name = 'smoke'")
    found = client.search_runs([experiment.experiment_id], "tags.mlflow.parentRunId IS NULL")
    assert sorted(run.info.run_name for run in found) == [one.name, other.name]
    assert {run.info.status for run in found} == {"FINISHED"}
