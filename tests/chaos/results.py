"""What became of one fault with one seed, kept on disk, so that a long `make chaos` can be run in pieces."""

import re
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from corpus.storage.state_files import read_json, write_json


class Result(BaseModel):
    """results/<fault>-seed<n>.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: str
    seed: int
    injected: int = Field(default=0, description="how often the fault is known to have struck")
    survived: bool = Field(
        default=False, description="the run came to its end, with `knowlip resume` where that is the way"
    )
    resumes: int = Field(default=0, description="of the whole run")
    shared: int = Field(default=1, ge=1, description="how many faults struck the same run, one after the other")
    lost: int = Field(default=0, description="annotations, over all rounds")
    duplicated: int = Field(default=0, description="annotations, and rounds committed twice")
    equal: bool | None = Field(default=None, description="to the undisturbed run, bit for bit; null where it cannot be")
    extra_s: float | None = Field(
        default=None,
        description="wall time beyond the undisturbed run's, seconds; in a shared run the mean over its faults",
    )
    at_most_s: float | None = Field(
        default=None,
        description="what a start and the struck phase take undisturbed, seconds, over the same faults: extra_s's goal",
    )
    notes: tuple[str, ...] = Field(default=(), description="what was not as it should be")
    commit: str = Field(default="", description="of the code that ran; + where files differed from it")
    not_possible: str | None = Field(default=None, description="why this machine cannot inject the fault")

    @property
    def good(self) -> bool:
        """All goals met. A fault that could not be injected meets none."""
        return (
            self.not_possible is None
            and self.injected > 0
            and self.survived
            and not self.lost
            and not self.duplicated
            and self.equal is not False
            and not self.notes
        )

    @property
    def within(self) -> bool | None:
        """Whether the recovery cost at most a start and the struck phase; None where that cannot be compared.

        Not a part of `good`: a machine that does other work beside it takes twice as long.
        """
        return None if self.extra_s is None or self.at_most_s is None else self.extra_s <= self.at_most_s


def slug(fault: str, seed: int) -> str:
    """The name of a result's file and of its run's folder."""
    plain = re.sub(r"\W+", "-", fault.replace("%", "percent")).strip("-")
    return f"{plain}-seed{seed}"


def read_result(out: Path, fault: str, seed: int) -> Result | None:
    """A result of an earlier call, or None where there is none."""
    path = _path(out, fault, seed)
    return read_json(out, path, Result) if path.exists() else None


def write_result(out: Path, result: Result) -> None:
    """Keep a result, with the code that it is of: whole or not at all."""
    write_json(out, _path(out, result.fault, result.seed), result.model_copy(update={"commit": commit()}))


def commit() -> str:
    """The commit that is checked out, shortened; "" outside of a repository."""
    here = Path(__file__).parent
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changed else head


def read_results(out: Path) -> list[Result]:
    """All results below `out`, of whatever call."""
    return [read_json(out, path, Result) for path in sorted((out / "results").glob("*-seed*.json"))]


def _path(out: Path, fault: str, seed: int) -> Path:
    return out / "results" / f"{slug(fault, seed)}.json"
