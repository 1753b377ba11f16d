"""Ends orphaned worker groups: those that Ray Train has started and lost track of.

Private parts of Ray Train are used here and nowhere else, as seen in Ray 2.60.0. Ray Train gives back the placement
group of a run that is aborted (https://github.com/ray-project/ray/pull/56011), but not that of a group whose start
fails late. tests/chaos/test_orphaned_groups.py shows the fault on Ray's own trainer, so it fails once Ray Train
mends it.
"""

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.worker_group import WorkerGroup, WorkerGroupContext


class OrphanedGroups(WorkerGroupCallback, ControllerCallback):
    """Ends a group that Ray Train has started and does not know of.

    Ray Train notes a group only when its start is over. Where a worker dies before, while the processes find each other
    or while it is handed what to run, nobody gives back the placement group, and later groups wait for its resources
    for ever.
    """

    def __init__(self) -> None:
        self._group: WorkerGroup | None = None

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        """Ray Train calls this when a group is there; remember it."""
        self._group = worker_group

    def after_worker_group_shutdown(self, worker_group_context: WorkerGroupContext) -> None:
        """Ray Train has ended the group itself."""
        self._group = None

    def after_worker_group_abort(self, worker_group_context: WorkerGroupContext) -> None:
        """Ray Train has ended the group itself."""
        self._group = None

    def before_worker_group_start(self, worker_group_context: WorkerGroupContext) -> None:
        """Give back what an orphan holds, before the next group asks for it."""
        self._end_orphan()

    async def before_controller_shutdown(self) -> None:
        """Give back what an orphan holds."""
        self._end_orphan()

    def _end_orphan(self) -> None:
        group, self._group = self._group, None
        if group is not None and group.has_started():
            group.get_worker_group_state().shutdown()


class CleanTorchTrainer(TorchTrainer):
    """Ray Train's trainer with OrphanedGroups before its other callbacks, as it calls none after one that fails."""

    def _create_default_callbacks(self) -> list[Any]:
        return [OrphanedGroups(), *super()._create_default_callbacks()]
