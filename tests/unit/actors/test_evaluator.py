"""What the evaluator finds in annotations whose truth is known, and what it says where there is none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.evaluator import Judge, rows_of
from benchmark.base import EvaluationInputs
from hcot_llm.aggregation.matrix import AnnotationMatrix
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = 20
RARE = [0, 1]


@pytest.fixture
def case(tmp_path):
    """The judge, and the true annotations: two of twenty tiles have a terrain of their own."""
    values = np.zeros((TILES, len(CLAUSES)), dtype=int)
    values[RARE, CLAUSES.index("terrain")] = 1
    tile_ids = [f"{tile:02d}" for tile in range(TILES)]
    columns = {
        str(clause): [VOCABULARY[clause][index] for index in values[:, column]] for column, clause in enumerate(CLAUSES)
    }
    pq.write_table(pa.table({"tile_id": tile_ids, **columns}), tmp_path / "truth.parquet")
    return Judge(HCOT, str(tmp_path)), AnnotationMatrix(
        HCOT,
        tuple(tile_ids),
        values,
        np.full(values.shape, 0.8, np.float32),
        np.full(values.shape, "seed", object),
    )


def test_accuracy_is_told_apart_on_rare_and_on_common_landforms(case):
    judge, right = case
    wrong = right.values.copy()
    wrong[RARE[0], :4] = 1 - wrong[RARE[0], :4]  # 4 of 32 clauses
    wrong[5, 0] = 1 - wrong[5, 0]  # 1 of 288
    seed = AnnotationMatrix(HCOT, right.tile_ids, wrong, right.confidence, right.source)
    metrics = judge.evaluate(EvaluationInputs(HCOT, rows_of(seed), rows_of(seed))).metrics
    assert metrics["rare_tiles"] == 2
    assert metrics["annotation_accuracy_rare"] == pytest.approx(1 - 4 / 32)
    assert metrics["annotation_accuracy_common"] == pytest.approx(1 - 1 / 288)
    assert metrics["annotation_accuracy"] == pytest.approx(1 - 5 / 320)
    groups = {name.removeprefix("annotation_accuracy_rare_") for name in metrics if "accuracy_rare_" in name}
    assert groups == {"landform", "function", "target", "relation"}
    assert all(f"annotation_accuracy_common_{name}" in metrics for name in groups)

    repaired = judge.evaluate(EvaluationInputs(HCOT, rows_of(right), rows_of(seed))).metrics
    assert repaired["annotation_accuracy_rare"] == repaired["annotation_accuracy_common"] == 1
    assert (repaired["true_repairs"], repaired["false_repairs"]) == (5, 0)


def test_without_a_loss_mask_every_annotation_is_a_training_target_and_with_one_only_those_it_lets_through(case):
    judge, right = case
    wrong = right.values.copy()
    wrong[0, 0] = 1 - wrong[0, 0]
    rows = rows_of(AnnotationMatrix(HCOT, right.tile_ids, wrong, right.confidence, right.source))
    mask = np.ones(wrong.size, dtype=bool)
    mask[0] = False

    def found(loss_mask):
        return judge.evaluate(EvaluationInputs(HCOT, rows, rows, loss_mask), ["training_target_accuracy"]).metrics

    assert found(None) == {"annotation_accuracy_training_targets": pytest.approx(1 - 1 / wrong.size)}
    assert found(mask) == {"annotation_accuracy_training_targets": 1.0}
    assert found(np.zeros_like(mask)) == {}


def test_without_truth_the_named_metrics_are_null_and_no_others_are_there(case, tmp_path):
    _, right = case
    result = Judge(HCOT, str(tmp_path / "elsewhere")).evaluate(EvaluationInputs(HCOT, rows_of(right), rows_of(right)))
    assert result.metrics == {
        "annotation_accuracy": None,
        "flag_precision": None,
        "flag_recall": None,
        "held_out_slot_accuracy": None,
        "held_out_mean_recall": None,
        "held_out_count_mae": None,
        "held_out_weighed_accuracy": None,
    }
    assert result.accuracy_by_clause == {}


def test_without_held_out_tiles_their_metrics_are_null_and_the_annotations_are_judged(case):
    judge, right = case
    metrics = judge.evaluate(EvaluationInputs(HCOT, rows_of(right), rows_of(right))).metrics
    assert metrics["annotation_accuracy"] == 1
    assert metrics["held_out_slot_accuracy"] is metrics["held_out_mean_recall"] is None
