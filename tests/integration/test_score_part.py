"""A fold's model scores its own tiles alone: those scores are what the whole corpus would have given them."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data

import actors.scorer.scorer
from actors.scorer.config import ScoreConfig
from actors.scorer.scorer import Scores, _ScoreActor, score_tiles
from actors.weights import create_weights
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.data.annotation_history import select
from support import training_job
from support.hcot import CLAUSES, HCOT

TILES, BLOCK = 12, 4


class MeetingActor(_ScoreActor):
    """The scoring actor. It goes on when two of them are there, or after two minutes, and notes who scored."""

    def __init__(self, weights_dir: str, *rest) -> None:
        super().__init__(weights_dir, *rest)
        self._there = Path(weights_dir).parent
        (self._there / f"{os.getpid()}.scorer").touch()

    def __call__(self, batch: pa.Table) -> pa.Table:
        deadline = time.monotonic() + 120
        while len(list(self._there.glob("*.scorer"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        (self._there / f"{os.getpid()}.scored").touch()
        return super().__call__(batch)


@dataclass(frozen=True)
class ToScore:
    """Twelve tiles in three blocks on a cluster with four CPUs, and an untrained model."""

    weights: Path
    annotations: AnnotationMatrix
    images: ray.data.Dataset

    def score(self, part: np.ndarray | None = None, **bounds: int) -> Scores:
        annotations = self.annotations if part is None else select(self.annotations, part)
        return score_tiles(self.images, annotations, self.weights, ScoreConfig(neighbours=2, **bounds))


@pytest.fixture(scope="module")
def to_score(tmp_path_factory):
    weights = tmp_path_factory.mktemp("scoring") / "weights"
    create_weights(HCOT, weights, training_job.toy_model(), seed=0)
    table = training_job.training_table(TILES)
    annotations = AnnotationMatrix(
        HCOT,
        tuple(table["tile_id"].to_pylist()),
        np.asarray(table["values"].to_pylist()),
        np.ones((TILES, len(CLAUSES)), np.float32),
        np.full((TILES, len(CLAUSES)), "seed", object),
    )
    table = pa.table({"tile_id": table["tile_id"], "split": ["train"] * TILES, "image": table["image"]})
    ray.init("local", num_cpus=4, object_store_memory=200 * 2**20, include_dashboard=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the actors' processes cannot import a test
    try:
        images = ray.data.from_arrow([table.slice(start, BLOCK) for start in range(0, TILES, BLOCK)]).materialize()
        yield ToScore(weights, annotations, images)
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def scored(to_score):
    """(all tiles, a part that leaves one block of images without any)."""
    part = np.asarray([True, False, True, True] + [False] * BLOCK + [True, True, False, True])
    return part, [to_score.score(each, max_workers=1) for each in (None, part)]


def test_a_tiles_scores_do_not_depend_on_which_others_are_scored(scored):
    part, [whole, some] = scored
    assert some.feedback.tile_ids == tuple(np.asarray(whole.feedback.tile_ids)[part])
    for clause in CLAUSES:
        np.testing.assert_allclose(some.feedback.zero_shot[clause], whole.feedback.zero_shot[clause][part], rtol=1e-4)
    np.testing.assert_allclose(some.feedback.itc_gain, whole.feedback.itc_gain[part], atol=1e-4)
    np.testing.assert_allclose(some.image_embeddings, whole.image_embeddings[part], atol=1e-4)


def test_neighbours_vote_within_the_part(scored):
    part, [whole, some] = scored
    votes = some.feedback.neighbours[CLAUSES[0]]
    assert votes.shape[0] == part.sum()
    assert np.allclose(votes.sum(axis=1), 1)
    assert not np.allclose(votes, whole.feedback.neighbours[CLAUSES[0]][part])


def test_scorers_grow_to_the_upper_bound_under_load_and_no_further(to_score, scored, monkeypatch):
    monkeypatch.setattr(actors.scorer.scorer, "_ScoreActor", MeetingActor)
    scores = to_score.score(min_workers=1, max_workers=2)
    assert [len(list(to_score.weights.parent.glob(f"*.{what}"))) for what in ("scorer", "scored")] == [2, 2]
    _, [whole, _] = scored
    np.testing.assert_array_equal(scores.image_embeddings, whole.image_embeddings)
    np.testing.assert_array_equal(scores.feedback.itc_gain, whole.feedback.itc_gain)
