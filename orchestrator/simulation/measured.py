"""Costs from the records of a finished run: what each phase took, divided by what it had to do."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from corpus.storage.errors import InputError
from orchestrator.config.schema import RunConfig
from orchestrator.policies.schedule import Phase, Schedule
from orchestrator.simulation.costs import Costs, PhaseCost
from orchestrator.simulation.hardware import CAPTIONER, SCORER, choose_hardware, crew_of, speed, speed_of_training
from orchestrator.state.records import PHASES, RoundRecord, read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory


@dataclass(frozen=True)
class Measured:
    """A run that was measured.

    Attributes:
        config: Its configuration.
        records: Its records, at least one.
        costs: What follows from them.
    """

    config: RunConfig
    records: tuple[RoundRecord, ...]
    costs: Costs

    @property
    def total_s(self) -> float:
        """Seconds of all recorded rounds."""
        return sum(record.timings.total_s for record in self.records)


def measure(run_dir: Path, cores: float | None = None) -> Measured:
    """Read what the steps of a run cost.

    Args:
        run_dir: Directory of the run.
        cores: CPU cores of the machine that it ran on; None: those of this one.

    Raises:
        InputError: There is no run, no round of it is recorded, or its phases overlapped.
        RecordError: A record is damaged.
    """
    directory, config = RunDirectory.open(run_dir)
    records, initial = read_records(directory.path), read_initial_summary(directory.path)
    if not records or initial is None:
        raise InputError(f"{run_dir} has no recorded round yet, so it says nothing of costs.")
    if any(record.trained_ahead_s for record in records):
        raise InputError(
            f"Rounds of {run_dir} were trained while others were labelled (schedule.staleness), so their phases shared "
            "the cores and what one of them costs is not known. Give the directory of a run with schedule.staleness 0."
        )
    there = float(cores if cores is not None else len(os.sched_getaffinity(0)))
    return Measured(config, tuple(records), costs_of(config, records, initial.tiles, there))


def costs_of(config: RunConfig, records: Sequence[RoundRecord], tiles: int, cores: float) -> Costs:
    """Costs from the records of a run.

    Args:
        config: Configuration of the run.
        records: Its records, at least one.
        tiles: Tiles of its corpus.
        cores: CPU cores of the machine that it ran on.
    """
    defaults = Costs()
    training = records[0].counts.scored / len(config.annotation_schema)
    schedule = Schedule(config.schedule, config.train, config.acceptance)
    crew = crew_of(config, choose_hardware(config, cores, None, None, None))
    scorer, captioner = crew.kinds[SCORER], crew.kinds[CAPTIONER]
    by_round = []
    for record in records:
        plan, counts = schedule.plan(record.round), record.counts
        # A run of several folds trains each on all but its own tiles, and scores the held-out ones with every model.
        shown = (schedule.folds - 1 or 1) * training * plan.epochs
        shown *= 1 + defaults.rare_share * (plan.rare_landform_factor - 1)
        scored = training + schedule.folds * (tiles - training)
        queried = counts.regenerated + counts.flagged * schedule.folds * (tiles - training) / training
        by_round.append(
            {
                "train": shown / speed_of_training(config, record.world_size, cores),
                "publish": 0.0,
                "score": scored / speed(scorer.count, scorer.each.gpus, cores),
                "label": (queried if plan.phase is Phase.REFILL else 0.0)
                / speed(max(1, captioner.count), captioner.each.gpus, cores),
                "refresh": float(tiles),
                "evaluate": float(tiles),
            }
        )
    flagging = [_that_flags(records[index:]) or _that_flags(records) or records[0] for index in range(len(records))]
    startup_s = sum(record.timings.startup_s for record in records)
    costs = Costs(
        cores=cores,
        tiles=tiles,
        training_share=min(max(training / tiles, 1e-6), 1 - 1e-6),
        flagged_share=tuple(record.counts.flagged / max(1, record.counts.scored) for record in flagging),
        accepted_share=tuple(record.counts.accepted / max(1, record.counts.regenerated) for record in flagging),
        startup=PhaseCost(start_s=startup_s, busy_cores=_busy_cores("startup", records)),
    )
    of_phases = {
        phase: _phase_cost(phase, records, [units[phase] for units in by_round], schedule.folds) for phase in PHASES
    }
    return costs.model_copy(update=of_phases)


def _that_flags(records: Sequence[RoundRecord]) -> RoundRecord | None:
    """The first round that flagged something: a round of phase 1 tells nothing of what others flag."""
    return next((record for record in records if record.counts.flagged), None)


def _phase_cost(phase: str, records: Sequence[RoundRecord], units: list[float], folds: int) -> PhaseCost:
    """Seconds of a phase as a start, a rate, and what the first round took more."""
    seconds = [getattr(record.timings, f"{phase}_s") for record in records]
    entered = folds if phase in ("train", "publish", "score", "label") else 1
    later = slice(1, None) if len(records) > 1 else slice(0, None)
    start, each = _line(units[later], seconds[later], entered)
    first = seconds[0] - entered * start - each * units[0]
    if first < 0:  # the first round was faster than its successors say: all rounds together say more
        (start, each), first = _line(units, seconds, entered), 0.0
    return PhaseCost(first_s=first, start_s=start, each_s=each, busy_cores=_busy_cores(phase, records))


def _line(units: Sequence[float], seconds: Sequence[float], entered: int) -> tuple[float, float]:
    """Seconds of a start and of a unit, neither below 0, by least squares. With one amount alone all is in the rate."""
    if not any(units):
        return float(np.mean(seconds)) / entered, 0.0
    if len(set(units)) == 1:
        return 0.0, float(np.mean(seconds)) / units[0]
    (start, each), _ = nnls(np.column_stack([np.full(len(units), entered), units]), np.asarray(seconds))
    return float(start), float(each)


def _busy_cores(phase: str, records: Sequence[RoundRecord]) -> float | None:
    """CPU cores that were busy in a phase on average; None where the records do not tell."""
    measured = [(record.cpu_s[phase], getattr(record.timings, f"{phase}_s")) for record in records if record.cpu_s]
    seconds = sum(lasted for _, lasted in measured)
    return sum(used for used, _ in measured) / seconds if seconds else None
