"""The space that `knowlip tune` searches, as a file."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from corpus.storage.errors import ConfigError
from corpus.storage.models import FrozenModel
from orchestrator.config.keys import keys
from orchestrator.config.load import given_or_shipped, read_yaml
from orchestrator.config.schema import RunConfig
from orchestrator.policies.retention import CHAMPION_METRIC

_OWN = {"rounds", "seed", "name", "tracking.kind"}


class Range(FrozenModel):
    """Numbers between two bounds; whole ones where both bounds are whole."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="draw the logarithm evenly, not the number")

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 where log is true")
        return self


Choice = Annotated[list, Field(min_length=1)]


class SpaceConfig(FrozenModel):
    """What is searched, by which metric, and how much of it."""

    keys: dict[str, Range | Choice] = Field(
        min_length=1, description="configuration key -> a list of values, or a range with low, high and log"
    )
    metric: str = Field(default=CHAMPION_METRIC, description="metric of a round's record; the default reads no truth")
    mode: str = Field(default="max", pattern="^(max|min)$", description="whether larger or smaller is better")
    trials: int = Field(default=8, ge=1, description="settings that are drawn")
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
        problems = (f"  {'.'.join(map(str, each['loc'])) or 'space'}: {each['msg']}." for each in error.errors())
        raise ConfigError("\n".join([f"The space {path} cannot be used:", *problems])) from error
