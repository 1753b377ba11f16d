"""All clusters of tests ask for a token, as local ones do and as the version of Ray after 2.60 has all of them do."""

import os
import secrets

_MODE, _TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"


def ask_for_token() -> None:
    """Have Ray's processes of this one ask for a token of their own; to be called before Ray is imported.

    Processes that are started from here have the same one, also those that run tests at the same time.
    """
    if os.environ.get(_MODE) != "token" or _TOKEN not in os.environ:
        os.environ.update({_MODE: "token", _TOKEN: secrets.token_hex(32)})


def token_variables() -> dict[str, str]:
    """What the environment of a process needs to be let in."""
    return {name: os.environ[name] for name in (_MODE, _TOKEN)}
