"""A vision-language model as the captioner: a real one, small and with random weights, in vLLM behind Ray Serve."""

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import ray

from actors.captioner.factory import check_captioner
from actors.captioner.native import CaptionerConfig
from actors.captioner.vision_language import VisionLanguageCaptioner
from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.picture import grey_picture, png
from corpus.tiles import read_tiles
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.engines.vision_language import VisionLanguageConfig, VisionLanguageError
from hcot_llm.schema.clauses import CLAUSES, VOCABULARY
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
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20)
    config = CaptionerConfig(
        kind="vision_language",
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
    assert receipt.weights_sha256 is None and receipt.largest_difference is None, "nothing was published or proven"
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
        if "ServeReplica:captioner" in " ".join(process.cmdline())
    ]
    replica.kill()
    found = answers(captioner, tile_ids, tmp_path, tiles_per_shard=2)
    assert not found.invalid
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 2
    rows = [row for path in tmp_path.glob("shard-*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == len({(row["tile_id"], row["clause"]) for row in rows}) == len(tile_ids) * len(ASKED)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: "", "names no model"),
        (lambda folder: f"{folder}/nowhere", "lacks config.json, tokenizer_config.json"),
        (lambda folder: folder, "lacks weights as safetensors"),
    ],
)
def test_a_model_that_is_none_is_named_before_anything_starts(tmp_path, make, said):
    for name in ("config.json", "tokenizer_config.json", "pytorch_model.bin"):
        (tmp_path / name).write_text("{}")
    config = CaptionerConfig(kind="vision_language", vision_language={"model": str(make(tmp_path))})
    with pytest.raises(VisionLanguageError, match=said):
        check_captioner(config)


def test_levels_cannot_be_left_out_of_a_chain():
    with pytest.raises(ValueError, match="kind vision_language asks level by level"):
        CaptionerConfig(kind="vision_language", levels_in_prompt=False)


def test_the_picture_is_the_co_polarised_band_in_decibels_and_no_data_is_black():
    rows = np.linspace(-25, 0, 64 * 64, dtype=np.float32).reshape(64, 64)
    rows[0, 0] = np.nan
    picture = grey_picture(Backscatter(np.stack([np.full_like(rows, -20), rows]), ("VH", "VV")))
    assert picture.dtype == np.uint8
    assert picture[0, 0] == 0
    assert picture[-1, -1] == 255
    assert (np.diff(picture.ravel()[1:].astype(int)) >= 0).all(), "brighter means more backscatter"
    assert not grey_picture(Backscatter(np.full((1, 4, 4), np.nan, np.float32), ("VV",))).any()
    assert png(picture) == png(picture)
    assert png(picture).startswith(b"\x89PNG")
