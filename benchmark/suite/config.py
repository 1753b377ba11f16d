"""The section `benchmark` of a configuration."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, field_validator

from benchmark.baselines.recipes.config import RecipesConfig
from corpus.registry import Registry
from corpus.storage.models import StrictModel

# Members are imported where a key names one: every command reads a configuration, and few run the benchmark.


class BenchmarkConfig(StrictModel):
    """What `knowlip benchmark` runs."""

    data_dir: Path = Field(default=Path("data/benchmark"), description="labelled data sets lie here, one folder each")
    paths: dict[str, Path] = Field(
        default_factory=dict,
        description="folder of a data set that lies elsewhere, by the name that `knowlip benchmark --list` gives it",
    )
    tasks: tuple[str, ...] = Field(default=(), description="tasks to run; none: all")
    methods: tuple[str, ...] = Field(default=(), description="methods to run; none: all")
    settings: tuple[str, ...] = Field(
        default=(), description="settings to run, such as knn5, which learns nothing; none: all that a task has"
    )
    weights: Path | None = Field(
        default=None, description="weights directory for the method `ours`; null: those of --run, where it is given"
    )
    encoder: str | None = Field(
        default=None,
        description="encoder for the method `encoder`: a folder of Hugging Face weights, or a timm name; null: none",
    )
    checkpoints_dir: Path = Field(
        default=Path("data/checkpoints"),
        description="published checkpoints of others lie here, a folder each, named as their methods",
    )
    checkpoints: dict[str, Path] = Field(
        default_factory=dict, description="folder or file of a published checkpoint that lies elsewhere, by its method"
    )
    recipes: RecipesConfig = Field(default_factory=RecipesConfig, description="methods that are trained here")
    seeds: int = Field(default=5, ge=1, description="seeds of every setting that draws anything and trains no network")
    training_seeds: int = Field(
        default=1,
        ge=1,
        description="seeds of every setting that trains networks; with one, the interval is that of the test set alone",
    )
    workers: int = Field(
        default=1, ge=1, description="methods that run at a time, each a Ray task; 1: in this process, without Ray"
    )

    @field_validator("tasks")
    @classmethod
    def _are_tasks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from benchmark.suite.members import tasks

        return _known(names, tasks.SUITE)

    @field_validator("methods")
    @classmethod
    def _are_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from benchmark.suite.members import methods

        return _known(names, methods.METHODS)

    @field_validator("checkpoints")
    @classmethod
    def _are_checkpoints(cls, paths: dict[str, Path]) -> dict[str, Path]:
        from benchmark.baselines.checkpoints.entries import CHECKPOINTS

        if unknown := [name for name in paths if name not in CHECKPOINTS]:
            raise ValueError(f"there is no published checkpoint '{unknown[0]}'; there are: {', '.join(CHECKPOINTS)}")
        return paths

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from benchmark.suite.members import tasks

        known = dict.fromkeys(setting for task in tasks.SUITE.values() for setting in task.settings)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"no task has a setting '{unknown[0]}'; there are: {', '.join(known)}")
        return names

    @field_validator("paths")
    @classmethod
    def _are_data_sets(cls, paths: dict[str, Path]) -> dict[str, Path]:
        from benchmark.suite.members import datasets

        _known(paths, datasets.DATA_SETS)
        return paths

    def path_of(self, data_set: str) -> Path:
        """Where a data set lies, or should."""
        from benchmark.suite.members import datasets

        return self.paths.get(data_set, self.data_dir / datasets.DATA_SETS.find(data_set).folder)


def _known(names: Iterable[str], registry: Registry) -> tuple[str, ...]:
    for name in names:
        registry.find(name)
    return tuple(dict.fromkeys(names))
