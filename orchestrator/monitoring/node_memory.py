"""What a run's processes hold on the other nodes of its cluster: an actor on each looks."""

import logging
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.monitoring.run_processes import Held, machine_name, measure, processes_of_run

_LOOKED_FOR_EVERY_S = 30.0
_PATIENCE_S = 10.0

_log = logging.getLogger(__name__)


class NodeMemory:
    """The actor of one node. It has the run's mark itself, and so counts too."""

    def machine(self) -> str:
        """Return the name of its machine."""
        return machine_name()

    def held(self) -> list[Held]:
        """Return what the run's processes hold on this machine."""
        return measure(processes_of_run())


class OtherNodes:
    """The nodes of a cluster that are on other machines than this process. Nodes may come and go."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._starting: dict[str, tuple[Any, Any]] = {}  # node -> its actor, and its answer to where it is
        self._actors: dict[str, tuple[str, Any]] = {}  # node -> its machine and actor
        self._here: set[str] = set()

    def held(self) -> list[Held]:
        """Return what the run's processes hold there; [] where this process is connected to no cluster.

        A node that does not answer in time is left out until it does.
        """
        if not ray.is_initialized():
            return []
        try:
            self._look()
            asked = {actor.held.remote(): node for node, (_, actor) in self._actors.items()}
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S) if asked else ([], [])
        except RayError as error:
            _log.info("memory on other nodes is not known: %s", error)
            return []
        found: list[Held] = []
        for answer in ready:
            try:
                found += ray.get(answer, timeout=_PATIENCE_S)
            except (RayError, GetTimeoutError):  # the node is gone; it is looked for again
                self._actors.pop(asked[answer], None)
        return found

    def _look(self) -> None:
        if time.monotonic() - self._looked > _LOOKED_FOR_EVERY_S:
            self._looked = time.monotonic()
            self._here.add(ray.get_runtime_context().get_node_id())
            alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
            for node in alive - self._here - set(self._actors) - set(self._starting):
                actor = _actor_on(node)
                self._starting[node] = actor, actor.machine.remote()
            for known in (self._actors, self._starting):
                for node in set(known) - alive:
                    del known[node]
        for node, (actor, answer) in list(self._starting.items()):
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._starting[node]
            try:
                self._take(node, ray.get(answer), actor)
            except RayError as error:
                _log.info("memory on node %s is not known: %s", node, error)

    def _take(self, node: str, machine: str, actor: Any) -> None:
        """Keep an actor, unless its machine is looked at already."""
        if machine == machine_name() or machine in {known for known, _ in self._actors.values()}:
            self._here.add(node)
            ray.kill(actor)
        else:
            self._actors[node] = machine, actor


def _actor_on(node: str) -> Any:
    return (
        ray.remote(NodeMemory)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote()
    )
