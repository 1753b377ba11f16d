"""Faults that strike the same run one after the other, so that a long table needs fewer runs."""

import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.driver import NotSurvived
from chaos.faults import START_UP, Fault
from chaos.reference import Reference
from chaos.results import Result
from chaos.run import run_with_faults
from chaos.verdict import judge
from corpus.storage.rng import derive_seed
from orchestrator.state.records import PHASES

TOGETHER = "several in one run, from "
"""How the result of a run begins that is not of one fault."""


@dataclass(frozen=True)
class SharedFault:
    """One fault with one seed, and the round that it strikes in a shared run; start-up is before the first."""

    fault: Fault
    seed: int
    round: int


def share(wanted: Sequence[tuple[Fault, int]], rounds: int) -> list[list[SharedFault]]:
    """Runs that take all that may share one, each in the order of time.

    No phase of a round is struck twice, so that whatever a fault broke has to work again before the run is over. Faults
    that end the driver do not share runs with others: a resume starts everything anew, and would hide that an actor did
    not come back by itself. Faults that hand the run to another driver share none. The seed draws the round, too.
    """
    runs = []
    for ends in (False, True):
        may_share = [each for each in wanted if each[0].shares and each[0].ends_driver == ends]
        waiting = {phase: deque() for phase in (START_UP, *PHASES)}
        for seed in dict.fromkeys(seed for _, seed in may_share):
            for place, (phase, queue) in enumerate(waiting.items()):
                of_phase = deque(fault for fault, of in may_share if of == seed and fault.phase == phase)
                # The same process twice in a row might not be back yet.
                of_phase.rotate(-3 * place - derive_seed(seed, "order of faults") % 1000)
                queue.extend((fault, seed) for fault in of_phase)
        while any(waiting.values()):
            moments = [
                (1, START_UP),
                *((round_, phase) for round_ in may_share[0][0].rounds(rounds) for phase in PHASES),
            ]
            runs.append([SharedFault(*waiting[phase].popleft(), round_) for round_, phase in moments if waiting[phase]])
    return runs


def run_shared(faults: Sequence[SharedFault], reference: Reference, folder: Path) -> list[Result]:
    """One run under all `faults`: a result for each that struck.

    Where anything is wrong with the run, it is kept. It is not known then which of them did it, and there is one result
    for all of them, which stands in the table as well.

    Raises:
        ChaosError: the faults could not be injected.
    """
    injections = [reference.injection(each.fault, each.round, each.seed) for each in faults]
    together = Result(fault=f"{TOGETHER}{faults[0].fault.name}", seed=faults[0].seed, shared=len(faults))
    try:
        outcome = run_with_faults(reference.config, folder, reference.settings, injections)
    except NotSurvived as error:
        return [together.model_copy(update={"injected": len(faults), "notes": (str(error),)})]
    verdict = judge(outcome, reference)
    if verdict.notes or verdict.lost or verdict.duplicated:
        struck = ", ".join(f"{each.fault.name} of round {each.round}" for each in outcome.injections)
        return [
            together.model_copy(
                update={
                    "injected": outcome.injected,
                    "survived": outcome.finished,
                    "resumes": outcome.resumes,
                    "lost": verdict.lost,
                    "duplicated": verdict.duplicated,
                    "equal": verdict.equal,
                    "notes": (*verdict.notes, f"struck: {struck}; see {folder}"),
                }
            )
        ]
    shutil.rmtree(folder)
    at_most_s = reference.recovery_s(outcome.injections)
    return [
        Result(
            fault=each.fault.name,
            seed=each.seed,
            injected=1,
            survived=True,
            resumes=outcome.resumes,
            equal=True,
            extra_s=(outcome.seconds - reference.seconds) / len(outcome.injections),
            shared=len(outcome.injections),
            at_most_s=at_most_s,
        )
        for each, injection in zip(faults, injections, strict=True)
        if injection in outcome.injections
    ]
