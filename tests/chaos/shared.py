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
class Blow:
    """One fault with one seed, and the round that it strikes in a shared run; start-up is before the first."""

    fault: Fault
    seed: int
    round: int


def share(wanted: Sequence[tuple[Fault, int]], rounds: int) -> list[list[Blow]]:
    """Runs that take all that may share one, each in the order of time.

    No phase of a round is struck twice, so that whatever a blow broke has to work again before the run is over. Blows
    that end the driver do not share runs with others: a resume starts everything anew, and would hide that an actor did
    not come back by itself. Blows that hand the run to another driver share none. The seed decides over the round, too.
    """
    runs = []
    for ends in (False, True):
        may_share = [each for each in wanted if each[0].shares and each[0].ends_driver == ends]
        waiting = {phase: deque() for phase in (START_UP, *PHASES)}
        for seed in dict.fromkeys(seed for _, seed in may_share):
            for place, (phase, queue) in enumerate(waiting.items()):
                faults = deque(fault for fault, of in may_share if of == seed and fault.phase == phase)
                # The same process twice in a row might not be back yet.
                faults.rotate(-3 * place - derive_seed(seed, "order of faults") % 1000)
                queue.extend((fault, seed) for fault in faults)
        while any(waiting.values()):
            moments = [
                (1, START_UP),
                *((round_, phase) for round_ in may_share[0][0].rounds(rounds) for phase in PHASES),
            ]
            runs.append([Blow(*waiting[phase].popleft(), round_) for round_, phase in moments if waiting[phase]])
    return runs


def run_shared(blows: Sequence[Blow], reference: Reference, folder: Path) -> list[Result]:
    """One run under all `blows`: a result for each that struck. Where anything is wrong with the run, which is kept then, it
    is not known which of them did it, and there is one result for all of them, which stands in the table as well.

    Raises:
        ChaosError: the faults could not be injected.
    """
    strikes = [reference.blow(blow.fault, blow.round, blow.seed) for blow in blows]
    together = Result(fault=f"{TOGETHER}{blows[0].fault.name}", seed=blows[0].seed, shared=len(blows))
    try:
        outcome = run_with_faults(reference.config, folder, reference.settings, strikes)
    except NotSurvived as error:
        return [together.model_copy(update={"injected": len(blows), "notes": (str(error),)})]
    verdict = judge(outcome, reference)
    if verdict.notes or verdict.lost or verdict.duplicated:
        struck = ", ".join(f"{strike.fault.name} of round {strike.round}" for strike in outcome.struck)
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
    at_most_s = reference.recovery_s(outcome.struck)
    return [
        Result(
            fault=blow.fault.name,
            seed=blow.seed,
            injected=1,
            survived=True,
            resumes=outcome.resumes,
            equal=True,
            extra_s=(outcome.seconds - reference.seconds) / len(outcome.struck),
            shared=len(outcome.struck),
            at_most_s=at_most_s,
        )
        for blow, strike in zip(blows, strikes, strict=True)
        if strike in outcome.struck
    ]
