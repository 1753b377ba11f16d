"""The undisturbed run that every other one is compared with."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from chaos.compare import compare
from chaos.run import ChaosError, run_with_faults
from orchestrator.config import load_config, portable
from orchestrator.records import RoundRecord, read_json, read_records, write_json


class _Kept(BaseModel):
    """reference.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config_sha256: str
    seconds: tuple[float, float] = Field(description="of the two undisturbed runs; the first fills caches")


@dataclass(frozen=True)
class Reference:
    """seconds: wall time of an undisturbed run with warm caches. settings: with which every run is started."""

    config: Path
    settings: tuple[str, ...]
    run_dir: Path
    seconds: float

    @property
    def records(self) -> list[RoundRecord]:
        return read_records(self.run_dir)


def make_reference(config: Path, out: Path, say: Callable[[str], None]) -> Reference:
    """The undisturbed run of `out`, made unless it is there: twice, so that its time is one with warm caches, and so
    that it is known to come out the same without any fault.

    Raises:
        ChaosError: it fails, two undisturbed runs differ, or `out` is of another configuration.
    """
    settings = (f"corpus.data_dir={(out / 'data').resolve()}",)
    content = json.dumps(portable(load_config(config, list(settings))), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    path, runs = out / "reference.json", [out / "undisturbed-1", out / "undisturbed-2"]
    if path.exists():
        kept = read_json(out, path, _Kept)
        if kept.config_sha256 != digest:
            raise ChaosError(f"{out} holds results of another configuration; name another directory with --out")
    else:
        kept = _Kept(config_sha256=digest, seconds=tuple(_run(config, folder, settings, say) for folder in runs))
        found = compare(runs[1] / "run", runs[0] / "run")
        if found.different or found.lost or found.duplicated:
            raise ChaosError(f"two undisturbed runs differ ({found}), so that a comparison would show nothing; see {out}")
        write_json(out, path, kept)
    say(f"undisturbed: {kept.seconds[1]:.0f} s ({kept.seconds[0]:.0f} s the first time)")
    return Reference(config, settings, runs[1] / "run", kept.seconds[1])


def _run(config: Path, folder: Path, settings: tuple[str, ...], say: Callable[[str], None]) -> float:
    say(f"undisturbed run in {folder}")
    outcome = run_with_faults(config, folder, settings)
    if not outcome.finished or outcome.resumes:
        raise ChaosError(f"the undisturbed run failed; see {folder}")
    return outcome.seconds
