"""An ablation as data: a base configuration, seeds, and rows that override single keys of it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from benchmark.baselines.noisy.config import NetworkConfig
from corpus.storage.errors import ConfigError, UserError
from corpus.storage.models import FrozenModel
from corpus.storage.yaml import load_yaml
from orchestrator.config.load import given_or_shipped, parse_override
from orchestrator.config.schema import Name
from orchestrator.tracking.registry import TrackingConfig

_ROW_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Set for every (row, seed) by the ablation itself.
_OWN_KEYS = {"seed", "name"}
# Kinds of rows that use the encoder of another one.
_RESTING = ("posterior_fusion", "encoder_alone", "confident_learning")
Kind = Literal[
    "loop", "initial", "posterior_fusion", "encoder_alone", "confident_learning", "trees", "statistics", "network"
]


class AblationFailed(UserError):
    """A run of an ablation failed; the message names it and where its output lies."""


class RowConfig(FrozenModel):
    """One row of the table."""

    description: str = Field(description="what the row is, one line of the table's legend")
    kind: Kind = Field(
        default="loop",
        description="a run of the loop; the initial annotations, unchanged; one fusion of them with the encoder of "
        "another row's last round; what that encoder alone finds most probable; its values where confident learning "
        "finds the annotation wrong; trees on intensity statistics, weighed once with the initial annotations; the "
        "loop's own statistics source by itself; or "
        "networks of a standard recipe against wrong labels",
    )
    network: NetworkConfig | None = Field(default=None, description="kind network: the recipe")
    overrides: dict[str, Any] = Field(default_factory=dict, description="dotted keys of the run's configuration")
    weights_of: str | None = Field(
        default=None,
        description="kinds posterior_fusion, encoder_alone and confident_learning: the earlier row whose encoder they "
        "use",
    )


class AblationConfig(FrozenModel):
    """What `knowlip ablate` runs."""

    name: Name = Field(description="names the directory and the MLflow experiment")
    base: Path = Field(description="configuration of all rows, beside this file")
    overrides: dict[str, Any] = Field(default_factory=dict, description="dotted keys, the same for all rows")
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1, description="every row runs once with each")
    scenes: Literal["each_seed", "same"] = Field(
        default="each_seed",
        description="of a simulated corpus: each_seed: every seed has scenes of its own, which its rows share; same: "
        "all seeds share the scenes of the base, and differ in errors and training alone",
    )
    tracking: TrackingConfig = Field(default_factory=TrackingConfig, description="who is told of the table")
    rows: dict[str, RowConfig] = Field(min_length=1, description="by name; lower-case words joined by hyphens")
    conditions: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="name -> dotted keys of the run's configuration, such as a corpus and its errors; every row runs "
        "under each; none: the rows run once",
    )

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("the seeds must be different and not negative")
        return seeds

    @model_validator(mode="after")
    def _consistent(self) -> "AblationConfig":
        if own := _OWN_KEYS & set(self.overrides):
            raise ValueError(f"overrides: {', '.join(sorted(own))} cannot be overridden; seeds are set by `seeds`")
        for name in self.conditions:
            if not _ROW_NAME.fullmatch(name):
                raise ValueError(f"condition '{name}': a name is made of lower-case words and digits joined by hyphens")
            if own := _OWN_KEYS & set(self.conditions[name]):
                raise ValueError(f"condition '{name}': {', '.join(sorted(own))} cannot be overridden")
        earlier: set[str] = set()
        for name, row in self.rows.items():
            _check_row(name, row, earlier)
            if row.kind == "loop":
                earlier.add(name)
        return self

    def settings(self, row: str, seed: int, condition: str | None = None) -> list[str]:
        """The `key=value` overrides of one run, as --set takes them."""
        under = {} if condition is None else self.conditions[condition]
        values = {**self.overrides, **under, **self.rows[row].overrides, "seed": seed}
        return [f"{key}={json.dumps(value)}" for key, value in values.items()]

    def names(self) -> dict[str, str]:
        """Description of each row under each condition, by the name that it has in the table."""
        return {
            full_name(name, condition): row.description
            for condition in self.conditions or (None,)
            for name, row in self.rows.items()
        }

    def with_needed(self, rows: list[str]) -> list[str]:
        """`rows` and those whose weights they use, in the order of the file."""
        needed = {*rows, *(self.rows[name].weights_of for name in rows)}
        return [name for name in self.rows if name in needed]


def full_name(row: str, condition: str | None) -> str:
    """Name of a row under a condition, in the table and as a directory."""
    return row if condition is None else f"{condition}-{row}"


def load_ablation(path: Path, settings: Sequence[str] = ()) -> AblationConfig:
    """Read an ablation; `base` comes out relative to the working directory.

    Args:
        path: the YAML file.
        settings: `key=value` overrides of all rows, stronger than those that the file has for all rows; a row's own
            are stronger still, as they are what makes it that row.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, a bad value.
    """
    path = given_or_shipped(path)
    if not path.is_file():
        raise ConfigError(f"There is no ablation {path}. The one that comes with the project is configs/ablation.yaml.")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}. Correct the file.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(content).__name__}.")
    content.setdefault("name", path.stem)
    content["overrides"] = {**(content.get("overrides") or {}), **dict(map(parse_override, settings))}
    try:
        ablation = AblationConfig.model_validate(content)
    except ValidationError as error:
        problems = (f"  {'.'.join(map(str, each['loc'])) or 'ablation'}: {each['msg']}." for each in error.errors())
        raise ConfigError("\n".join([f"The ablation {path} cannot be used:", *problems])) from error
    return ablation.model_copy(update={"base": path.parent / ablation.base})


def _check_row(name: str, row: RowConfig, earlier: set[str]) -> None:
    if not _ROW_NAME.fullmatch(name):
        raise ValueError(f"row '{name}': a row's name is made of lower-case words and digits joined by hyphens")
    if row.kind != "loop" and row.overrides:
        raise ValueError(f"row '{name}': only a row of kind loop has overrides")
    if (row.kind in _RESTING) != (row.weights_of is not None):
        raise ValueError(f"row '{name}': weights_of belongs to kinds {' and '.join(_RESTING)}, which need it")
    if (row.kind == "network") != (row.network is not None):
        raise ValueError(f"row '{name}': `network` belongs to kind network, which needs it")
    if row.weights_of is not None and row.weights_of not in earlier:
        raise ValueError(f"row '{name}': weights_of must name a row of kind loop above it, not '{row.weights_of}'")
    for key in row.overrides:
        if key in _OWN_KEYS or key.split(".")[0] == "corpus":
            raise ValueError(f"row '{name}': {key} cannot differ between rows: they share one corpus for each seed")
