"""The undisturbed run that every other one is compared with."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from chaos.compare import compare
from chaos.driver import ChaosError
from chaos.faults import START_UP, Fault
from chaos.injection import Injection
from chaos.run import run_with_faults
from corpus.storage.state_files import read_json, write_json
from orchestrator.config.load import load_config, portable
from orchestrator.state.records import PHASES, RoundRecord, read_records


class _Kept(BaseModel):
    """undisturbed-1.json and -2.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config_sha256: str
    seconds: float = Field(description="wall time of the run; the first one fills caches")


@dataclass(frozen=True)
class Reference:
    """seconds: wall time of an undisturbed run with warm caches. settings: with which every run is started."""

    config: Path
    settings: tuple[str, ...]
    run_dir: Path
    seconds: float

    @cached_property
    def records(self) -> list[RoundRecord]:
        return read_records(self.run_dir)

    def injection(self, fault: Fault, round_: int, seed: int) -> Injection:
        """A fault in one round (of start-up: before the first), at a moment within the time that its phase takes
        undisturbed.
        """
        if fault.phase == START_UP:
            return Injection(fault, None, fault.delay_s(self.records[0].timings.startup_s, seed))
        return Injection(fault, round_, fault.delay_s(self._phase_s(fault.phase, round_), seed))

    @property
    def start_s(self) -> float:
        """What starting costs: all time outside the phases (programs, Ray, the trainer group, the corpus), and what the
        first round's phases take beyond the last one's, as actors start in them. Of train, which has more passes in
        the first round, none of it.
        """
        last = len(self.records)
        phases_s = sum(self._phase_s(phase, record.round) for record in self.records for phase in PHASES)
        first_use_s = sum(
            max(0.0, self._phase_s(phase, 1) - self._phase_s(phase, last)) for phase in PHASES if phase != "train"
        )
        return self.seconds - phases_s + first_use_s

    def recovery_s(self, injections: Sequence[Injection]) -> float | None:
        """The goal for the extra wall time: a start and the phase, the mean over `injections`; None without any."""
        phases_s = [0.0 if each.round is None else self._phase_s(each.fault.phase, each.round) for each in injections]
        return self.start_s + sum(phases_s) / len(phases_s) if phases_s else None

    def _phase_s(self, phase: str, round_: int) -> float:
        return getattr(self.records[round_ - 1].timings, f"{phase}_s")


def make_reference(config: Path, out: Path, say: Callable[[str], None]) -> Reference:
    """The undisturbed run of `out`, made unless it is there: twice, so that its time is one with warm caches, and so
    that it is known to come out the same without any fault.

    Raises:
        ChaosError: it fails, two undisturbed runs differ, or `out` is of another configuration.
    """
    check_config(config, out)
    first, second = (_run(config, out, number, say) for number in (1, 2))
    found = compare(out / "undisturbed-2" / "run", out / "undisturbed-1" / "run")
    if found.different or found.lost or found.duplicated:
        raise ChaosError(f"two undisturbed runs differ ({found}), so that a comparison would show nothing; see {out}")
    say(f"undisturbed: {second:.0f} s ({first:.0f} s the first time)")
    return Reference(config, _settings(out), out / "undisturbed-2" / "run", second)


def check_config(config: Path, out: Path) -> None:
    """Raises ChaosError where results in `out` are of another configuration."""
    if (path := _path(out, 1)).exists() and read_json(out, path, _Kept).config_sha256 != _digest(config, out):
        raise ChaosError(f"{out} holds results of another configuration; name another directory with --out")


def _run(config: Path, out: Path, number: int, say: Callable[[str], None]) -> float:
    path = _path(out, number)
    if path.exists():
        return read_json(out, path, _Kept).seconds
    say(f"undisturbed run in {path.with_suffix('')}")
    outcome = run_with_faults(config, path.with_suffix(""), _settings(out))
    if not outcome.finished or outcome.complaints:
        raise ChaosError(f"the undisturbed run failed; see {path.with_suffix('')}")
    write_json(out, path, _Kept(config_sha256=_digest(config, out), seconds=outcome.seconds))
    return outcome.seconds


def _settings(out: Path) -> tuple[str, ...]:
    return (f"corpus.data_dir={(out / 'data').resolve()}",)


def _digest(config: Path, out: Path) -> str:
    content = json.dumps(portable(load_config(config, list(_settings(out)))), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _path(out: Path, number: int) -> Path:
    return out / f"undisturbed-{number}.json"
