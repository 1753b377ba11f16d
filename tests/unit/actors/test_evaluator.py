"""What the judge says of annotations whose truth is known."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.evaluator import Judge, rows_of
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.clauses import CLAUSES, VOCABULARY, Clause

TILES = 20
RARE = [0, 1]


@pytest.fixture
def case(tmp_path):
    """The judge, and the true annotations: two of twenty tiles have a terrain of their own."""
    values = np.zeros((TILES, len(CLAUSES)), dtype=int)
    values[RARE, CLAUSES.index(Clause.TERRAIN)] = 1
    tile_ids = [f"{tile:02d}" for tile in range(TILES)]
    columns = {
        str(clause): [VOCABULARY[clause][index] for index in values[:, column]] for column, clause in enumerate(CLAUSES)
    }
    pq.write_table(pa.table({"tile_id": tile_ids, **columns}), tmp_path / "truth.parquet")
    return Judge(str(tmp_path)), AnnotationMatrix(
        tuple(tile_ids), values, np.full(values.shape, 0.8, np.float32), np.full(values.shape, "seed", object)
    )


def test_accuracy_on_rare_and_on_common_landforms(case):
    judge, right = case
    wrong = right.values.copy()
    wrong[RARE[0], :4] = 1 - wrong[RARE[0], :4]  # 4 of 32 clauses
    wrong[5, 0] = 1 - wrong[5, 0]  # 1 of 288
    seed = AnnotationMatrix(right.tile_ids, wrong, right.confidence, right.source)
    metrics = judge.annotations(rows_of(seed), rows_of(seed))["metrics"]
    assert metrics["rare_tiles"] == 2
    assert metrics["annotation_accuracy_rare"] == pytest.approx(1 - 4 / 32)
    assert metrics["annotation_accuracy_common"] == pytest.approx(1 - 1 / 288)
    assert metrics["annotation_accuracy"] == pytest.approx(1 - 5 / 320)
    groups = {name.removeprefix("annotation_accuracy_rare_") for name in metrics if "accuracy_rare_" in name}
    assert groups == {"landform", "function", "target", "relation"}
    assert all(f"annotation_accuracy_common_{name}" in metrics for name in groups)

    repaired = judge.annotations(rows_of(right), rows_of(seed))["metrics"]
    assert repaired["annotation_accuracy_rare"] == repaired["annotation_accuracy_common"] == 1
    assert (repaired["true_repairs"], repaired["false_repairs"]) == (5, 0)
