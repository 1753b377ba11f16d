"""Where a submitted run comes from: told to its process by whoever submitted it, and to the tracker by the process."""

import os
from typing import Final

from corpus.storage.models import FrozenModel

ENVIRONMENT: Final = "KNOWLIP_JOB"


class Origin(FrozenModel):
    """A submission."""

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
    return {f"knowlip.{name}": str(value) for name, value in origin.items()}
