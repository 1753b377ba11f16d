"""The losses of every optimiser step, one file a round, so that a resumed run draws the curves of all its rounds."""

from collections.abc import Sequence

from corpus.storage.models import StateModel
from corpus.storage.state_files import read_json
from orchestrator.state.run_directory import RunDirectory


class RoundLosses(StateModel):
    """Losses of one round. `steps` has one mapping an optimiser step: `step`, counted over the run, and each loss."""

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
    """Return the losses by round, of all rounds up to `last_round` that have a file.

    Raises:
        RecordError: A file is damaged.
    """
    paths = {round_: directory.losses(round_) for round_ in range(1, last_round + 1)}
    return {
        round_: read_json(
            directory.path, path, RoundLosses, "remove it: the picture of losses then lacks that round"
        ).steps
        for round_, path in paths.items()
        if path.exists()
    }
