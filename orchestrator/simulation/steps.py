"""The steps of the loop as a simulation takes them: each one moves the clock by what it costs."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from orchestrator.config.schema import RunConfig
from orchestrator.policies.folds import Fold
from orchestrator.policies.schedule import Phase, RoundPlan, Schedule
from orchestrator.simulation.costs import Costs
from orchestrator.simulation.hardware import CAPTIONER, SCORER, TRAINER, Crew, Hardware, speed, speed_of_training
from orchestrator.simulation.timeline import Clock, Work


@dataclass(frozen=True)
class SimulatedRound:
    """One round: its number, counted from 1, and its plan by the schedule."""

    number: int
    plan: RoundPlan


@dataclass(frozen=True)
class SimulatedCorpus:
    """The tiles, all that a simulation knows of a corpus.

    Attributes:
        folds: The models, and which tiles each one trains on and scores.
        in_training: bool [tiles].
        clauses: Clauses of a tile.
    """

    folds: tuple[Fold, ...]
    in_training: np.ndarray
    clauses: int


@dataclass(frozen=True)
class SimulatedAnswers:
    """Clauses of training tiles that a fold's captioner answered."""

    regenerated: int


class SimulatedSteps:
    """What `orchestrator.run.steps` is to a run.

    Args:
        config: Configuration of the run.
        costs: What each step costs.
        hardware: The cluster.
        crew: The processes on it.
        clock: Is moved by each step.
    """

    def __init__(self, config: RunConfig, costs: Costs, hardware: Hardware, crew: Crew, clock: Clock) -> None:
        self._config, self._costs, self._hardware, self._crew, self._clock = config, costs, hardware, crew, clock
        self._schedule = Schedule(config.schedule, config.train, config.acceptance)

    def train(self, round_: SimulatedRound, corpus: SimulatedCorpus, fold: Fold, _: Any) -> None:
        """Show the fold's training tiles as often as the plan says, or wait until that is over."""
        if self._clock.goes_on(round_.number, fold.number):
            self._clock.wait()
        else:
            self._clock.spend(self._training(round_.number, round_.plan, fold))

    def train_beside(self, round_: SimulatedRound, corpus: SimulatedCorpus, fold: Fold, *_: Any) -> None:
        """Begin the training that goes on while labels are written, where the schedule has one."""
        beside = self._schedule.training_beside(round_.number, fold.number, self._config.rounds)
        if beside is not None:
            number, next_fold = beside
            self._clock.begin(self._training(number, self._schedule.plan(number), corpus.folds[next_fold]))

    def _training(self, number: int, plan: RoundPlan, fold: Fold) -> Work:
        shown = fold.trains.sum() * (1 + self._costs.rare_share * (plan.rare_landform_factor - 1)) * plan.epochs
        workers = speed_of_training(self._config, self._crew.count(TRAINER), self._hardware.cores)
        return self._work(number, fold, "train", shown, workers)

    def publish(self, round_: SimulatedRound, fold: Fold, *_: Any) -> None:
        """Publish the weights."""
        self._spend(round_, fold, "publish", 1)

    def score(self, round_: SimulatedRound, corpus: SimulatedCorpus, fold: Fold, _: Any) -> None:
        """Score all tiles that the fold's model scores."""
        scorer = self._crew.kinds[SCORER]
        self._spend(
            round_, fold, "score", fold.scored.sum(), speed(scorer.count, scorer.each.gpus, self._hardware.cores)
        )

    def find_flagged(
        self, round_: SimulatedRound, corpus: SimulatedCorpus, fold: Fold, *_: Any
    ) -> tuple[int, tuple[int, int]]:
        """Flag the stated share of the clauses, and query as many of them as the plan allows.

        Returns:
            The flagged clauses, and (queried clauses of training tiles, queried clauses of held-out tiles).
        """
        if round_.plan.phase is Phase.TRAIN:
            return 0, (0, 0)
        share = _in_round(self._costs.flagged_share, round_.number)
        training = int(fold.labels.sum()) * corpus.clauses
        held_out = int((fold.scored & ~corpus.in_training).sum()) * corpus.clauses
        flagged = round(share * (training + held_out))
        if round_.plan.phase is Phase.FLAG:
            return flagged, (0, 0)
        allowed = min(round(share * training), int(round_.plan.regenerated_share * training))
        return flagged, (allowed, round(share * held_out))

    def relabel(
        self,
        round_: SimulatedRound,
        corpus: SimulatedCorpus,
        fold: Fold,
        _scores: Any,
        queried: tuple[int, int],
        _captioner: Any,
    ) -> SimulatedAnswers:
        """Answer the queried clauses."""
        captioner = self._crew.kinds[CAPTIONER]
        # A captioner that is no process of the cluster, such as an endpoint, answers as one.
        workers = speed(max(1, captioner.count), captioner.each.gpus, self._hardware.cores)
        self._spend(round_, fold, "label", sum(queried), workers)
        return SimulatedAnswers(queried[0])

    def join(self, corpus: SimulatedCorpus, findings: list[SimulatedAnswers]) -> SimulatedAnswers:
        """Add up what the folds' captioners answered."""
        return SimulatedAnswers(sum(each.regenerated for each in findings))

    def aggregate(self, round_: SimulatedRound, corpus: SimulatedCorpus, findings: SimulatedAnswers, _: Any) -> int:
        """Accept the stated share of the answers. Its time is a part of labelling's."""
        return round(_in_round(self._costs.accepted_share, round_.number) * findings.regenerated)

    def refresh(self, round_: SimulatedRound, corpus: SimulatedCorpus, *_: Any) -> SimulatedCorpus:
        """Commit and shuffle."""
        self._spend(round_, None, "refresh", len(corpus.in_training))
        return corpus

    def evaluate(self, round_: SimulatedRound, corpus: SimulatedCorpus, *_: Any) -> SimpleNamespace:
        """Evaluate, which comes to nothing here."""
        self._spend(round_, None, "evaluate", len(corpus.in_training))
        return SimpleNamespace()

    def _spend(self, round_: SimulatedRound, fold: Fold | None, phase: str, units: float, workers: float = 1.0) -> None:
        """Move the clock by what a phase costs that `workers` processes share."""
        self._clock.spend(self._work(round_.number, fold, phase, units, workers))

    def _work(self, number: int, fold: Fold | None, phase: str, units: float, workers: float) -> Work:
        cost = self._costs.of(phase)
        first = cost.first_s if number == 1 and (fold is None or fold.number == 0) else 0.0
        seconds = first + cost.start_s + cost.each_s * float(units) / workers
        cores = min(workers if cost.busy_cores is None else cost.busy_cores, self._hardware.cores)
        return Work(number, None if fold is None else fold.number, phase, seconds, float(units), cores)


def _in_round(values: tuple[float, ...], round_: int) -> float:
    return values[min(round_, len(values)) - 1]
