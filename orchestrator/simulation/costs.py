"""What the steps of a loop cost, in seconds: stated in a file, or the defaults that were measured."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from corpus.storage.errors import ConfigError
from corpus.storage.models import FrozenModel
from orchestrator.config.load import read_yaml

UNITS = {
    "startup": "run",
    "train": "tile shown once, by one training worker",
    "publish": "publication",
    "score": "tile, by one scorer",
    "label": "queried clause, by one captioner",
    "refresh": "tile",
    "evaluate": "tile",
}
"""What `each_s` of a phase is for."""

_Share = Annotated[float, Field(ge=0, le=1)]


class PhaseCost(FrozenModel):
    """Seconds of one phase: `start_s` each time it is entered, `each_s` for each of its units (`UNITS`)."""

    first_s: float = Field(default=0, ge=0, description="seconds more in the first round of a run")
    start_s: float = Field(default=0, ge=0, description="seconds each time the phase is entered, whatever there is")
    each_s: float = Field(default=0, ge=0, description="seconds for each unit")
    busy_cores: float | None = Field(
        default=None, ge=0, description="CPU cores that were busy in the phase on average; null: a core a process"
    )


class Costs(FrozenModel):
    """What the steps of a loop cost. All keys have the default that docs/schedules.md tells the origin of."""

    cores: float = Field(default=2, gt=0, description="CPU cores of the machine on which the seconds were measured")
    tiles: int | None = Field(default=None, ge=2, description="tiles of the corpus; null: corpus.simulated.tiles")
    training_share: float = Field(default=0.842, gt=0, lt=1, description="of the tiles, those that are trained on")
    rare_share: _Share = Field(default=0.3, description="of the tiles, those with a rare landform")
    flagged_share: tuple[_Share, ...] = Field(
        default=(0.276, 0.119, 0.097), min_length=1, description="of the clauses, by round; the last holds on"
    )
    accepted_share: tuple[_Share, ...] = Field(
        default=(0.572, 0.133, 0.082),
        min_length=1,
        description="of the regenerated clauses, by round; the last holds on",
    )
    startup: PhaseCost = Field(default=PhaseCost(start_s=22, busy_cores=1.75))
    train: PhaseCost = Field(default=PhaseCost(first_s=7.9, each_s=0.0102, busy_cores=1.87))
    publish: PhaseCost = Field(default=PhaseCost(start_s=0.15, busy_cores=1))
    score: PhaseCost = Field(default=PhaseCost(first_s=5.5, each_s=0.0116, busy_cores=1.3))
    label: PhaseCost = Field(default=PhaseCost(first_s=1.3, start_s=2.8, each_s=0.0011, busy_cores=1.43))
    refresh: PhaseCost = Field(default=PhaseCost(each_s=0.00007, busy_cores=1.1))
    evaluate: PhaseCost = Field(default=PhaseCost(first_s=4, each_s=0.0012, busy_cores=1.25))

    def of(self, phase: str) -> PhaseCost:
        """The cost of a phase by its name."""
        return getattr(self, phase)


def read_costs(path: Path) -> Costs:
    """Read a YAML file of costs; what it leaves out has its default.

    Raises:
        ConfigError: There is no such file, it is not YAML, or it has another key or value.
    """
    if not path.is_file():
        raise ConfigError(f"There are no costs at {path}: give a YAML file, or the directory of a finished run.")
    try:
        return Costs.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors()
        )
        raise ConfigError(f"The costs {path} cannot be used: {problems}. docs/schedules.md has the keys.") from error
