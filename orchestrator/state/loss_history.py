"""The losses of every optimiser step, a file a round: a resumed run draws the curves of all of its rounds."""

from collections.abc import Sequence

from corpus.storage.fence import Fence, NoFence
from corpus.storage.models import StateModel
from orchestrator.state.records import read_json, write_json
from orchestrator.state.run_directory import RunDirectory


class RoundLosses(StateModel):
    """steps: one mapping an optimiser step with `step`, counted over the run, and the value of each loss."""

    steps: list[dict[str, float]]


def write_losses(
    directory: RunDirectory, round_: int, steps: Sequence[dict[str, float]], fence: Fence | NoFence = NoFence()
) -> None:
    """Keep a round's losses, in one step; again for a round that runs again.

    Raises:
        DiskFull: they do not fit on the disk; LeaseLost: `fence` no longer stands.
    """
    write_json(directory.path, directory.losses(round_), RoundLosses(steps=list(steps)), fence)


def read_losses(directory: RunDirectory, last_round: int) -> dict[int, list[dict[str, float]]]:
    """Losses by round, of those up to `last_round` that were kept. Raises RecordError where a file is damaged."""
    paths = {round_: directory.losses(round_) for round_ in range(1, last_round + 1)}
    return {
        round_: read_json(
            directory.path, path, RoundLosses, "remove it: the picture of losses then lacks that round"
        ).steps
        for round_, path in paths.items()
        if path.exists()
    }
