"""The losses of every optimiser step, a file a round: a resumed run draws the curves of all of its rounds."""

from collections.abc import Sequence

from corpus.storage.models import StateModel
from corpus.storage.state_files import read_json
from orchestrator.state.run_directory import RunDirectory


class RoundLosses(StateModel):
    """steps: one mapping an optimiser step with `step`, counted over the run, and the value of each loss."""

    steps: list[dict[str, float]]


def write_losses(directory: RunDirectory, round_: int, steps: Sequence[dict[str, float]]) -> None:
    """Write a round's losses in one step; again for a round that runs again.

    Args:
        directory: The run.
        round_: The round, from 1.
        steps: One mapping for each optimiser step, as `RoundLosses` has them.

    Raises:
        DiskFull: The losses do not fit on the disk.
        LeaseLost: Another driver has taken over.
    """
    directory.write_json(directory.losses(round_), RoundLosses(steps=list(steps)))


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
