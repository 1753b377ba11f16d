"""A real engine half of whose answers are damaged: counted by reason, asked again within the budget, nothing lost."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from actors.captioner.labelling import ask
from actors.captioner.requests import CaptionRequest, Question
from actors.data.image_index import ImageIndex
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.engines.fault_injection import ANSWER_FAULTS
from hcot_llm.engines.native import NativeEngine
from hcot_llm.prompts.retry import RetryConfig
from hcot_llm.schema.errors import AnswerError
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES, PER_SHARD, CANDIDATES = 40, 20, 3

RETRY = RetryConfig(attempts=2, budget_share=0.5)


class InProcess:
    """Requests answered by an engine in this process: labeller and engine are the loop's, the transport is not."""

    def __init__(self, engine: NativeEngine, trained, images) -> None:
        self._engine, self._trained, self._images = engine, trained, images
        self.requests: list[CaptionRequest] = []

    def request(self, *parts) -> CaptionRequest:
        return CaptionRequest.of("weights", self._trained.weights_sha256, *parts)

    def submit(self, request: CaptionRequest):
        self.requests.append(request)
        embeddings = self._trained.embeddings(self._images[[row for _, row in request.where]], request.prompts)
        answers = (
            self._engine.generate(embeddings, request.queried, request.seed)
            if request.retries is None
            else [[answer] for answer in self._engine.generate_again(embeddings, request.retries)]
        )
        return SimpleNamespace(result=lambda: answers)


@pytest.fixture(scope="module")
def questions(clean_corpus) -> list[Question]:
    """Of one clause to six; an untrained clause may take a token a letter."""
    generator = np.random.default_rng(3)
    made = []
    for row in range(TILES):
        chosen = generator.choice(len(CLAUSES), 1 + row % 6, replace=False)
        asked = tuple(clause for column, clause in enumerate(CLAUSES) if column in chosen)
        kept = {c: v for c, v in clean_corpus.annotations.row_values(row).items() if c not in asked}
        made.append(
            Question(HCOT, clean_corpus.annotations.tile_ids[row], asked, kept, "plain coast", 10.0, {}, True, row)
        )
    return made


@pytest.fixture(scope="module")
def label(engine, trained_captioner, clean_corpus, questions):
    """Label all questions into a directory at a share of damaged answers; returns proposals and requests."""
    index = ImageIndex(["all"], {tile_id: (0, row) for row, tile_id in enumerate(clean_corpus.annotations.tile_ids)})

    def run(folder, fault_share, retry=RETRY):
        client = InProcess(engine, trained_captioner, clean_corpus.images)
        original = engine._config
        engine._config = original.model_copy(update={"fault_share": fault_share})
        try:
            found = ask(
                questions,
                client,
                index,
                clean_corpus.annotations,
                folder,
                tiles_per_shard=PER_SHARD,
                candidates=CANDIDATES,
                retry=retry,
            )
        finally:
            engine._config = original
        return found, client.requests

    return run


@pytest.fixture(scope="module")
def faulty(label, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    return folder, *label(folder, 0.5)


def rows(folder) -> list[dict]:
    return [row for path in sorted(folder.glob("shard-*")) for row in pq.read_table(path).to_pylist()]


def test_every_fault_is_counted_by_its_reason(faulty):
    _, proposals, _ = faulty
    assert set(proposals.injected) == set(ANSWER_FAULTS)
    assert sum(proposals.injected.values()) > 0.4 * TILES * CANDIDATES
    # Each damage makes the answer invalid, so only answers that failed by themselves may come on top.
    assert sum(proposals.invalid.values()) >= sum(proposals.injected.values())
    assert set(proposals.invalid) <= set(AnswerError.REASONS)
    assert all(proposals.invalid[reason] > 0 for reason in ANSWER_FAULTS)


def test_the_budget_is_kept_in_every_shard(faulty):
    _, proposals, requests = faulty
    again = [request for request in requests if request.retries is not None]
    spent = Counter()
    for request in again:
        spent[min(row for _, row in request.where) // PER_SHARD] += len(request.retries)
    assert again
    assert len(requests) - len(again) == TILES // PER_SHARD
    assert all(answers <= RETRY.budget_share * PER_SHARD * CANDIDATES for answers in spent.values())
    assert 0 < proposals.recovered < proposals.retried


def test_what_is_proposed_is_valid_and_was_asked(faulty, questions, clean_corpus):
    _, proposals, _ = faulty
    row_of = {tile_id: row for row, tile_id in enumerate(clean_corpus.annotations.tile_ids)}
    asked = np.zeros((len(row_of), len(CLAUSES)), bool)
    for question in questions:
        asked[row_of[question.tile_id], [CLAUSES.index(clause) for clause in question.queried]] = True
    assert (proposals.proposed[~asked] == NOT_PROPOSED).all()
    answered = proposals.proposed[:, :, 0] != NOT_PROPOSED
    assert 0 < answered.sum() < asked.sum()
    for column, clause in enumerate(CLAUSES):
        assert (proposals.proposed[:, column] < len(VOCABULARY[clause])).all()
        # A clause has a distribution exactly where the greedy candidate, or its repetition, answered it.
        np.testing.assert_array_equal(~np.isnan(proposals.distributions[clause][:, 0]), answered[:, column])


def test_repeating_gives_more_than_not_repeating(faulty, label, tmp_path):
    _, proposals, _ = faulty
    without, requests = label(tmp_path, 0.5, RetryConfig(attempts=0))
    assert all(request.retries is None for request in requests)
    assert without.retried == without.recovered == 0
    gained = (proposals.proposed != NOT_PROPOSED) & (without.proposed == NOT_PROPOSED)
    kept = without.proposed != NOT_PROPOSED
    assert gained.any()
    assert (proposals.proposed[kept] == without.proposed[kept]).all()


def test_a_finished_shard_is_not_generated_again_and_a_lost_one_comes_out_the_same(faulty, label):
    folder, proposals, _ = faulty
    before = rows(folder)
    again, requests = label(folder, 0.5)
    assert requests == []
    assert same(again, proposals)
    sorted(folder.glob("shard-*"))[1].unlink()
    again, requests = label(folder, 0.5)
    assert {row // PER_SHARD for request in requests for _, row in request.where} == {1}
    assert same(again, proposals)
    assert [{**row, "distribution": None} for row in rows(folder)] == [{**row, "distribution": None} for row in before]


def test_without_an_invalid_answer_there_is_nothing_to_repeat(label, tmp_path):
    """And with some, what was valid stays as it is."""
    plain, requests = label(tmp_path / "plain", 0)
    assert plain.injected == {}
    if not plain.invalid:
        assert plain.retried == 0
        assert all(request.retries is None for request in requests)
    bare, _ = label(tmp_path / "bare", 0, RetryConfig(attempts=0))
    valid = bare.proposed != NOT_PROPOSED
    assert (plain.proposed[valid] == bare.proposed[valid]).all()
    assert plain.recovered <= plain.retried <= sum(plain.invalid.values())


def same(one, other) -> bool:
    plain = [{**vars(each), "proposed": None, "distributions": None} for each in (one, other)]
    return plain[0] == plain[1] and np.array_equal(one.proposed, other.proposed)
