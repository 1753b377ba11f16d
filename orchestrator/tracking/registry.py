"""Which kinds of trackers there are, and the configuration's section that names one.

A kind is added from outside the project by a module that the configuration's `plugins` names:

    @TRACKERS.register("mine")
    class MyTracker:
        def __init__(self, run: TrackedRun) -> None: ...

orchestrator/tracking/base.py says what a tracker does. This module is read with every configuration, so it imports no
tracker: MLflow takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from corpus.registry import Registry
from corpus.storage.models import FrozenModel

if TYPE_CHECKING:
    from orchestrator.tracking.base import TrackedRun, Tracker

TRACKERS: Registry[Callable[[TrackedRun], Tracker]] = Registry("kind of tracker")
"""What makes a tracker of each kind for one run: its class, or a function."""


class TrackingConfig(FrozenModel):
    """Who is told what the run does."""

    kind: str = Field(
        default="mlflow",
        description="mlflow: the server that MLFLOW_TRACKING_URI names, or a store that the runs of a folder share "
        "(docs/mlflow.md); none; or a kind that a plugin has registered",
    )

    traces: int = Field(
        default=8,
        ge=0,
        le=100,
        description="Repairs of a round that the tracker is told in full, drawn at random: picture, label sources with "
        "their weights, rules, decision (docs/mlflow.md); 0: none",
    )

    usage_interval_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds between two samples of what the run and the driver's machine use, which MLflow shows as "
        "system metrics (docs/mlflow.md); 0: none",
    )

    @field_validator("kind")
    @classmethod
    def _is_registered(cls, kind: str) -> str:
        TRACKERS.find(kind)
        return kind


def make_tracker(config: TrackingConfig, run: TrackedRun) -> Tracker:
    """Return a tracker of the configured kind for one run."""
    return TRACKERS.find(config.kind)(run)


def _class_in(module: str, name: str) -> Callable[[TrackedRun], Tracker]:
    """Return what makes an instance of a class, whose module is imported for the first one."""
    return lambda run: getattr(import_module(module), name)(run)


TRACKERS.add("mlflow", _class_in("orchestrator.tracking.mlflow", "MlflowTracker"))
TRACKERS.add("none", _class_in("orchestrator.tracking.none", "NoTracker"))
