"""A training job whose disk is full when its second checkpoint is due: a real `Rank`, without Ray."""

from pathlib import Path

from actors.trainer.checkpoint import latest_checkpoint
from corpus.storage.disk import DiskFull
from support import training_job
from support.small_disk import SmallDisk


def train_without_room(folder: Path) -> dict:
    """Two steps and a checkpoint; a step and no room for another; then room again, and a restart from the first."""
    disk = SmallDisk(folder)
    job = training_job.Job(folder / "start", folder / "state")
    job.train(2)
    job.save()
    disk.fill()
    job.train(3)
    try:
        job.save()
        said = "it was saved"
    except DiskFull as error:
        said = str(error)
    _path, position = latest_checkpoint(job.state_dir)
    disk.empty()
    again = training_job.Job(folder / "start", folder / "state")
    losses = again.train(training_job.STEPS)
    again.save()
    undisturbed = job.train(training_job.STEPS)
    return {
        "said": said,
        "step": position.step,
        "resumed_at": position.total_steps,
        "losses": losses[1:],
        "undisturbed": undisturbed,
        "names": sorted(each.name for each in job.state_dir.iterdir()),
    }
