"""Models that agree with annotations more often than these are right have learned errors, and count no more."""

from dataclasses import replace

import numpy as np
import pytest

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.schema.files import load_schema
from support.paths import ROOT

SCHEMA = load_schema(ROOT / "configs" / "schema" / "land_cover.yaml")
TILES, VALUES = 600, len(next(iter(SCHEMA.vocabulary.values())))
CLAUSE = SCHEMA.names[0]
HELD_OUT = np.arange(TILES) % 3 == 0
GENERATOR = np.random.default_rng(0)
TRUTH = GENERATOR.integers(VALUES, size=TILES)
WRONG = GENERATOR.random(TILES) < 0.25
ANNOTATED = np.where(WRONG, (TRUTH + 1) % VALUES, TRUTH)


def initial(accuracy: float = 0.75) -> AnnotationMatrix:
    ids = tuple(f"{tile:03d}" for tile in range(TILES))
    confidence = np.full((TILES, 1), accuracy, np.float32)
    return AnnotationMatrix(SCHEMA, ids, ANNOTATED[:, None], confidence, np.full((TILES, 1), "seed", object))


def model(says: np.ndarray) -> dict[str, np.ndarray]:
    sure = np.full((TILES, VALUES), 0.1 / (VALUES - 1))
    sure[np.arange(TILES), says] = 0.9
    return {CLAUSE: sure}


def test_a_model_that_repeats_errors_leaves_annotations_as_they_came_and_as_sure_as_they_state():
    repeats = np.where(WRONG & (GENERATOR.random(TILES) < 0.8), ANNOTATED, TRUTH)
    weighing = weigh([model(repeats)], initial(), HELD_OUT, AcceptanceConfig())
    assert weighing.source_weights == {CLAUSE: [0.0]}
    assert (weighing.posterior[CLAUSE].argmax(axis=1) == ANNOTATED).all()
    assert weighing.posterior[CLAUSE].max(axis=1).mean() == pytest.approx((~WRONG).mean(), abs=0.04)


def test_a_model_that_is_right_where_annotations_are_wrong_counts():
    weighing = weigh([model(TRUTH)], initial(), HELD_OUT, AcceptanceConfig())
    assert weighing.source_weights[CLAUSE][0] > 0.5
    assert (weighing.posterior[CLAUSE].argmax(axis=1) == TRUTH).mean() > 0.98


def test_annotations_of_a_standing_clause_are_not_changed_by_a_model_that_is_right():
    stands = replace(initial(), standing=frozenset({CLAUSE}))
    weighing = weigh([model(TRUTH)], stands, HELD_OUT, AcceptanceConfig())
    assert (weighing.posterior[CLAUSE].argmax(axis=1) == ANNOTATED).all()


def test_on_few_held_out_tiles_nothing_is_concluded():
    weighing = weigh([model(ANNOTATED)], initial(), np.arange(TILES) < 40, AcceptanceConfig())
    assert weighing.source_weights[CLAUSE][0] > 0
