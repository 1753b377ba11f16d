"""The section `evaluation` of a configuration."""

from pydantic import Field, field_validator

from benchmark.base import TASKS
from benchmark.tasks import DEFAULT_TASKS
from benchmark.tasks.nearest_neighbours import NAME
from corpus.storage.models import StrictModel


class EvaluationConfig(StrictModel):
    """What a round is evaluated with."""

    tasks: tuple[str, ...] = Field(
        default=DEFAULT_TASKS,
        description="evaluation tasks to run after every round; their metrics stand in its record",
    )

    data_sets: tuple[str, ...] = Field(
        default=(),
        description="labelled data sets on which five nearest neighbours judge the encoder after every round, such as "
        "mstar_soc (metric knn5/NAME); they lie where `benchmark.data_dir` and `benchmark.paths` say",
    )

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The tasks to run, with that of the data sets where there are any."""
        return (*self.tasks, NAME) if self.data_sets and NAME not in self.tasks else self.tasks

    @field_validator("data_sets")
    @classmethod
    def _have_features_judged(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            return names
        from benchmark.suite.members import tasks

        known = [each for task in tasks.SUITE.values() if "knn5" in task.settings for each in task.data_sets]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"neighbours judge no data set '{unknown[0]}'; there are: {', '.join(known)}")
        return tuple(dict.fromkeys(names))

    @field_validator("tasks")
    @classmethod
    def _are_registered(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for name in tasks:
            TASKS.find(name)
        if len(set(tasks)) != len(tasks):
            raise ValueError("a task is listed twice")
        return tasks
