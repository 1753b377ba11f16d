"""A node is added to the cluster while the run trains, and taken away again; nobody touches the run."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from shared_run import ROOT

from actors.trainer_state import TrainerPosition, latest_checkpoint

KNOWLIP = Path(sys.executable).with_name("knowlip")
PATIENCE_S = 300
SETTINGS = {
    "rounds": 1, "cluster.memory_gib": 1, "score.max_workers": 1,
    # One worker fits beside captioner and scorer on the first node, two only with the second.
    "train.cpus_per_worker": 4, "train.min_workers": 1, "train.max_workers": 2, "train.resize_interval_s": 2,
    # The first group after the loss is asked for at the old size, before the loss is known everywhere.
    "train.regroup_timeout_s": 40,
    "train.first_round_epochs": 400, "train.checkpoint_every_steps": 5,
}


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 7, "object_store_memory": 400 * 2**20})
    yield cluster
    cluster.shutdown()


class Watched:
    """A driver and what can be seen of its training from outside."""

    def __init__(self, run_dir: Path, log: Path, address: str, data_dir: Path) -> None:
        self.run_dir, self.log = run_dir, log
        settings = SETTINGS | {"cluster.address": address, "corpus.data_dir": data_dir}
        options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [str(KNOWLIP), "run", str(ROOT / "configs/smoke.yaml"), "--run-dir", str(run_dir), *options],
                stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def position(self) -> TrainerPosition | None:
        """Where the newest checkpoint stands."""
        try:
            found = latest_checkpoint(self.run_dir / "checkpoints" / "trainer")
        except (FileNotFoundError, NotADirectoryError):  # it was replaced by a newer one at this moment
            return None
        return None if found is None else found[1]

    def wait_for(self, what: str, seen) -> TrainerPosition:
        """The first position of which `seen` is true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            position = self.position()
            if position is not None and seen(position):
                return position
            assert self.process.poll() is None, f"the run ended while waiting for {what}:\n{self.words()}"
            time.sleep(0.02)
        raise AssertionError(f"no {what} within {PATIENCE_S} s:\n{self.words()}")

    def words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@pytest.fixture(scope="module")
def resized(cluster, smoke_run, tmp_path_factory) -> dict:
    """What was seen of a run whose cluster grew and shrank while it trained."""
    folder = tmp_path_factory.mktemp("elastic")
    driver = Watched(folder / "run", folder / "run.log", cluster.address, smoke_run.data_dir)
    try:
        alone = driver.wait_for("checkpoint of one worker", lambda position: True)
        node = cluster.add_node(num_cpus=4, object_store_memory=200 * 2**20)
        together = driver.wait_for("checkpoint of two workers", lambda position: position.world_size == 2)
        cluster.remove_node(node, allow_graceful=False)
        again = driver.wait_for("checkpoint of one worker after two", lambda position: position.world_size == 1)
    finally:
        driver.process.kill()  # what is left of so many epochs is not needed
        driver.process.wait()
    return {"alone": alone, "together": together, "again": again}


def test_a_node_added_to_a_live_cluster_is_used(resized):
    assert resized["alone"].world_size == 1
    assert resized["together"].world_size == 2 and resized["together"].step > resized["alone"].step


def test_a_removed_node_is_survived_without_going_back_further_than_a_checkpoint(resized):
    assert resized["again"].world_size == 1
    assert resized["again"].step > resized["together"].step
