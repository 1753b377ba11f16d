"""Tiles are weighed block by block, by whoever is there: what comes out depends on neither."""

import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from hcot_llm.aggregation import workers
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import LabelUpdate, Proposals, current_confidence, update_labels
from support.consistent import consistent_annotations
from support.hcot import HCOT, VOCABULARY

TILES = 90


class LastFirst:
    """Workers that compute the last call first, on copies of what they are handed, as other processes do."""

    def __init__(self) -> None:
        self.calls = 0

    def hold(self, what: Any) -> Any:
        return ("held", pickle.dumps(what))

    def map(self, function: Callable, calls: Iterable[tuple]) -> list:
        waiting = list(calls)
        self.calls += len(waiting)
        found = [pickle.loads(pickle.dumps(function(*map(self.get, call)))) for call in reversed(waiting)]
        return found[::-1]

    def map_kept(self, function: Callable, calls: Iterable[tuple]) -> list:
        return [(found, self.hold(kept)) for found, kept in self.map(function, calls)]

    def get(self, kept: Any) -> Any:
        return pickle.loads(kept[1]) if isinstance(kept, tuple) and kept[:1] == ("held",) else kept


def rows_kept(rows: slice) -> Callable:
    return posterior_of


def posterior_of(update) -> dict[str, np.ndarray]:
    return update.weighing.posterior


@pytest.fixture(scope="module")
def said():
    """Initial annotations with a fifth of errors, an encoder, answers to a third of the clauses, and statistics."""
    draw = np.random.default_rng(4)
    truth = consistent_annotations(TILES, seed=4)
    sizes = np.asarray([len(words) for words in VOCABULARY.values()])
    wrong = (truth + draw.integers(1, sizes, size=truth.shape)) % sizes
    initial = AnnotationMatrix(
        HCOT,
        tuple(f"tile-{row:03d}" for row in range(TILES)),
        np.where(draw.random(truth.shape) < 0.2, wrong, truth),
        np.full(truth.shape, 0.8, np.float32),
        np.full(truth.shape, "seed", object),
    )

    def believes(share: float) -> dict[str, np.ndarray]:
        logits = {
            clause: draw.normal(size=(TILES, size)) + share * np.eye(size)[truth[:, column]]
            for column, (clause, size) in enumerate(zip(HCOT.names, sizes, strict=True))
        }
        return {
            clause: (np.exp(each) / np.exp(each).sum(axis=1, keepdims=True)).astype(np.float32)
            for clause, each in logits.items()
        }

    nothing = np.zeros(truth.shape)
    feedback = Feedback(initial.tile_ids, believes(4), {}, nothing[:, 0], nothing[:, 0], nothing, nothing)
    proposals, answers = Proposals.none_for(HCOT, TILES, 1), believes(4)
    for row, column in np.argwhere(draw.random(truth.shape) < 0.3):
        clause = HCOT.names[column]
        distribution = answers[clause][row]
        proposals.put(HCOT, row, clause, 0, VOCABULARY[clause][distribution.argmax()], distribution)
    return feedback, initial, proposals, np.arange(TILES) % 4 == 0, believes(3)


def updated(said, who, with_statistics: bool = True) -> tuple[LabelUpdate, np.ndarray]:
    feedback, initial, proposals, held_out, statistics = said
    config = AcceptanceConfig()
    update = update_labels(
        feedback,
        initial,
        initial,
        proposals,
        held_out,
        config,
        statistics=statistics if with_statistics else None,
        workers=who,
        remember=rows_kept,
    )
    return update, current_confidence(feedback, initial, initial, held_out, config, workers=who)


@pytest.mark.parametrize("with_statistics", [False, True])
def test_blocks_come_to_what_the_whole_comes_to_and_workers_to_the_same_bits(said, monkeypatch, with_statistics):
    whole, sure = updated(said, workers.THIS_PROCESS, with_statistics)
    assert whole.accepted.any()
    monkeypatch.setattr(workers, "TILES_OF_BLOCK", 32)
    here, sure_here = updated(said, workers.THIS_PROCESS, with_statistics)
    others = LastFirst()
    there, sure_there = updated(said, others, with_statistics)
    assert others.calls
    np.testing.assert_allclose(sure_here, sure, atol=1e-5)  # fits stop where little is gained
    np.testing.assert_array_equal(sure_there, sure_here)
    np.testing.assert_array_equal(here.matrix.values, whole.matrix.values)
    np.testing.assert_array_equal(here.accepted, whole.accepted)
    for name in ("values", "confidence", "source"):
        np.testing.assert_array_equal(getattr(there.matrix, name), getattr(here.matrix, name))
    for name in ("accepted", "rejected", "wholly_wrong"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
    assert there.source_weights == here.source_weights
    assert [len(others.get(each)["road"]) for each in there.remembered] == [32, 32, 26]


def test_a_corpus_of_one_block_is_weighed_here(said):
    others = LastFirst()
    update, _ = updated(said, others)
    assert others.calls == 0
    assert len(update.remembered) == 1
