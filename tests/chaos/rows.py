"""The rows of the table of `make chaos`: every fault, and how it is injected."""

import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from chaos.cut_tiles import run_on_cut_scenes
from chaos.driver import ChaosError, NotSurvived
from chaos.faults import FAULTS, Fault
from chaos.full_disk import PHASES as FULL_IN
from chaos.full_disk import run_on_full_disk
from chaos.full_spill import PHASE as SPILLS_IN
from chaos.full_spill import run_without_room_to_spill
from chaos.injection import Outcome, TooLate
from chaos.mlflow_away import run_without_mlflow
from chaos.nodes import run_losing_a_node, run_with_nodes
from chaos.races import RACES, run_races
from chaos.reference import Reference
from chaos.results import Result
from chaos.run import run_with_faults
from chaos.verdict import judge
from corpus.storage.rng import derive_seed
from hcot_llm.engines.fault_injection import ANSWER_FAULTS
from hcot_llm.schema.errors import AnswerError
from orchestrator.state.records import read_records


@dataclass(frozen=True)
class Row:
    """One fault.

    inject: a whole run under it, in a folder of its own. equal: it has to end bit for bit as the undisturbed run.
    once: seeds make no difference to it; it is run with seed 0 alone. timed: it does the work of the undisturbed run,
    so that the times can be compared. fault: one that ends a process, which may share its run with others.
    """

    name: str
    inject: Callable[[Reference, int, Path], Outcome]
    equal: bool = True
    once: bool = False
    timed: bool = True
    fault: Fault | None = None


def run_row(row: Row, reference: Reference, seed: int, folder: Path) -> Result:
    """Inject a row's fault and judge what came of it. The run is kept only where something is wrong with it.

    Raises:
        ChaosError: the fault could not be injected.
    """
    try:
        outcome = row.inject(reference, seed, folder)
    except NotSurvived as error:
        return Result(fault=row.name, seed=seed, injected=1, equal=False if row.equal else None, notes=(str(error),))
    except ChaosError:
        raise
    except Exception as error:  # what a run has left is so wrong that it cannot be looked at
        traceback.print_exc()
        return Result(fault=row.name, seed=seed, notes=(f"{type(error).__name__}: {error}; see {folder}",))
    if outcome.not_possible is not None:
        return Result(fault=row.name, seed=seed, not_possible=outcome.not_possible)
    verdict = judge(outcome, reference, row.equal)
    result = Result(
        fault=row.name,
        seed=seed,
        injected=outcome.injected,
        survived=outcome.finished,
        resumes=outcome.resumes,
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        equal=verdict.equal if row.equal else None,
        extra_s=outcome.seconds - reference.seconds if row.timed else None,
        at_most_s=reference.recovery_s(outcome.injections),
        notes=verdict.notes,
    )
    if result.good:
        shutil.rmtree(folder)
    return result


def inject_once(fault: Fault, reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run that one fault hits at a moment drawn from the seed; at an earlier one where the phase was over by then."""
    rounds = fault.rounds(len(reference.records))
    injection = reference.injection(fault, rounds[derive_seed(seed, fault.name, "round") % len(rounds)], seed)
    for last in (False, False, True):
        try:
            return run_with_faults(reference.config, folder, reference.settings, [injection])
        except TooLate:
            if last:
                raise
            injection = replace(injection, delay_s=injection.delay_s / 2)
    raise AssertionError("unreachable")


def damage_answers(reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run in which a tenth of the captioner's answers is damaged. It comes out differently, and loses nothing."""
    outcome = run_with_faults(reference.config, folder, [*reference.settings, "captioner.engine.fault_share=0.1"])
    metrics = [record.metrics for record in read_records(outcome.run_dir)]
    outcome.injected = sum(int(each.get("faults_injected") or 0) for each in metrics)
    counted = Counter(
        {reason: sum(int(each.get(f"invalid_{reason}") or 0) for each in metrics) for reason in AnswerError.REASONS}
    )
    if counted.total() < outcome.injected:
        outcome.complaints.append(f"{outcome.injected} answers were damaged, {counted.total()} counted as invalid")
    if missing := [fault for fault in ANSWER_FAULTS if not counted[fault]]:
        outcome.complaints.append(f"no answer was counted as invalid by reason of {', '.join(missing)}")
    if not sum(int(each.get("recovered") or 0) for each in metrics):
        outcome.complaints.append("no answer came right when it was asked again")
    return outcome


ROWS = (
    *(Row(fault.name, partial(inject_once, fault), fault=fault) for fault in FAULTS),
    Row("add and remove a node, inside train", run_with_nodes, equal=False, timed=False),
    *(
        Row(
            f"kill -9 another node than the driver's, in {phase}",
            partial(run_losing_a_node, phase),
            once=True,
            timed=False,
        )
        for phase in ("train", "score", "label")
    ),
    *(
        Row(f"MLflow stop and start, {when}", partial(run_without_mlflow, during), once=True)
        for when, during in (("in the run", True), ("after its end", False))
    ),
    *(
        Row(f"disk full, in {phase} ({what})", partial(run_on_full_disk, phase), once=True)
        for phase, what in FULL_IN.items()
    ),
    Row(f"disk full, in {SPILLS_IN} (spill)", run_without_room_to_spill, once=True, timed=False),
    Row(f"two drivers x {RACES}", run_races, once=True, timed=False),
    Row("damaged captions 10 %", damage_answers, equal=False, once=True),
    Row("truncated tiles 1 %", run_on_cut_scenes, equal=False, timed=False),
)
"""What `make chaos` injects."""
