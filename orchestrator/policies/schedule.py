"""What each round does: how it starts, what is written again, what its targets are, whether another round follows.

Pure decisions from a configuration and from what a round came to. Keys that may differ from round to round take one
value, or a list with a value for each round of which the last holds for all later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from actors.trainer.config import TrainConfig
from corpus.storage.models import StrictModel
from hcot_llm.aggregation.acceptance import AcceptanceConfig

_T = TypeVar("_T")


class Phase(IntEnum):
    """SAR-KnowLIP's phases, as what follows a round's training."""

    TRAIN = 1
    """Nothing is flagged and nothing is written; all clauses are training targets."""
    FLAG = 2
    """Flagged clauses leave the targets of the next round and keep their values."""
    REFILL = 3
    """Flagged clauses are masked and written again, and what is accepted is a training target."""


def _as_list(value: object) -> object:
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("a list by round needs a value for the first round at least")
        return value
    return [value]


ByRound = Annotated[
    tuple[_T, ...],
    BeforeValidator(_as_list),
    PlainSerializer(lambda values: values[0] if len(values) == 1 else list(values)),
]
"""A value for each round, of which the last holds for all later ones; one value stands for a list of one."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Factor = Annotated[float, Field(ge=1, le=4)]
_Epochs = Annotated[int, Field(ge=1)]


class ScheduleConfig(StrictModel):
    """The rounds of a run. Most keys take one value or a list by round, whose last value holds for all later ones."""

    model_config = ConfigDict(validate_default=True)

    phase: ByRound[Literal[1, 2, 3]] = Field(
        default=(3,),
        description="the paper's phase, by round: 1 trains alone; 2 flags clauses, which leave the next "
        "round's targets; 3 has them written again",
    )
    start: ByRound[Literal["warm", "scratch"]] = Field(
        default=("warm",),
        description="by round: `warm` goes on with the round before, optimiser included; `scratch` begins "
        "with the weights of round 1's start",
    )
    epochs: ByRound[_Epochs] | None = Field(
        default=None,
        description="passes over the corpus, by round; null: train.first_round_epochs from scratch, else "
        "train.round_epochs",
    )
    folds: int = Field(
        default=1,
        ge=1,
        le=10,
        description="out-of-fold labelling: as many models, each trained without the tiles that it "
        "scores and labels; 1: one model of all tiles",
    )
    staleness: Literal[0, 1] = Field(
        default=0,
        description="rounds of labels that a round's training may lack: 0 trains on all labels of the rounds before; 1 "
        "trains on those of the rounds before the last one, and goes on while the last one's labels are written",
    )
    flagged_leave: Literal["every_loss", "reconstruction"] = Field(
        default="every_loss",
        description="what a clause is no target of while it is flagged by phase 2 or less probable than "
        "acceptance.minimum_trust; `reconstruction` as in the paper",
    )
    regenerated_share: ByRound[_Share] = Field(
        default=(1.0,),
        description="of the training tiles' clauses, at most written again, by round; the least confident first",
    )
    acceptance_margin: ByRound[_Share] | None = Field(
        default=None, description="acceptance.minimum_margin by round; null: that key"
    )
    acceptance_floor: _Share | None = Field(
        default=None,
        description="a run ends after a round that accepted a smaller share of what it regenerated; null: never",
    )
    flat_rounds: int | None = Field(
        default=None,
        ge=1,
        description="a run ends after so many rounds in a row that did not raise the held-out likelihood by "
        "schedule.flat_gain; null: never",
    )
    flat_gain: float = Field(
        default=0.001, ge=0, description="rise of the held-out likelihood, in nats a clause, below which it is flat"
    )
    initial_caption_share: ByRound[_Share] = Field(
        default=(0.0,),
        description="of a round's training tiles, shown with the initial values and not the newest, by round",
    )
    rare_landform_factor: ByRound[_Factor] = Field(
        default=(1.0,),
        description="how often a tile annotated with a rare landform is shown in an epoch, by round; a fraction "
        "is drawn",
    )


def schedule_label(config: ScheduleConfig) -> str:
    """Name a schedule by what it has in other ways than the default one, such as "phase 1, 2, 3; folds 2"."""
    here, default = config.model_dump(mode="json"), ScheduleConfig().model_dump(mode="json")
    changed = [f"{key} {_in_words(value)}" for key, value in here.items() if value != default[key]]
    return "; ".join(changed) or "default"


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class RoundPlan:
    """One round as the schedule wants it.

    Its training: from_scratch (with the peak learning rate that belongs to it), epochs, initial_caption_share,
    rare_landform_factor. What follows: phase, regenerated_share, acceptance_margin.
    """

    from_scratch: bool
    epochs: int
    initial_caption_share: float
    rare_landform_factor: float
    phase: Phase
    regenerated_share: float
    acceptance_margin: float


class Schedule:
    """The policy: one plan a round, and whether to go on after it."""

    def __init__(self, config: ScheduleConfig, train: TrainConfig, acceptance: AcceptanceConfig) -> None:
        self._config, self._train, self._acceptance = config, train, acceptance

    @property
    def folds(self) -> int:
        """Number of models of the run."""
        return self._config.folds

    def plan(self, round_: int) -> RoundPlan:
        """What round `round_`, counted from 1, does."""
        config = self._config
        from_scratch = round_ == 1 or _in_round(config.start, round_) == "scratch"
        epochs, margin = config.epochs, config.acceptance_margin
        return RoundPlan(
            from_scratch=from_scratch,
            epochs=self._train.epochs(from_scratch) if epochs is None else _in_round(epochs, round_),
            initial_caption_share=_in_round(config.initial_caption_share, round_),
            rare_landform_factor=_in_round(config.rare_landform_factor, round_),
            phase=Phase(_in_round(config.phase, round_)),
            regenerated_share=_in_round(config.regenerated_share, round_),
            acceptance_margin=self._acceptance.minimum_margin if margin is None else _in_round(margin, round_),
        )

    def trained_on(self, round_: int) -> int:
        """Number of the round whose annotations round `round_` is trained on; 0: the initial annotations."""
        return max(0, round_ - 1 - self._config.staleness)

    def rounds_trained_on(self, last_round: int) -> range:
        """The rounds that can be trained as soon as those up to `last_round` are committed, and are not labelled yet.

        The first of them is the next round to be labelled.
        """
        return range(last_round + 1, last_round + 2 + self._config.staleness)

    def training_beside(self, round_: int, fold: int, rounds: int) -> tuple[int, int] | None:
        """The training that goes on while a fold's labels are written; None where nothing is trained meanwhile.

        Args:
            round_: number of the round, counted from 1.
            fold: number of the fold, counted from 0.
            rounds: rounds of the run.

        Returns:
            (round, fold): the next fold of the same round or, after the last one, the first fold of the next round.
        """
        if self._config.staleness == 0:
            return None
        if fold + 1 < self.folds:
            return round_, fold + 1
        return (round_ + 1, 0) if round_ < rounds else None

    def masks(self, round_: int, flagged: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose the training targets of the round after `round_`.

        Args:
            round_: number of the round, counted from 1.
            flagged: bool [N, clauses], what round `round_` flagged.
            confidence: float [N, clauses], of its annotations.

        Returns:
            (caption mask, loss mask), each bool [N, clauses]: the targets of captions and clause losses, and those of
            reconstruction.
        """
        phase = self.plan(round_).phase
        if phase is Phase.TRAIN:
            kept = np.ones(flagged.shape, dtype=bool)
        else:
            kept = confidence >= self._acceptance.minimum_trust
            if phase is Phase.FLAG:
                kept &= ~flagged
        everything = np.ones(flagged.shape, dtype=bool)
        return (everything if self._config.flagged_leave == "reconstruction" else kept), kept

    def why_end(self, round_: int, regenerated: int, accepted: int) -> str | None:
        """Say why the run ends after `round_` although it has more rounds; None where it goes on.

        A round that regenerated nothing ends no run.

        Args:
            round_: number of the round, counted from 1.
            regenerated: Number of clauses of training tiles that the captioner answered in this round.
            accepted: Number of those clauses whose new value was accepted.
        """
        floor = self._config.acceptance_floor
        if floor is None or regenerated == 0 or accepted >= floor * regenerated:
            return None
        share = accepted / regenerated
        return (
            f"round {round_} accepted {share:.1%} of what it regenerated, less than schedule.acceptance_floor "
            f"({floor:.1%})"
        )

    def why_flat(self, held_out: Sequence[float | None]) -> str | None:
        """Say why the run ends as its held-out likelihood rises no more; None where it goes on.

        No truth is read. Where a round lacks the likelihood nothing ends.

        Args:
            held_out: Held-out likelihood of every round until now, in nats a clause.
        """
        rounds, gain = self._config.flat_rounds, self._config.flat_gain
        known = [value for value in held_out if value is not None]
        if rounds is None or len(held_out) <= rounds or len(known) < len(held_out):
            return None
        best, recent = max(known[:-rounds]), max(known[-rounds:])
        if recent - best >= gain:
            return None
        return (
            f"the held-out likelihood was {best:.4f} {rounds} rounds ago and at most {recent:.4f} since, a rise of "
            f"less than schedule.flat_gain ({gain:g})"
        )


def _in_round(values: Sequence[_T], round_: int) -> _T:
    return values[min(round_, len(values)) - 1]
