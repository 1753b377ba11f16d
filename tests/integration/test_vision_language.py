"""A vision-language model as the captioner: a real one, small and with random weights, in vLLM behind Ray Serve."""

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import ray

from actors.captioner.vision_language import VisionLanguageCaptionerConfig
from actors.captioner.vision_language_replica import VisionLanguageCaptioner
from corpus.tiles import read_tiles
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.engines.vision_language import VisionLanguageConfig
from orchestrator.cluster.connect import start_local
from support.hcot import CLAUSES, VOCABULARY
from support.shared_chain import ASKED, answers, make_tiles, tile_ids_of
from support.small_vision_language import write_model


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    return make_tiles(tmp_path_factory.mktemp("look_corpus"), 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("vision_language"))


@pytest.fixture(scope="module")
def captioner(model, corpus_dir):
    start_local(num_cpus=3, object_store_memory=200 * 2**20)
    config = VisionLanguageCaptionerConfig(
        threads_per_replica=1,
        vision_language=VisionLanguageConfig(model=str(model), dtype="float32", max_model_len=2048, max_new_tokens=200),
    )
    client = VisionLanguageCaptioner(config, read_tiles(corpus_dir), corpus_dir)
    try:
        yield client
    finally:
        client.shutdown()
        ray.shutdown()


def test_it_is_shown_each_tile_and_answers_in_the_vocabulary(captioner, corpus_dir, tmp_path):
    tile_ids = tile_ids_of(corpus_dir)
    receipt = captioner.publish(corpus_dir, "0" * 64)
    assert receipt.weights_sha256 is None, "nothing was published"
    assert receipt.largest_difference is None, "nothing was proven"
    assert receipt.captioner.startswith("vision-language ")
    first = answers(captioner, tile_ids, tmp_path / "first", tiles_per_shard=2)
    assert not first.invalid
    for column, clause in enumerate(CLAUSES):
        said = first.proposed[:, column, 0]
        if clause not in ASKED:
            assert (said == NOT_PROPOSED).all()
            continue
        assert ((said >= 0) & (said < len(VOCABULARY[clause]))).all()
        # All three tiles are asked the same, word for word: only their pictures can make a difference.
        told = first.distributions[clause][~np.isnan(first.distributions[clause]).any(axis=1)]
        assert np.allclose(told.sum(axis=1), 1)
    seen = [first.distributions[clause] for clause in ASKED if not np.isnan(first.distributions[clause]).any()]
    assert seen
    assert any(np.abs(each[0] - each[1]).max() > 1e-3 for each in seen)
    again = answers(captioner, tile_ids, tmp_path / "again", tiles_per_shard=2)
    assert (again.proposed == first.proposed).all()
    for clause in ASKED:
        assert np.allclose(again.distributions[clause], first.distributions[clause], atol=1e-4, equal_nan=True)


def test_a_killed_replica_is_replaced_and_the_shard_is_answered_once(captioner, corpus_dir, tmp_path):
    tile_ids = tile_ids_of(corpus_dir)
    captioner.publish(corpus_dir, "0" * 64)
    [replica] = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE and "ServeReplica:captioner" in " ".join(process.cmdline())
    ]
    replica.kill()
    found = answers(captioner, tile_ids, tmp_path, tiles_per_shard=2)
    assert not found.invalid
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 2
    rows = [row for path in tmp_path.glob("shard-*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == len({(row["tile_id"], row["clause"]) for row in rows}) == len(tile_ids) * len(ASKED)
