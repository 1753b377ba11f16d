"""The (row, seed) pairs of an ablation: what each is to run, where, and how far it has come."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from corpus.storage.errors import ConfigError
from corpus.storage.models import FrozenModel
from corpus.storage.rng import derive_seed
from corpus.storage.state_files import read_json, write_json
from orchestrator.config.load import flatten, load_config, portable
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.config import AblationConfig, RowConfig, full_name
from orchestrator.state.records import is_over, read_records
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError


class CellResult(FrozenModel):
    """result.json of a (row, seed) that is no run of the loop."""

    config_sha256: str = Field(description="of the run's configuration; another one makes the result stale")
    rests_on: str | None = Field(default=None, description="sha256 of the weights of another row that it used")
    metrics: dict[str, float | None]
    seconds: float = Field(ge=0, description="for the row's own work and the training it rests on")


@dataclass(frozen=True)
class Cell:
    """One row of an ablation with one seed.

    Attributes:
        name: name of the row, after its condition where there are any.
        row: The row of the ablation.
        seed: seed of the run.
        base: the configuration that all rows override.
        settings: the `key=value` overrides of `base` that make `config`.
        config: the run's configuration.
        directory: Directory of the run, or of the row's result.
        row_name: name of the row alone.
        condition: what it runs under; None: the ablation has no conditions.
        source: the cell whose weights this one uses; None: it uses none.
    """

    name: str
    row: RowConfig
    seed: int
    base: Path
    settings: list[str]
    config: RunConfig
    directory: Path
    row_name: str
    condition: str | None = None
    source: "Cell | None" = None

    @property
    def log(self) -> Path:
        """What the run printed; outside its directory, which must be empty before a run."""
        return self.directory.with_name(f"{self.directory.name}.log")

    @property
    def config_sha256(self) -> str:
        """SHA-256 of the run's whole configuration, hexadecimal."""
        return hashlib.sha256(json.dumps(_of_a_run(portable(self.config)), sort_keys=True).encode()).hexdigest()

    @property
    def started(self) -> bool:
        """A run of the loop that can be resumed."""
        return (self.directory / "config.yaml").is_file()

    def result(self) -> tuple[dict[str, float | None], float] | None:
        """Metrics and seconds once it is over, else None.

        Raises:
            RunDirectoryError: its directory holds a run of another configuration.
        """
        if self.row.kind != "loop":
            path = self.directory / "result.json"
            found = read_json(self.directory, path, CellResult) if path.exists() else None
            if found is None or (found.config_sha256, found.rests_on) != (self.config_sha256, self._rests_on()):
                return None
            return found.metrics, found.seconds
        if not self.started:
            return None
        self._check_same()
        records = read_records(self.directory)
        if not is_over(records, self.config.rounds):
            return None
        return records[-1].metrics, sum(record.timings.total_s for record in records)

    def write_result(self, metrics: dict[str, float | None], seconds: float) -> None:
        """Keep what a row that is no run came to."""
        write_json(
            self.directory,
            self.directory / "result.json",
            CellResult(config_sha256=self.config_sha256, rests_on=self._rests_on(), metrics=metrics, seconds=seconds),
        )

    def _rests_on(self) -> str | None:
        """The source's last weights; none as long as it is not over, and then no result rests on them."""
        if self.source is None:
            return None
        return read_records(self.source.directory)[-1].weights_sha256 if self.source.result() else "unfinished"

    def _check_same(self) -> None:
        there = _of_a_run(flatten(RunDirectory.open(self.directory)[1]))
        here = _of_a_run(flatten(RunConfig.model_validate(portable(self.config))))
        changed = [
            f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
            for key in sorted({*there, *here})
            if there.get(key) != here.get(key)
        ]
        if changed:
            raise RunDirectoryError(
                f"{self.directory} holds a run of another configuration: {'; '.join(changed[:3])}. Remove it, or "
                "write this ablation elsewhere with --out."
            )


def _of_a_run(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of the loop depends on: all keys but those of the benchmark, which lies elsewhere on each machine."""
    return {key: value for key, value in content.items() if key.split(".")[0] != "benchmark"}


def _scenes_seed(config: RunConfig, seed: int) -> int:
    """Seed of the scenes of one seed of an ablation, the same for all of its rows."""
    return derive_seed("scenes of an ablation", config.corpus.simulated.seed, seed) % 2**31


def make_cells(
    ablation: AblationConfig,
    out: Path,
    rows: list[str] | None = None,
    seeds: list[int] | None = None,
    conditions: list[str] | None = None,
) -> list[Cell]:
    """All (condition, row, seed) in the order in which they run: every row of a seed before the next seed.

    Args:
        ablation: The ablation to run.
        out: the directory of the ablation.
        rows: run only these, and the rows whose weights they use; None: all.
        seeds: run only these; None: those of the ablation.
        conditions: run only under these; None: under all.

    Raises:
        ConfigError: a row or condition that the ablation does not have, or overrides that make no valid configuration.
    """
    for option, asked, known in (("rows", rows, ablation.rows), ("conditions", conditions, ablation.conditions)):
        if unknown := set(asked or []) - set(known):
            raise ConfigError(
                f"--{option} {', '.join(sorted(unknown))}: the ablation has none of that name. "
                f"It has: {', '.join(known) or 'none'}."
            )
    chosen = ablation.with_needed(list(ablation.rows) if rows is None else rows)
    under = [None] if not ablation.conditions else list(ablation.conditions) if conditions is None else conditions
    cells = []
    for seed in ablation.seeds if seeds is None else seeds:
        for condition in under:
            of_seed: dict[str | None, Cell] = {}
            for name in chosen:
                settings, row = ablation.settings(name, seed, condition), ablation.rows[name]
                config = load_config(ablation.base, settings)
                if ablation.scenes == "each_seed" and config.corpus.kind == "simulated":
                    settings.append(f"corpus.simulated.seed={_scenes_seed(config, seed)}")
                    config = load_config(ablation.base, settings)
                label = full_name(name, condition)
                of_seed[name] = Cell(
                    label,
                    row,
                    seed,
                    ablation.base,
                    settings,
                    config,
                    (out / f"{label}-seed{seed}").resolve(),
                    name,
                    condition,
                    of_seed.get(row.weights_of),
                )
            cells += of_seed.values()
    return cells
