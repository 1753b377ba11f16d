"""An elastic training group leaves room for the others, on a real cluster with Ray Train's own policy."""

import time

import pytest
import ray
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from actors.data import reservation
from actors.data.reservation import Reservation
from orchestrator.cluster.connect import start_local

ONE = {"CPU": 1.0}


@pytest.fixture
def five_cpus():
    start_local(num_cpus=5, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


@ray.remote(num_cpus=1)
class Holder:
    """As a captioner does."""

    def ready(self) -> None:
        return None


def test_a_group_is_as_large_as_fits_beside_the_others(five_cpus, tmp_path, monkeypatch):
    """Without it Ray Train asks for four workers, of which three find a place, and waits."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "60")

    def note_size(config):
        from ray.train import get_context

        (tmp_path / f"rank-{get_context().get_world_rank()}-of-{get_context().get_world_size()}").touch()

    holder = Holder.remote()
    ray.get(holder.ready.remote())
    kept = Reservation("run", lambda: [ONE, ONE])
    try:
        TorchTrainer(
            note_size,
            scaling_config=ScalingConfig(num_workers=(1, 4), resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name="sizes", storage_path=str(tmp_path / "ray")),
        ).fit()
    finally:
        kept.close()
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == [f"rank-{rank}-of-3" for rank in range(3)]


def test_what_is_held_back_follows_those_who_hold_it_and_is_given_up(five_cpus, monkeypatch):
    monkeypatch.setattr(reservation, "RENEWED_EVERY_S", 0.05)
    coordinator, wanted = get_or_create_autoscaling_coordinator(), [ONE]

    def held() -> float:
        nodes = ray.get(coordinator.get_reserved_resources.remote("knowlip-run"))
        return sum(node.get("CPU", 0) for node in nodes.values())

    def wait_for(cpus: float) -> None:
        deadline = time.monotonic() + 20
        while held() != cpus:
            assert time.monotonic() < deadline, held()
            time.sleep(0.05)

    kept = Reservation("run", lambda: list(wanted))
    assert held() == 1
    wanted.append(ONE)
    wait_for(2)
    kept.close(cancel=False)
    assert held() == 2
    Reservation("run", lambda: [ONE]).close()  # of the driver that took over
    wait_for(0)


def test_it_is_renewed_no_more_once_ray_is_gone(five_cpus, monkeypatch):
    """Asking then would start a cluster."""
    monkeypatch.setattr(reservation, "RENEWED_EVERY_S", 0.2)
    kept = Reservation("run", lambda: [ONE])
    ray.shutdown()
    kept._thread.join(10)
    assert not kept._thread.is_alive()
    assert not ray.is_initialized()


def test_what_cannot_be_asked_or_said_ends_no_run(five_cpus, monkeypatch, caplog):
    monkeypatch.setattr(reservation, "RENEWED_EVERY_S", 0.05)
    answers = [[ONE]]

    def wanted() -> list[dict[str, float]]:
        if not answers:
            raise ConnectionError("Serve does not answer")
        return answers.pop()

    kept = Reservation("run", wanted)
    time.sleep(0.5)
    nodes = ray.get(get_or_create_autoscaling_coordinator().get_reserved_resources.remote("knowlip-run"))
    kept.close()
    assert sum(node.get("CPU", 0) for node in nodes.values()) == 1
    assert "Serve does not answer" in caplog.text
