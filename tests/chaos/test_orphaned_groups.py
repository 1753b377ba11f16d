"""Workers that are killed while their group starts: real Ray Train, on a cluster with room for one group."""

import os
import signal

import pytest
import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

from actors.trainer.orphaned_groups import CleanTorchTrainer
from orchestrator.cluster.connect import start_local
from support.paths import ROOT


class Killer(WorkerGroupCallback):
    """Kills a worker of each of the first groups once it has started, before its training has."""

    def __init__(self, log, groups: int) -> None:
        self._log, self._groups = log, groups

    def after_worker_group_start(self, worker_group) -> None:
        killed = self._log.read_text().count("killed")
        if killed < self._groups:
            worker = worker_group.get_workers()[0]
            self._log.write_text("killed " * (killed + 1))
            os.kill(worker.metadata.pid, signal.SIGKILL)
            ray.get(worker.actor.get_metadata.remote())  # raises once it is seen to be gone


def train_fn(config) -> None:
    """Nothing: that it is called is enough."""


@pytest.fixture
def three_cpus():
    start_local(
        num_cpus=3,
        object_store_memory=100 * 2**20,
        runtime_env={"env_vars": {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}},
    )
    yield
    ray.shutdown()


def trainer(kind: type[TorchTrainer], folder, groups: int, failures: int) -> TorchTrainer:
    (folder / "log").write_text("")
    return kind(
        train_fn,
        scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(
            name="starts",
            storage_path=str(folder / "ray"),
            callbacks=[Killer(folder / "log", groups)],
            failure_config=FailureConfig(controller_failure_limit=failures),
        ),
    )


def test_groups_that_die_as_they_start_leave_room_for_the_next(three_cpus, tmp_path):
    trainer(CleanTorchTrainer, tmp_path, groups=2, failures=2).fit()
    assert (tmp_path / "log").read_text().count("killed") == 2


def test_ray_train_by_itself_still_forgets_them(three_cpus, tmp_path, monkeypatch):
    """When this fails, actors/trainer/orphaned_groups.py has become needless."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "5")
    with pytest.raises(Exception, match="timed out"):
        trainer(TorchTrainer, tmp_path, groups=1, failures=1).fit()
    assert (tmp_path / "log").read_text().count("killed") == 1
