"""A run's turn on a shared cluster: it waits until it is admitted, and holds its claim until it ends.

One actor of the cluster decides, by the policy of orchestrator/policies/admission.py. It belongs to no run and reserves
nothing. A run renews its claim every few seconds, so that one whose driver was killed is forgotten soon.
"""

import getpass
import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayError

from corpus.storage.errors import UserError
from orchestrator.policies.admission import EXPIRES_AFTER_S, Admission, Claim, Node, Processes, Verdict

NAMESPACE: Final = "knowlip"
DESK: Final = "admission-1"
"""Name of the actor. Its number grows when what is asked or answered changes: other versions may be at work."""
RENEWED_EVERY_S, ASKED_EVERY_S = 10.0, 1.0
_PATIENCE_S, _END_PATIENCE_S = 30.0, 5.0
_SLOW_S, _GIVE_UP_AFTER_S = 90.0, 600.0
# Ray gives it to the node that the cluster cannot do without, and to no other one.
_ON_THE_HEAD = {"node:__internal_head__": 0.001}

_log = logging.getLogger(__name__)


class AdmissionFailed(UserError):
    """Whether the run may begin could not be asked; the message says why."""


class AdmissionDesk:
    """The actor that decides. Ray starts it anew where it died; it admits nobody then until all holders were heard."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray 2.60 warns of a deprecated method that it uses itself here
            anew = ray.get_runtime_context().was_current_actor_reconstructed
        self._admission = Admission(closed_until=time.monotonic() + 3 * RENEWED_EVERY_S if anew else float("-inf"))

    def ask(self, claim: Claim, holds: bool) -> Verdict:
        """Make or renew a claim, see `Admission.ask`."""
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        nodes = [Node(has.get("CPU", 0), has.get("GPU", 0)) for has in alive]
        return self._admission.ask(claim, nodes, time.monotonic(), time.time(), holds)

    def release(self, run: str, driver: str) -> None:
        """Give up a claim."""
        self._admission.release(run, driver)


def user_name() -> str:
    """Return who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in many containers
        return f"user {os.getuid()}"


def owner_in_words(run_dir: Path) -> str:
    """Return user, host and run directory of this process's run, for others that wait for it."""
    return f"{user_name()} on {socket.gethostname()}, {run_dir.resolve()}"


class Turn:
    """A run's claim on the cluster that this process is connected to.

    Args:
        run: a name that no other run on the cluster has.
        owner: who to name to others that wait, see `owner_in_words`.
        processes: all that the run may have at one time.
    """

    def __init__(self, run: str, owner: str, processes: Sequence[Processes]) -> None:
        self.claim = Claim(run, uuid.uuid4().hex, owner, tuple(processes))
        self._desk: Any = None  # Ray's actors have no types
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def wait(self, told: Callable[[Verdict], None]) -> Verdict:
        """Wait until the run is admitted, keep the claim from then on, and return the answer that admitted it.

        Args:
            told: called with every answer that is not yes, about once a second.

        Raises:
            AdmissionFailed: nobody has answered for ten minutes.
        """
        heard = time.monotonic()
        while True:
            try:
                verdict = self._ask(holds=False)
            except (RayError, GetTimeoutError) as error:
                silent_s = time.monotonic() - heard
                # On a busy cluster the first run waits a while for the actor to start.
                _log.log(
                    logging.WARNING if silent_s > _SLOW_S else logging.INFO,
                    "admission could not be asked for: %s",
                    error,
                )
                if silent_s > _GIVE_UP_AFTER_S:
                    raise AdmissionFailed(
                        f"The actor {DESK} of the cluster, which decides when runs that share it may begin, has not "
                        f"answered for {_GIVE_UP_AFTER_S:.0f} s: {_first_line(error)}. See that the cluster is well "
                        "(ray status) and that knowlip is installed on its head node, then give the command again."
                    ) from error
            else:
                heard = time.monotonic()
                if verdict.admitted:
                    break
                told(verdict)
            time.sleep(ASKED_EVERY_S)
        self._thread = threading.Thread(target=self._keep, name="admission", daemon=True)
        self._thread.start()
        return verdict

    def close(self) -> None:
        """Give the claim up, whether it was admitted or waits. One that cannot be given up expires."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_PATIENCE_S)  # a Ray that answers no more must not keep the run from its end
        if self._desk is None or not ray.is_initialized():
            return
        try:
            ray.get(self._desk.release.remote(self.claim.run, self.claim.driver), timeout=_END_PATIENCE_S)
        except (RayError, GetTimeoutError) as error:
            _log.warning("the claim could not be given up, and expires in %.0f s: %s", EXPIRES_AFTER_S, error)

    def _keep(self) -> None:
        while not self._stop.wait(RENEWED_EVERY_S):
            if not ray.is_initialized():  # asking Ray anything would start a cluster now
                return
            try:
                self._ask(holds=True)
            except Exception as error:  # it may pass; if Ray is gone, the loop fails itself
                _log.warning("the claim on the cluster could not be renewed: %s", error)

    def _ask(self, holds: bool) -> Verdict:
        try:
            if self._desk is None:
                self._desk = _desk()
            return ray.get(self._desk.ask.remote(self.claim, holds), timeout=_PATIENCE_S)
        except RayError:
            self._desk = None  # it is looked up, or started, anew
            raise


def _desk() -> Any:
    """Return the cluster's desk, which the first run starts. It outlives every run."""
    return (
        ray.remote(AdmissionDesk)
        .options(
            name=DESK,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            resources=_ON_THE_HEAD,
            max_restarts=-1,
        )
        .remote()
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
