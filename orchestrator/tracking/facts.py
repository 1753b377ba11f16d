"""Facts of a run that are no part of its configuration: who started it, with which code, by which schedule."""

import getpass
import importlib.metadata
import os
import subprocess
from pathlib import Path

from orchestrator.config.schema import RunConfig
from orchestrator.policies.schedule import schedule_label

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 10.0
BUILT_FROM = "KNOWLIP_GIT_COMMIT"
"""Environment variable of an image: the commit of the code in it."""


def facts_of(config: RunConfig) -> dict[str, str]:
    """Return user, source, version, git_commit and schedule; what is not known is left out."""
    facts = {
        "user": _user(),
        "source": f"knowlip run {config.name}",
        "version": importlib.metadata.version("knowlip"),
        "git_commit": git_commit(),
        "schedule": schedule_label(config.schedule),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None


def git_commit() -> str | None:
    """The commit of the code that runs, and "-dirty" where files differ from it.

    Where it is no working copy of its repository, as in an image, KNOWLIP_GIT_COMMIT says it; else it is None.
    """
    if _git("ls-files", "--error-unmatch", "orchestrator/loop.py") is None:
        return os.environ.get(BUILT_FROM) or None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--match=")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},  # asking writes nothing
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
