"""Nodes come and go while a run goes on; nobody touches the run."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from actors.trainer.checkpoint import TrainerPosition, latest_checkpoint
from actors.trainer.resume import trainer_state_dir
from chaos.driver import ChaosError, Driver, NotSurvived, start, wait_for_phase
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import is_finished, new_folder, resume_until_finished
from corpus.storage.rng import derive_seed

PATIENCE_S = 300
CPUS_PER_WORKER = 4
SETTINGS = (
    "cluster.memory_gib=1",
    "score.max_workers=1",
    # One worker fits beside captioner and scorer on the first node, two only with the second.
    f"train.cpus_per_worker={CPUS_PER_WORKER}",
    "train.min_workers=1",
    "train.max_workers=2",
    "train.resize_interval_s=2",
    # The first group after the loss is asked for at the old size, before the loss is known everywhere.
    "train.regroup_timeout_s=40",
    "train.checkpoint_every_s=1",
)
EPOCHS = 80
"""Of the first round: long enough for a node to come and go."""
LATEST_STEP = 60
"""At which the node comes, of 240 in these epochs; the seed draws it."""
FEW_CPUS = 2
"""Of the driver's node, where a node is lost: most of the run's actors have to live on the other one."""
_OTHER_NODE = {"num_cpus": 6, "object_store_memory": 200 * 2**20}


@dataclass(frozen=True)
class Resized:
    """Positions of checkpoints: of one worker, of two after a node had come, of one after it was gone."""

    alone: TrainerPosition
    together: TrainerPosition
    again: TrainerPosition


@contextmanager
def first_node(cpus: int = CPUS_PER_WORKER + 3):
    """A cluster of one node, on which by default one training worker fits."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "object_store_memory": 400 * 2**20})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def grow_and_shrink(cluster: Cluster, driver: Driver, run_dir: Path, from_step: int = 0) -> Resized:
    """Add a node once one worker has trained up to a step, kill it once two do, and wait until one goes on.

    Raises:
        ChaosError: the run was over before. NotSurvived: it failed, or does not grow or shrink.
    """
    alone = _wait_for(
        driver,
        run_dir,
        "checkpoint of one worker",
        lambda position: position.world_size == 1 and position.step >= from_step,
    )
    node = cluster.add_node(num_cpus=CPUS_PER_WORKER, object_store_memory=200 * 2**20)
    together = _wait_for(driver, run_dir, "checkpoint of two workers", lambda position: position.world_size == 2)
    cluster.remove_node(node, allow_graceful=False)
    again = _wait_for(driver, run_dir, "checkpoint of one worker after two", lambda position: position.world_size == 1)
    return Resized(alone, together, again)


def run_with_nodes(reference: Reference, seed: int, folder: Path) -> Outcome:
    """A whole run whose cluster grows and shrinks in round 1."""
    outcome = Outcome(new_folder(folder) / "run")
    with first_node() as cluster:
        settings = [
            *reference.settings,
            *SETTINGS,
            f"cluster.address={cluster.address}",
            f"train.first_round_epochs={EPOCHS}",
        ]
        driver = start(reference.config, folder, settings)

        def change() -> int:
            resized = grow_and_shrink(cluster, driver, outcome.run_dir, derive_seed(seed, "node comes") % LATEST_STEP)
            if resized.again.round != 1 or resized.again.round_finished:
                raise ChaosError("round 1 was over before the group had shrunk")
            return 2  # both were seen in the trainer's own checkpoints

        return _without_operator(outcome, driver, change)


def run_losing_a_node(phase: str, reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run on two nodes, of which the one without the driver is killed in a phase of round 2 and another one joins."""
    outcome = Outcome(new_folder(folder) / "run")
    with first_node(FEW_CPUS) as cluster:
        second = cluster.add_node(**_OTHER_NODE)
        settings = [*reference.settings, "cluster.memory_gib=1", f"cluster.address={cluster.address}"]
        driver = start(reference.config, folder, settings)

        def change() -> int:
            wait_for_phase(driver, outcome.run_dir, 2, phase)
            lose(cluster, second)
            cluster.add_node(**_OTHER_NODE)
            return 1

        return _without_operator(outcome, driver, change)


def _without_operator(outcome: Outcome, driver: Driver, change: Callable[[], int]) -> Outcome:
    """A run that has to end by itself, and is resumed where it does not. change: meddles with its cluster, and returns
    how often that was seen to strike."""
    try:
        outcome.injected = change()
        status = driver.wait()
    finally:
        outcome.left_over += driver.clear()
    outcome.finished = is_finished(outcome.run_dir)
    if status != 0 or not outcome.finished:
        outcome.complaints.append(f"it needed an operator: exit status {status}, see {driver.log}")
    resume_until_finished(outcome)
    return outcome


def lose(cluster: Cluster, node) -> None:
    """kill -9 a node on which something of the run is at work.

    Raises:
        ChaosError: nothing is.
    """
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    titles = [title for process in raylet.children() if (title := " ".join(process.cmdline())).startswith("ray::")]
    if not any("IDLE" not in title for title in titles):
        raise ChaosError(f"nothing of the run was on the node that was to be lost: {titles}")
    cluster.remove_node(node, allow_graceful=False)


def _wait_for(driver: Driver, run_dir: Path, what: str, seen: Callable[[TrainerPosition], bool]) -> TrainerPosition:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        position = _position(run_dir)
        if position is not None and seen(position):
            return position
        if driver.ended:
            kind = ChaosError if driver.wait() == 0 else NotSurvived
            raise kind(f"the run ended before there was a {what}; its words are in {driver.log}")
        time.sleep(0.02)
    raise NotSurvived(f"no {what} within {PATIENCE_S} s; see {driver.log}")


def _position(run_dir: Path) -> TrainerPosition | None:
    """Where the newest checkpoint stands."""
    try:
        found = latest_checkpoint(trainer_state_dir(run_dir))
    except (FileNotFoundError, NotADirectoryError):  # it was replaced by a newer one at this moment
        return None
    return None if found is None else found[1]
