"""A fold's model scores its own tiles alone: those scores are what the whole corpus would have given them."""

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data
import torch
import training_job

from actors.devices import device_of
from actors.scorer import ScoreConfig, _ScoreActor, score_tiles
from actors.weights import create_weights
from hcot_llm.matrix import AnnotationMatrix
from hcot_llm.schema import CLAUSES
from orchestrator.corpus_state import select

TILES, BLOCK = 12, 4


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """(all tiles, a part that leaves one block of images without any), scored by an untrained model."""
    weights = tmp_path_factory.mktemp("scoring") / "weights"
    create_weights(weights, training_job.toy_model(), seed=0)
    table = training_job.training_table(TILES)
    annotations = AnnotationMatrix(
        tuple(table["tile_id"].to_pylist()), np.asarray(table["values"].to_pylist()),
        np.ones((TILES, len(CLAUSES)), np.float32), np.full((TILES, len(CLAUSES)), "seed", object))
    table = pa.table({"tile_id": table["tile_id"], "split": ["train"] * TILES, "image": table["image"]})
    part = np.asarray([True, False, True, True] + [False] * BLOCK + [True, True, False, True])
    ray.init(num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False)
    try:
        images = ray.data.from_arrow([table.slice(start, BLOCK) for start in range(0, TILES, BLOCK)]).materialize()
        config = ScoreConfig(max_workers=1, neighbours=2)
        yield part, [score_tiles(images, each, weights, config) for each in (annotations, select(annotations, part))]
    finally:
        ray.shutdown()


@pytest.mark.parametrize(("gpus", "available", "device"), [(0, True, "cpu"), (0.5, False, "cpu"), (0.5, True, "cuda")])
def test_a_worker_computes_on_the_gpu_that_it_reserved(monkeypatch, gpus, available, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert device_of(gpus) == device


def test_the_scoring_actor_moves_its_encoder(tmp_path, monkeypatch):
    create_weights(tmp_path / "weights", training_job.toy_model(), seed=0)
    monkeypatch.setattr("actors.scorer.device_of", lambda gpus: "meta" if gpus else "cpu")
    on = {gpus: _ScoreActor(str(tmp_path / "weights"), True, 1, gpus)._scorer.encoder.device.type for gpus in (0, 1)}
    assert on == {0: "cpu", 1: "meta"}


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
    assert votes.shape[0] == part.sum() and np.allclose(votes.sum(axis=1), 1)
    assert not np.allclose(votes, whole.feedback.neighbours[CLAUSES[0]][part])
