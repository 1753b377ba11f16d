"""What is wrong with the file of a checkpoint."""

from corpus.storage.errors import InputError


class CheckpointError(InputError):
    """A file that does not hold the checkpoint that it is named for; the message says what it lacks."""
