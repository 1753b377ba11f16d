"""What has to find room beside an elastic training group, held back from it."""

import logging
import threading
from collections.abc import Callable

import ray
from ray.data._internal.cluster_autoscaler.base_autoscaling_coordinator import ResourceRequestPriority
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator

RENEWED_EVERY_S, PATIENCE_S, _LAST_WORD_S = 5.0, 30.0, 5.0
EXPIRES_AFTER_S = 300.0
"""Longer than a training group's own request, so that no gap between renewals puts this one behind it."""

_log = logging.getLogger(__name__)


class Reservation:
    """Ray Train sizes an elastic group by what Ray's AutoscalingCoordinator has for it: the nodes' totals, less what its other
    clients asked for before. Ray Serve is none of them. Without this the group would ask for CPUs that a captioner holds,
    find no place, and ask for as many again, for ever. An autoscaler of the cluster is told of it, too.

    On which nodes the others run is not said, so with several nodes and large workers the group may still be asked for one
    too large; `train.max_workers` bounds it.

    Args:
        owner: whose it is; a driver that takes over replaces what the one before it held back.
        wanted: resources of each process, such as {"CPU": 1, "GPU": 0.5}; asked every few seconds.
    """

    def __init__(self, owner: str, wanted: Callable[[], list[dict[str, float]]]) -> None:
        self._owner, self._wanted = f"knowlip-{owner}", wanted
        self._known: list[dict[str, float]] = []
        self._coordinator = get_or_create_autoscaling_coordinator()
        self._renew()  # heard before the training group asks for the first time
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="reservation", daemon=True)
        self._thread.start()

    def close(self, cancel: bool = True) -> None:
        """Renew it no more. cancel: and give it up at once; else it expires, unless somebody goes on with it."""
        self._stop.set()
        self._thread.join(_LAST_WORD_S)  # of a Ray that answers no more there may be none; the end does not wait for it
        if cancel and ray.is_initialized():
            self._coordinator.cancel_request.remote(self._owner)

    def _keep(self) -> None:
        while not self._stop.wait(RENEWED_EVERY_S):
            if not ray.is_initialized():  # whoever asks Ray something then would start a cluster to ask
                return
            self._renew()

    def _renew(self) -> None:
        """Of what goes wrong here the next time may know nothing; what is wrong with Ray the loop meets itself."""
        try:
            self._known = self._wanted()
        except Exception as error:
            _log.warning("What has to be kept free beside training is not known, it stays as it is: %s", error)
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
            _log.warning("What has to be kept free beside training could not be said: %s", error)
