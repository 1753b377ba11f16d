"""The space that `knowlip tune` searches, as a file."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, ValidationError, model_validator

from corpus.storage.errors import ConfigError
from corpus.storage.models import FrozenModel
from orchestrator.config.keys import keys
from orchestrator.config.load import given_or_shipped, load_config, read_yaml
from orchestrator.config.schema import RunConfig
from orchestrator.policies.retention import CHAMPION_METRIC

_OWN = {"rounds", "seed", "name", "tracking.kind"}
_SAID = {"extra_forbidden": "no such key", "missing": "this is missing"}  # in place of pydantic's words


def _bound(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"a bound is a finite number (got {value!r})")
    return value


Bound = Annotated[int | float, BeforeValidator(_bound)]


class Range(FrozenModel):
    """Numbers between two bounds; whole ones where both bounds are whole."""

    low: Bound
    high: Bound
    log: bool = Field(default=False, description="draw the logarithm evenly, not the number")

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"a range needs low < high, and low > 0 where log is true (got low {self.low}, high {self.high})"
            )
        return self

    def samples(self) -> list[int | float]:
        """Both ends, and between them a number that is not whole where not all are."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return [self.low, self.high, *([] if whole else [self.low + (self.high - self.low) / math.pi])]


def _form(values: Any) -> str | None:
    if isinstance(values, list):
        return "list" if values else None
    return "range" if isinstance(values, (dict, Range)) else None


Values = Annotated[
    Annotated[list[JsonValue], Tag("list")] | Annotated[Range, Tag("range")],
    # Told apart first, so that only the mistakes of the one that is meant are listed.
    Discriminator(
        _form,
        custom_error_type="no_values",
        custom_error_message="give a list of values, or a range {low, high, log}",
    ),
]


class SpaceConfig(FrozenModel):
    """What is searched, by which metric, and how much of it."""

    keys: dict[str, Values] = Field(
        min_length=1, description="configuration key -> a list of values, or a range with low, high and log"
    )
    metric: str = Field(default=CHAMPION_METRIC, description="metric of a round's record; the default reads no truth")
    mode: Literal["max", "min"] = Field(default="max", description="whether larger or smaller is better")
    trials: int = Field(default=8, ge=1, description="settings that are drawn, all different")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="each trial runs once for each of them")
    grace_rounds: int = Field(default=1, ge=1, description="rounds that every trial has before it may be stopped")
    reduction: float = Field(default=2, gt=1, description="of the trials at a rung, one in so many goes on (ASHA)")
    concurrent: int = Field(default=1, ge=1, description="trials at the same time; a run takes the whole machine")
    draw_seed: int = Field(default=0, ge=0, description="seed of the draw of settings")

    @model_validator(mode="after")
    def _searches_what_there_is(self) -> "SpaceConfig":
        known = {key.name for key in keys(RunConfig)}
        for key in self.keys:
            if key in _OWN:
                raise ValueError(
                    f"{key} is not searched: rounds and names are those of the run, seeds stand in `seeds`"
                )
            if key not in known and not key.startswith(("captioner.", "schedule", "model")):
                raise ValueError(f"{key} is no configuration key; `knowlip config` lists them")
        return self


def load_space(path: Path) -> SpaceConfig:
    """Read a space.

    Raises:
        ConfigError: There is no such file, it is not YAML, or it has another key or value.
    """
    path = given_or_shipped(path)
    if not path.is_file():
        raise ConfigError(f"There is no space {path}. The one that comes with the project is configs/tune/space.yaml.")
    try:
        return SpaceConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = [f"The space {path} cannot be used:"]
        for problem in error.errors():
            said = _SAID.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
            lines.append(f"  {'.'.join(map(str, problem['loc'])) or 'space'}: {said}.")
        raise ConfigError("\n".join(lines)) from error


def override(key: str, value: Any) -> str:
    """A setting of the space as `--set` takes it."""
    return f"{key}={json.dumps(value)}"


def check_values(space: SpaceConfig, base: Path, fixed: Sequence[str]) -> None:
    """Try every value of the space, of a range some, each alone on top of the configuration of the runs.

    Raises:
        ConfigError: A run could not be given such a value; the message says which key, which value, and why.
    """
    for key, values in space.keys.items():
        for value in values.samples() if isinstance(values, Range) else values:
            try:
                load_config(base, [*fixed, override(key, value)])
            except ConfigError as error:
                raise ConfigError(f"The space cannot be searched: {key} cannot be {value!r}. {error}") from error
