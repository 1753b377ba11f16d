"""The labeller and its shards, with a captioner that says what it is told."""

from types import SimpleNamespace

import numpy as np

from actors.captioner.labelling import ask
from actors.captioner.requests import Question
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.engines.answer import Answer
from hcot_llm.prompts.retry import RetryConfig
from support.hcot import CLAUSES, HCOT


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
