"""The endpoint captioner with a real model behind a real server: vLLM serves SmolLM2-135M."""

import time

import pyarrow.parquet as pq
import pytest

from actors.captioner.endpoint import EndpointCaptionerConfig
from actors.captioner.endpoint_client import EndpointCaptioner
from corpus.tiles import read_tiles
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.engines.endpoint import Endpoint, EndpointFailed
from hcot_llm.engines.endpoint_config import EndpointConfig
from support.hcot import CLAUSES, VOCABULARY
from support.shared_chain import ASKED, answers, make_tiles, question, tile_ids_of
from support.smollm2 import NAME, kill, serve, write_model

KEY = "a-key-for-this-test-alone"


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    return make_tiles(tmp_path_factory.mktemp("endpoint_corpus"), 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(url, process) of vLLM's server; the last test ends it."""
    folder = tmp_path_factory.mktemp("smollm2")
    with serve(write_model(folder / "model"), KEY, folder / "server.log") as running:
        yield running


@pytest.fixture
def captioner(server, corpus_dir, monkeypatch):
    monkeypatch.setenv("KNOWLIP_TEST_KEY", KEY)
    config = EndpointCaptionerConfig(
        endpoint=EndpointConfig(
            url=server[0], model=NAME, key_variable="KNOWLIP_TEST_KEY", patience_s=3, max_new_tokens=48
        ),
    )
    client = EndpointCaptioner(config, read_tiles(corpus_dir), corpus_dir)
    yield client
    client.shutdown()


def test_a_shard_is_answered_held_to_the_vocabulary_and_never_asked_twice(captioner, corpus_dir, tmp_path):
    tile_ids = tile_ids_of(corpus_dir)
    receipt = captioner.publish(corpus_dir, "0" * 64)
    assert receipt.weights_sha256 is None, "nothing was published"
    assert receipt.largest_difference is None, "nothing was proven"
    assert NAME in receipt.captioner
    assert KEY not in receipt.captioner
    proposals = answers(captioner, tile_ids, tmp_path, tiles_per_shard=1)
    shards = sorted(tmp_path.glob("shard-*.parquet"))
    rows = [row for path in shards for row in pq.read_table(path).to_pylist()]
    assert len(shards) == 2
    assert {row["tile_id"] for row in rows} == set(tile_ids)
    answered = [row for row in rows if row["error"] is None]
    assert len(answered) >= len(tile_ids), "structured output holds the model to the vocabulary"
    distributions = 0
    for row in answered:
        clause = row["clause"]
        assert clause in ASKED
        assert row["value"] in VOCABULARY[clause]
        column = proposals.proposed[tile_ids.index(row["tile_id"]), CLAUSES.index(clause), 0]
        assert VOCABULARY[clause][column] == row["value"]
        if row["distribution"] is not None:
            distributions += 1
            assert sum(row["distribution"]) == pytest.approx(1, abs=1e-4)
    assert distributions, "vLLM tells log-probabilities"
    assert sum(proposals.invalid.values()) == len(rows) - len(answered)
    not_asked = [CLAUSES.index(clause) for clause in CLAUSES if clause not in ASKED]
    assert (proposals.proposed[:, not_asked] == NOT_PROPOSED).all()

    before = {path: path.stat().st_mtime_ns for path in shards}
    again = answers(captioner, tile_ids, tmp_path, tiles_per_shard=1)
    assert (again.proposed == proposals.proposed).all()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*")} == before, "finished shards are the answer"


def test_a_wrong_key_is_refused_by_the_real_server(server, monkeypatch):
    monkeypatch.setenv("KNOWLIP_TEST_KEY", "not-" + KEY)
    endpoint = Endpoint(EndpointConfig(url=server[0], model=NAME, key_variable="KNOWLIP_TEST_KEY"))
    with pytest.raises(EndpointFailed, match=r"refused the key \(HTTP 401\).*KNOWLIP_TEST_KEY") as error:
        endpoint.check()
    assert KEY not in str(error.value)


def test_a_model_that_the_server_lacks_is_named_with_those_it_has(server, monkeypatch):
    monkeypatch.setenv("KNOWLIP_TEST_KEY", KEY)
    with pytest.raises(EndpointFailed, match=f"no model 'larger'; it lists {NAME}"):
        Endpoint(EndpointConfig(url=server[0], model="larger", key_variable="KNOWLIP_TEST_KEY")).check()


def test_a_server_killed_in_the_middle_is_named(server, captioner, corpus_dir):
    """The last test of this file: it ends the server."""
    tile_ids = read_tiles(corpus_dir)["tile_id"].to_pylist()
    pending = captioner.submit(captioner.request([question(tile_id, CLAUSES) for tile_id in tile_ids * 4], None, 0))
    time.sleep(1)
    kill(server[1])
    with pytest.raises(EndpointFailed, match="gave no answer for 3 s.*knowlip resume") as error:
        pending.result()
    assert KEY not in str(error.value)
