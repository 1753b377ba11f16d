"""A captioner kind from outside the package labels tiles: its replicas answer, and the shards keep what they said."""

import json

import numpy as np
import pytest
import ray

from actors.captioner.base import CaptionerInputs
from actors.captioner.labelling import ask
from actors.captioner.registry import CAPTIONERS
from corpus.tiles import read_tiles
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.cluster.connect import start_local
from orchestrator.config.load import load_config
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.paths import ROOT
from support.plugins import forgotten_afterwards
from support.shared_chain import make_tiles, question, tile_ids_of

SAID = {"water": "sea", "road": VOCABULARY["road"][1]}
UNKNOWN = 2  # the tile that is not in the table


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    return make_tiles(tmp_path_factory.mktemp("plugin"), tiles=5)


@pytest.fixture(scope="module")
def running(corpus_dir, tmp_path_factory):
    """The settings, and the captioner that they started on a cluster of their own."""
    tile_ids, table = tile_ids_of(corpus_dir), tmp_path_factory.mktemp("table") / "answers.json"
    table.write_text(json.dumps({tile_id: SAID for row, tile_id in enumerate(tile_ids) if row != UNKNOWN}))
    with forgotten_afterwards("support.toy_captioner", CAPTIONERS) as module:
        overrides = [
            f"plugins=[{module}]",
            "captioner.kind=table",
            f"captioner.table={table}",
            "captioner.tiles_per_shard=2",
        ]
        settings = load_config(ROOT / "configs" / "smoke.yaml", overrides).captioner
        settings.check()
        start_local(num_cpus=2, object_store_memory=200 * 2**20)
        captioner = settings.start(CaptionerInputs(corpus_dir, read_tiles(corpus_dir), corpus_dir, owner="toy"))
        try:
            yield settings, captioner
        finally:
            captioner.shutdown()
            ray.shutdown()


def test_a_kind_from_outside_answers_every_question_and_finished_shards_are_not_asked_again(
    running, corpus_dir, tmp_path
):
    settings, captioner = running
    assert captioner.publish(corpus_dir, "0" * 64).captioner == "table"
    tile_ids = tile_ids_of(corpus_dir)
    shape = len(tile_ids), len(CLAUSES)
    annotations = AnnotationMatrix(
        HCOT, tile_ids, np.zeros(shape, int), np.ones(shape, np.float32), np.full(shape, "seed")
    )
    told = []

    def label():
        return ask(
            [question(tile_id, tuple(SAID)) for tile_id in tile_ids],
            captioner,
            None,
            annotations,
            tmp_path,
            tiles_per_shard=settings.tiles_per_shard,
            candidates=settings.candidates,
            retry=settings.retry,
            corrections=settings.corrections,
            in_flight=settings.shards_in_flight,
            on_progress=lambda done, of: told.append((done, of)),
        )

    proposals = label()
    for clause, value in SAID.items():
        expected = np.full(len(tile_ids), VOCABULARY[clause].index(value))
        expected[UNKNOWN] = NOT_PROPOSED
        assert (proposals.proposed[:, CLAUSES.index(clause), 0] == expected).all()
    others = [column for column, clause in enumerate(CLAUSES) if clause not in SAID]
    assert (proposals.proposed[:, others] == NOT_PROPOSED).all()
    assert proposals.invalid == {"empty": 1}
    assert told[-1] == (5, 5)
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 3

    told.clear()
    assert (label().proposed == proposals.proposed).all()
    assert told == [], "what is on disk is the answer"
