"""What a fold's training came to, kept where the next training begins before the round is recorded.

The trainer's own checkpoints move on with the next training. A driver that takes over then finds here what the one
before it had published, and does not train it again.
"""

from typing import Self

from pydantic import Field

from actors.trainer.channel import RoundResult
from corpus.storage.models import StateModel
from corpus.storage.state_files import read_json
from orchestrator.state.run_directory import RunDirectory


class TrainedRound(StateModel):
    """The fields of a `RoundResult` that a record and the captioner need."""

    round: int = Field(ge=1)
    fold: int = Field(ge=0)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    world_size: int = Field(ge=1)
    losses: list[dict[str, float]]
    ahead_s: float = Field(ge=0)

    @classmethod
    def of(cls, result: RoundResult) -> Self:
        """The fields of a result."""
        return cls(
            round=result.round,
            fold=result.fold,
            weights_sha256=result.weights_sha256,
            world_size=result.world_size,
            losses=result.losses,
            ahead_s=result.ahead_s,
        )


def keep_trained(directory: RunDirectory, result: RoundResult) -> None:
    """Write what a fold's newest training came to, in place of the one before.

    Raises:
        LeaseLost: Another driver has taken over; the old file stays.
        DiskFull: The file does not fit on the disk; the old file stays.
    """
    directory.write_json(directory.trained(result.fold), TrainedRound.of(result))


def read_trained(directory: RunDirectory, round_: int, fold: int) -> RoundResult | None:
    """What the training of a round's fold came to; None where it was not kept, or another round's is.

    Raises:
        RecordError: The file is damaged.
    """
    path = directory.trained(fold)
    if not path.exists():
        return None
    kept = read_json(directory.path, path, TrainedRound, "start a new run with the weights of this one")
    if kept.round != round_:
        return None
    return RoundResult(
        kept.round,
        kept.fold,
        str(directory.weights(round_, fold)),
        kept.weights_sha256,
        kept.world_size,
        kept.losses,
        kept.ahead_s,
    )
