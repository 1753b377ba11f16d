"""A fold's model scores its own tiles alone: those scores are what the whole corpus would have given them."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data

import actors.scorer.pool
from actors.scorer.config import ScoreConfig
from actors.scorer.pool import ScorerPool, Scores
from actors.scorer.scorer import ScoreActor, ScoreOrder
from actors.weights import create_weights
from hcot_llm.aggregation.matrix import AnnotationMatrix, select
from orchestrator.cluster.connect import start_local
from support import training_job
from support.hcot import CLAUSES, HCOT

TILES, BLOCK = 12, 4


class MeetingActor(ScoreActor):
    """The scoring actor. It goes on when two of them are there, or after two minutes, and notes who scored."""

    def score(self, block: pa.Table, rows: pa.Table, order: ScoreOrder) -> pa.Table:
        there, deadline = Path(order.weights_dir).parent, time.monotonic() + 120
        (there / f"{os.getpid()}.scorer").touch()
        while len(list(there.glob("*.scorer"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        (there / f"{os.getpid()}.scored").touch()
        return super().score(block, rows, order)


class NotingActor(ScoreActor):
    """The scoring actor. It notes its process for every block."""

    def score(self, block: pa.Table, rows: pa.Table, order: ScoreOrder) -> pa.Table:
        (Path(order.weights_dir).parent / f"{os.getpid()}.noted").touch()
        return super().score(block, rows, order)


@dataclass(frozen=True)
class ToScore:
    """Twelve tiles in three blocks on a cluster with four CPUs, and an untrained model."""

    weights: Path
    annotations: AnnotationMatrix
    images: ray.data.Dataset

    def score(self, part: np.ndarray | None = None, pool: ScorerPool | None = None, **bounds: int) -> Scores:
        annotations = self.annotations if part is None else select(self.annotations, part)
        pool = pool or self.pool(**bounds)
        return pool.score(self.images, annotations, self.weights, leave_one_out=True, seed=0)

    def pool(self, actor: type[ScoreActor] = ScoreActor, **bounds: int) -> ScorerPool:
        return ScorerPool(ScoreConfig(neighbours=2, **bounds), actor)

    def noted(self) -> set[int]:
        """Process ids of the actors that have scored."""
        return {int(path.stem) for path in self.weights.parent.glob("*.noted")}


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
    table = pa.table(
        {"tile_id": table["tile_id"], "split": ["train"] * TILES, "image": table["image"], "crops": table["crops"]}
    )
    start_local(num_cpus=4, object_store_memory=200 * 2**20)
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
    monkeypatch.setattr(actors.scorer.pool, "_GROW_AFTER_S", 0.0)
    scores = to_score.score(pool=to_score.pool(MeetingActor, min_workers=1, max_workers=2))
    assert [len(list(to_score.weights.parent.glob(f"*.{what}"))) for what in ("scorer", "scored")] == [2, 2]
    _, [whole, _] = scored
    np.testing.assert_array_equal(scores.image_embeddings, whole.image_embeddings)
    np.testing.assert_array_equal(scores.feedback.itc_gain, whole.feedback.itc_gain)


def test_one_actor_scores_all_rounds_and_one_that_died_between_them_is_replaced(to_score, scored):
    pool = to_score.pool(NotingActor, max_workers=1)
    rounds = [to_score.score(pool=pool) for _ in range(2)]
    [first] = to_score.noted()
    os.kill(first, signal.SIGKILL)
    rounds.append(to_score.score(pool=pool))
    assert len(to_score.noted()) == 2
    _, [whole, _] = scored
    for scores in rounds:
        np.testing.assert_array_equal(scores.feedback.itc_gain, whole.feedback.itc_gain)


def halved(tiles: int) -> tuple[int, str]:
    return tiles // 2, "x" * tiles


def test_scorers_compute_calls_in_their_order_and_keep_what_is_large(to_score):
    pool = to_score.pool()
    large = pool.hold(400_000)
    found = pool.map_kept(halved, [(6,), (large,), (2,)])
    assert [each for each, _ in found] == [3, 200_000, 1]
    assert [len(pool.get(kept)) for _, kept in found] == [6, 400_000, 2]
    assert pool.map(len, [("abc",), ("a",)]) == [3, 1]
