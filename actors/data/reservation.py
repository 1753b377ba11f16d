"""Resources held back from an elastic training group: private parts of Ray Data 2.60 are used here and nowhere else.

Seen in Ray 2.60.0. Ray Train sizes an elastic group by what Ray's AutoscalingCoordinator has for it: the totals of the
nodes, less what the coordinator's other clients asked for before (https://github.com/ray-project/ray/pull/61703). Ray
Serve is not among its clients. So the group would ask for CPUs that a captioner holds, find no place, and ask for as
many again, for ever. The coordinator has no public interface.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray.data._internal.cluster_autoscaler.base_autoscaling_coordinator import ResourceRequestPriority
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator
from ray.exceptions import GetTimeoutError

RENEWED_EVERY_S, PATIENCE_S, _END_PATIENCE_S = 5.0, 30.0, 5.0
EXPIRES_AFTER_S = 300.0
"""In seconds. Longer than a training group's own request, so that no gap between renewals puts this one behind it."""

_log = logging.getLogger(__name__)


def _requester(owner: str) -> str:
    return f"knowlip-{owner}"


def cancel_reservation(owner: str) -> None:
    """Give up what a run holds back whose driver was killed. Where that is not heard, it expires."""
    coordinator: Any = get_or_create_autoscaling_coordinator()  # Ray's actors have no types
    try:
        ray.get(coordinator.cancel_request.remote(_requester(owner)), timeout=PATIENCE_S)
    except GetTimeoutError:
        _log.warning("what %s held back from training could not be given up; it expires", owner)


class Reservation:
    """Holds resources back from an elastic training group, and tells an autoscaler of the cluster about them.

    The coordinator of Ray 2.60 does not know on which nodes processes run. So with several nodes and large workers the
    group may still be asked for one worker too many; `train.max_workers` bounds it.

    Args:
        owner: Name of the run. A driver that takes over replaces what the driver before it held back.
        wanted: Returns the resources of each process, such as {"CPU": 1, "GPU": 0.5}. Called every few seconds.
    """

    def __init__(self, owner: str, wanted: Callable[[], list[dict[str, float]]]) -> None:
        self._owner, self._wanted = _requester(owner), wanted
        self._known: list[dict[str, float]] = []
        self._coordinator: Any = get_or_create_autoscaling_coordinator()  # Ray's actors have no types
        self._renew()  # before the training group asks for the first time
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="reservation", daemon=True)
        self._thread.start()

    def close(self, cancel: bool = True) -> None:
        """End the reservation.

        Args:
            cancel: Give it up at once. Otherwise it expires, unless the next driver goes on with it.
        """
        self._stop.set()
        self._thread.join(_END_PATIENCE_S)  # a Ray that answers no more must not keep the run from its end
        if cancel and ray.is_initialized():
            self._coordinator.cancel_request.remote(self._owner)

    def _keep(self) -> None:
        while not self._stop.wait(RENEWED_EVERY_S):
            if not ray.is_initialized():  # asking Ray anything would start a cluster now
                return
            self._renew()

    def _renew(self) -> None:
        """Ask the coordinator again. An error is only logged: it may pass, and if Ray is gone the loop fails itself."""
        try:
            self._known = self._wanted()
        except Exception as error:
            _log.warning(
                "The resources to hold back from training are not known; those of before are held back: %s", error
            )
        try:
            ray.get(
                self._coordinator.request_resources.remote(
                    requester_id=self._owner,
                    resources=self._known,
                    expire_after_s=EXPIRES_AFTER_S,
                    priority=ResourceRequestPriority.HIGH,
                ),
                timeout=PATIENCE_S,
            )
        except Exception as error:
            _log.warning("The resources to hold back from training could not be reserved: %s", error)
