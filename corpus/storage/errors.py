"""The base of every expected error: one that a user can mend."""


class UserError(Exception):
    """Something a user can mend; the message is written for the user and says what to do.

    The command line prints the message as one paragraph and exits with status 1. Any other exception is a bug and
    keeps its traceback.
    """


class ConfigError(UserError):
    """A configuration that cannot be used; the message says which key, why, and what to do."""
