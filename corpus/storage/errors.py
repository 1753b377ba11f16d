"""The base of every expected error: one that a user can mend; and the exit statuses that tell schedulers what to do."""

from typing import ClassVar


class UserError(Exception):
    """Something a user can mend; the message is written for the user and says what to do.

    The command line prints the message as one paragraph and exits with `exit_status`. Any other exception is a bug and
    keeps its traceback.
    """

    exit_status: ClassVar[int] = 1
    """What went wrong may be gone when the command is given again."""


class InputError(UserError):
    """What was given cannot be used, configuration or data: giving the same again is of no use."""

    exit_status: ClassVar[int] = 2


class ConfigError(InputError):
    """A configuration that cannot be used; the message says which key, why, and what to do."""


class Interrupted(UserError):
    """Somebody or a scheduler has ended the run, which can go on; how was said where it was raised."""

    exit_status: ClassVar[int] = 3
