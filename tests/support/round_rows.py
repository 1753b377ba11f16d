"""The rows of a round as the schedule makes them from made-up annotations."""

import numpy as np
import pyarrow as pa

from actors.trainer.config import TrainConfig
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.data.training_targets import TrainingTargets, training_rows, training_view
from orchestrator.policies.schedule import Schedule, ScheduleConfig
from support.hcot import CLAUSES, HCOT

TILES = tuple(f"tile-{index:03d}" for index in range(200))


KNOWLEDGE = dict.fromkeys(TILES, "plain coast")


def annotations(value: int) -> AnnotationMatrix:
    values = np.full((len(TILES), len(CLAUSES)), value)
    values[:10, CLAUSES.index("terrain")] = 2  # a rare landform
    return AnnotationMatrix(
        HCOT, TILES, values, np.ones(values.shape, np.float32), np.full(values.shape, "seed", object)
    )


def rows(round_: int = 2, targets: TrainingTargets | None = None, **settings) -> pa.Table:
    targets, drawn = targets or TrainingTargets.first(len(TILES), len(HCOT)), {"run_seed": 0, "round_": round_}
    plan = plan_of(round_, **settings)
    return training_rows(
        annotations(1),
        training_view(annotations(1), annotations(0), targets, plan, **drawn),
        targets,
        KNOWLEDGE,
        plan,
        **drawn,
    )


def plan_of(round_: int, **settings):
    return Schedule(ScheduleConfig(**settings), TrainConfig(), AcceptanceConfig()).plan(round_)
