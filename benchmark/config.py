"""The section `evaluation` of a configuration."""

from pydantic import Field, field_validator

from benchmark.base import TASKS
from benchmark.tasks import DEFAULT_TASKS
from corpus.storage.models import StrictModel


class EvaluationConfig(StrictModel):
    """What a round is evaluated with."""

    tasks: tuple[str, ...] = Field(
        default=DEFAULT_TASKS,
        description="evaluation tasks to run after every round; their metrics stand in its record",
    )

    @field_validator("tasks")
    @classmethod
    def _are_registered(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for name in tasks:
            TASKS.find(name)
        if len(set(tasks)) != len(tasks):
            raise ValueError("a task is listed twice")
        return tasks
