"""Waiting for room on a cluster that runs share, and telling everybody about it meanwhile."""

import time
from collections.abc import Callable

from orchestrator.cluster.admission import Turn
from orchestrator.policies.admission import Verdict, waiting_message
from orchestrator.policies.stall import duration
from orchestrator.run.actors import end_leftovers
from orchestrator.run.phases import Phases
from orchestrator.tracking.base import WAITING_TAG, Tracker

_FIRST_ANSWER = "the first answer of the cluster's admission"


def wait_for_room(
    turn: Turn, phases: Phases, tracker: Tracker, say: Callable[[str], None], describe: Callable[[str], None]
) -> None:
    """Wait until the cluster admits the run, and end what killed runs left there. Nothing is told without a wait.

    Args:
        turn: the run's claim.
        phases: shows the phase, and writes to the run directory what is waited for.
        tracker: is told the same.
        say: prints a line; called once, and once more when the waiting is over.
        describe: enters what is waited for in the description of the run.

    Raises:
        AdmissionFailed: nobody answers.
    """
    begun, last = time.monotonic(), ""
    phases.waits_for(_FIRST_ANSWER)  # a reader of the directory sees a wait with its reason from the first moment on

    def told(verdict: Verdict) -> None:
        nonlocal last
        said = waiting_message(turn.claim, verdict)
        phases.waits_for(said)
        if said == last:
            return
        if not last:
            say(f"Waiting for {said}. Ctrl-C ends the waiting; `knowlip status` tells how it stands.")
        tracker.log_tags({WAITING_TAG: f"Waits for {said}."})
        describe(said)
        last = said

    verdict = turn.wait(told)
    for run in verdict.expired:
        end_leftovers(run)
    if last:
        waited = f"Waited {duration(time.monotonic() - begun)} for room on the cluster."
        say(waited)
        tracker.log_tags({WAITING_TAG: waited})
