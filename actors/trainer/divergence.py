"""Training that diverged: a loss that is no finite number ends the run before any state with it is saved."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.errors import InputError


class TrainingDiverged(InputError):
    """A loss became infinite or no number; the message says in which step, and what to do."""


@contextmanager
def refusing_divergence(
    *, round_: int, step: int, learning_rate: float, weights_dir: Path, from_scratch: bool
) -> Iterator[dict[str, float]]:
    """The body does one optimiser step and puts its losses into the mapping that it is given.

    Args:
        round_: number of the round.
        step: number of the step in the round, from 1.
        learning_rate: Learning rate of this step.
        weights_dir: Folder that the round's weights would be written to.
        from_scratch: whether the round started from scratch.

    Raises:
        TrainingDiverged: a loss is infinite or no number, or FloatingPointError came out of the model. The same seeds
            give the same losses, so another try would come to the same.
    """
    losses: dict[str, float] = {}
    try:
        yield losses
        wrong = [f"the loss {name}" for name, value in losses.items() if not math.isfinite(value)]
    except FloatingPointError as error:
        wrong = [str(error)]
    if not wrong:
        return
    key = "train.learning_rate" if from_scratch else "train.later_learning_rate"
    goes_on = (
        ""
        if round_ == 1
        else (
            f"; start_weights={weights_dir.with_name(f'round-{round_ - 1:04d}')} begins it with the last round's "
            "weights"
        )
    )
    raise TrainingDiverged(
        f"Training diverged in step {step} of round {round_}, at a learning rate of {learning_rate:g}: no finite "
        f"number for {', '.join(wrong)}. Nothing of this step was saved, and a resume would come to it again. Start a "
        f"new run with a lower {key} or train.gradient_clipping{goes_on}."
    )
