"""Where the trainer's checkpoints lie, and where in a round they let training go on."""

from pathlib import Path
from typing import TYPE_CHECKING

from actors.trainer.channel import TrainCommand

if TYPE_CHECKING:  # torch is imported in the workers only
    from actors.trainer.checkpoint import TrainerPosition


def trainer_state_dir(run_dir: Path) -> Path:
    """Where a run's checkpoints of the trainer lie: those of the first fold, see `fold_state_dir`."""
    return run_dir / "checkpoints" / "trainer"


def fold_state_dir(state_dir: Path, fold: int) -> Path:
    """Where the checkpoints of a fold lie; the first fold's are those of a run without folds."""
    return state_dir if fold == 0 else state_dir.with_name(f"{state_dir.name}-fold-{fold}")


def steps_done(position: "TrainerPosition | None", command: TrainCommand, state_dir: Path) -> tuple[int, int]:
    """Steps of the command's round that the newest checkpoint already holds, and all steps of the run up to there.

    Args:
        position: position of the newest checkpoint in state_dir, None if there is none.
        command: Command that says what to train.
        state_dir: the folder of the fold's checkpoints, for the message.

    Raises:
        StateRefused: the command goes on from the state of the round before, and that is not what is there.
    """
    from actors.trainer.safe_load import StateRefused

    if position is not None and position.round == command.round:
        return position.step, position.total_steps
    if command.from_scratch and (position is None or position.round < command.round):
        return 0, 0 if position is None else position.total_steps
    if position is None and command.round == 1:
        return 0, 0
    if position is not None and position.round == command.round - 1 and position.round_finished:
        return 0, position.total_steps
    found = (
        "no whole checkpoint" if position is None else f"a checkpoint of round {position.round}, step {position.step}"
    )
    before = command.round - 1
    weights = Path(command.weights_dir).with_name(f"round-{before:04d}")
    raise StateRefused(
        f"Round {command.round} goes on from the trainer's state at the end of round {before}, which is missing: "
        f"{state_dir} holds {found}. Nothing was trained. Put the folder back from a copy of this run and `knowlip "
        f"resume` it; or, if the run has no folds, start a new run with start_weights={weights}, with a new optimiser."
    )
