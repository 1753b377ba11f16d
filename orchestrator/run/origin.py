"""Where a submitted run comes from: told to its process by whoever submitted it, and to the tracker by the process."""

import os
from typing import Final

from corpus.storage.models import FrozenModel
from orchestrator.tracking.facts import git_commit

ENVIRONMENT: Final = "KNOWLIP_JOB"


class Origin(FrozenModel):
    """A submission. git_commit: of the code that was sent along; None where the cluster's own code runs."""

    job_id: str
    attempt: int
    cluster: str
    host: str
    user: str
    git_commit: str | None


def origin_tags() -> dict[str, str]:
    """Tags for the tracker; {} where the run was not submitted."""
    if not (said := os.environ.get(ENVIRONMENT)):
        return {}
    origin = Origin.model_validate_json(said).model_dump(exclude_none=True)
    if "git_commit" not in origin and (commit := git_commit()) is not None:
        origin["git_commit"] = commit
    return {f"knowlip.{name}": str(value) for name, value in origin.items()}
