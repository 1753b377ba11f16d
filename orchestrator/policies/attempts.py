"""Names of submissions: a run keeps its name, and each time that it is submitted is an attempt."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}"
"""Part of a path, of a label of Kubernetes and of a submission's id; the dot stands before the number of an attempt."""
_ID = re.compile(rf"knowlip-({NAME_PATTERN})(?:\.([1-9]\d*))?")


@dataclass(frozen=True, order=True)
class Attempt:
    """One submission of a run. number: counted from 1 on each cluster."""

    name: str
    number: int

    @property
    def submission_id(self) -> str:
        """The id that Ray knows it by."""
        return f"knowlip-{self.name}" + ("" if self.number == 1 else f".{self.number}")


def attempt_of(submission_id: str) -> Attempt | None:
    """Return which attempt an id is of; None where it is not of a run of knowlip."""
    found = _ID.fullmatch(submission_id)
    return None if found is None else Attempt(found[1], int(found[2] or 1))


def last_attempt(name: str, submission_ids: Iterable[str]) -> Attempt | None:
    """Return the last attempt of a run among the ids of a cluster's jobs; None where there is none."""
    attempts = [attempt for each in submission_ids if (attempt := attempt_of(each)) is not None]
    return max((attempt for attempt in attempts if attempt.name == name), default=None)
