"""The labeller and its shards, with a captioner that says what it is told."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.captioner.labelling import ask
from actors.captioner.requests import Question
from actors.captioner.shards import SHARD_SCHEMA, Shard, read_proposals, write_shard
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.engines.answer import Answer
from hcot_llm.prompts.retry import RetryConfig
from support.hcot import CLAUSES, HCOT, VOCABULARY


def test_every_response_is_told_and_no_tile_is_done_before_its_shard(tmp_path):
    """Three tiles in two shards; the first answers cannot be used, those to the repetition can."""
    said = {False: Answer({}, {}, "not_json", 1), True: Answer({"water": "sea"}, {}, None, 1)}

    class Client:
        def request(self, questions, images, seed, retries=None):
            return SimpleNamespace(source="stub", questions=questions, again=retries is not None)

        def submit(self, request):
            return SimpleNamespace(result=lambda: [[said[request.again]] for _ in request.questions])

    shape = 3, len(CLAUSES)
    annotations = AnnotationMatrix(
        HCOT, tuple("abc"), np.zeros(shape, int), np.ones(shape, np.float32), np.full(shape, "seed")
    )
    (tmp_path / ".shard-00000-killed.parquet.ab.partial").write_text("half")
    told = []
    questions = [Question(HCOT, tile_id, ("water",), {}, "", 10.0, {}, True, 0) for tile_id in "abc"]
    proposals = ask(
        questions,
        Client(),
        None,
        annotations,
        tmp_path,
        tiles_per_shard=2,
        candidates=1,
        in_flight=1,
        retry=RetryConfig(attempts=1, budget_share=1),
        on_progress=lambda *parts: told.append(parts),
    )
    assert told == [(0, 3), (2, 3), (2, 3), (3, 3)]
    assert proposals.recovered == 3
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob("shard-*.parquet"))) == 2


@given(st.integers(0, 10**6), st.lists(st.sampled_from(["valid", "invalid", "unasked"]), min_size=1, max_size=6))
def test_what_is_said_of_a_clause_comes_back_whether_it_was_answered_or_not(tmp_path_factory, seed, kinds):
    drawn = np.random.default_rng(seed)
    asked = [index for index, kind in enumerate(kinds) if kind != "unasked"]
    shape = len(kinds), len(CLAUSES)
    annotations = AnnotationMatrix(
        HCOT,
        tuple(f"t{index}" for index in range(len(kinds))),
        np.zeros(shape, int),
        np.ones(shape, np.float32),
        np.full(shape, "seed"),
    )
    questions = [Question(HCOT, f"t{index}", ("water",), {}, "", 10.0, {}, True, 0) for index in asked]
    said = {clause: drawn.dirichlet(np.ones(len(words)), len(kinds)) for clause, words in VOCABULARY.items()}
    shard = Shard(questions, 2, 0)
    shard.take(
        [
            [
                Answer(
                    {"water": "sea"} if kinds[index] == "valid" else {},
                    {clause: each[index] for clause, each in said.items()},
                    None if kinds[index] == "valid" else "not_json",
                    3,
                ),
                Answer({"water": "lake"}, {}, None, 3),
            ]
            for index in asked
        ]
    )
    path = tmp_path_factory.mktemp("shard") / "shard.parquet"
    write_shard(path, shard, UNGUARDED)
    found = read_proposals([read_parquet(path, SHARD_SCHEMA)], questions, annotations, 2)
    assert found.tokens == 2 * 3 * len(asked)
    assert found.invalid == ({"not_json": kinds.count("invalid")} if "invalid" in kinds else {})
    for clause, each in said.items():
        np.testing.assert_array_equal(found.distributions[clause][asked], each[asked].astype(np.float32))
        others = [index for index in range(len(kinds)) if index not in asked]
        assert np.isnan(found.distributions[clause][others]).all()
        if clause != "water":
            assert (found.proposed[:, CLAUSES.index(clause)] == NOT_PROPOSED).all()
    water = found.proposed[:, CLAUSES.index("water")]
    for index, kind in enumerate(kinds):
        sea, lake = (VOCABULARY["water"].index(value) for value in ("sea", "lake"))
        expected = {"valid": [sea, lake], "invalid": [NOT_PROPOSED, lake], "unasked": [NOT_PROPOSED] * 2}[kind]
        assert water[index].tolist() == expected
