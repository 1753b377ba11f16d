"""Level 5 as inference: exact, consistent, and each clause speaks for the others."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcot_llm.aggregation import workers
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.aggregation.consistent_states import _halved
from hcot_llm.aggregation.joint import weigh_together
from hcot_llm.aggregation.label_noise import normalise
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.posterior import weigh
from support.consistent import STARTS, consistent_annotations
from support.hcot import CLAUSES, HCOT, NO_TARGETS, TARGET_CLAUSES, VOCABULARY

SIZES = [len(VOCABULARY[clause]) for clause in CLAUSES]
EVEN = [np.full(size, 1 / size) for size in SIZES]


def evidence(free: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Likelihoods [1, 1, V]: all clauses as in the first start, but for the free ones."""
    return [
        np.asarray(free[clause] if clause in free else np.eye(size)[VOCABULARY[clause].index(STARTS[0][clause])])[
            None, None
        ]
        for clause, size in zip(CLAUSES, SIZES, strict=True)
    ]


@pytest.mark.parametrize(
    "free",
    [
        ("water", "functionality", "terrain"),
        ("target_count", "target_distribution"),
        ("distribution", "layout", "road"),
        TARGET_CLAUSES[4:],
        ("water", "target_category", "target_region"),
    ],
)
def test_marginals_are_those_of_all_consistent_annotations(free):
    """Against plain enumeration of all combinations, checked by the rules; targets and buildings are there."""
    generator = np.random.default_rng(0)
    evidences = []
    for _ in range(2):
        given = {clause: generator.dirichlet(np.ones(len(VOCABULARY[clause]))) for clause in free}
        expected = {clause: np.zeros(len(VOCABULARY[clause])) for clause in free}
        for values in itertools.product(*(range(len(VOCABULARY[clause])) for clause in free)):
            said = {clause: VOCABULARY[clause][value] for clause, value in zip(free, values, strict=True)}
            if not contradictions(HCOT, STARTS[0] | said):
                weight = np.prod([given[clause][value] for clause, value in zip(free, values, strict=True)])
                for clause, value in zip(free, values, strict=True):
                    expected[clause][value] += weight
        found = weigh_together(HCOT, evidence(given), np.ones(1), EVEN)
        for clause in free:
            np.testing.assert_allclose(
                found.values[CLAUSES.index(clause)][0], expected[clause] / expected[clause].sum(), atol=1e-6
            )
        np.testing.assert_allclose(found.hypothesis, 1)
        evidences.append((found.log_evidence[0], np.log(expected[free[0]].sum())))
    (first, its_sum), (second, other_sum) = evidences
    assert first - second == pytest.approx(its_sum - other_sum, abs=1e-6)


def test_what_is_sure_speaks_for_what_is_not():
    """Seven clauses say weakly that there is no target; the eighth alone says a bit less weakly that there are two."""
    likelihoods = [np.ones((1, 1, size)) for size in SIZES]
    for clause in TARGET_CLAUSES:
        absent = VOCABULARY[clause].index(NO_TARGETS[clause])
        likelihoods[CLAUSES.index(clause)][..., absent] = 30
    likelihoods[CLAUSES.index("target_count")][..., 2] = 300
    found = weigh_together(HCOT, likelihoods, np.ones(1), EVEN).values
    assert found[CLAUSES.index("target_count")][0].argmax() == 0


def test_rows_sum_to_one_and_the_most_probable_annotation_is_consistent():
    truth = consistent_annotations(300, seed=2)
    likelihoods = [
        np.where(np.eye(size, dtype=bool)[truth[:, column]], 0.9, 0.1 / (size - 1))[:, None, :]
        for column, size in enumerate(SIZES)
    ]
    found = weigh_together(HCOT, likelihoods, np.ones(1), EVEN).values
    for column, rows in enumerate(found):
        np.testing.assert_allclose(rows.sum(axis=1), 1)
        np.testing.assert_array_equal(rows.argmax(axis=1), truth[:, column])


def case(tiles=400, seed=0):
    """Consistent truth, a seed right in 8 of 10, and an encoder that sees the right value in 8 of 10 and knows it."""
    generator = np.random.default_rng(seed)
    truth = consistent_annotations(tiles, seed)
    sizes = np.asarray(SIZES)
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    annotated = np.where(generator.random(truth.shape) < 0.2, wrong, truth)
    seen = np.where(
        generator.random(truth.shape) < 0.2, (truth + generator.integers(1, sizes, size=truth.shape)) % sizes, truth
    )
    return truth, annotated, knowing(seen, truth), generator.random(tiles) < 0.2


def knowing(seen: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """A model that sees these values, knows that it is right in 8 of 10, and how frequent each value is."""
    beliefs = {}
    for column, (clause, size) in enumerate(zip(CLAUSES, SIZES, strict=True)):
        frequency = np.bincount(truth[:, column], minlength=size) / len(truth)
        beliefs[clause] = normalise(
            frequency * np.where(np.eye(size, dtype=bool)[seen[:, column]], 0.8, 0.2 / (size - 1))
        )
    return beliefs


def matrix(values, confidence=0.8):
    return AnnotationMatrix(
        HCOT,
        tuple(f"{tile:05d}" for tile in range(len(values))),
        values,
        np.full(values.shape, confidence, np.float32),
        np.full(values.shape, "seed", object),
    )


def accuracy(weighing, truth):
    return np.mean(
        [
            (weighing.posterior[clause].argmax(axis=1) == truth[:, column]).mean()
            for column, clause in enumerate(CLAUSES)
        ]
    )


def test_weighing_together_repairs_more_than_each_clause_for_itself():
    truth, annotated, encoder, held_out = case()
    together = accuracy(weigh([encoder], matrix(annotated), held_out, AcceptanceConfig()), truth)
    alone = accuracy(weigh([encoder], matrix(annotated), held_out, AcceptanceConfig(consistency=False)), truth)
    assert together > alone + 0.01 > (annotated == truth).mean() + 0.05


@pytest.mark.parametrize("model", ["flat", "random"])
def test_a_model_that_knows_nothing_breaks_nothing(model):
    """Consistency alone repairs a part. Without care it would find targets everywhere: most annotations have some."""
    truth, annotated, _, held_out = case(seed=2)
    generator = np.random.default_rng(0)
    blind = {
        clause: np.full((len(truth), size), 1 / size)
        if model == "flat"
        else generator.dirichlet(np.full(size, 0.3), len(truth))
        for clause, size in zip(CLAUSES, SIZES, strict=True)
    }
    assert (
        accuracy(weigh([blind], matrix(annotated), held_out, AcceptanceConfig()), truth) > (annotated == truth).mean()
    )


def test_annotations_that_are_wrong_as_a_whole_are_found():
    """A tenth carries another tile's annotation, an eighth of the tiles without targets has invented ones."""
    truth, annotated, encoder, held_out = case(seed=1)
    generator = np.random.default_rng(7)
    tiles = len(truth)
    swapped = generator.random(tiles) < 0.1
    annotated[swapped] = annotated[
        (np.flatnonzero(swapped) + 1 + generator.integers(tiles - 1, size=swapped.sum())) % tiles
    ]
    empty = truth[:, CLAUSES.index("target_count")] == 0
    invented = empty & ~swapped & (generator.random(tiles) < 0.125)
    columns = [CLAUSES.index(clause) for clause in TARGET_CLAUSES]
    ship = [VOCABULARY[clause].index(STARTS[0][clause]) for clause in TARGET_CLAUSES]
    annotated[np.ix_(invented, columns)] = ship
    weighing = weigh([encoder], matrix(annotated), held_out, AcceptanceConfig())
    whole, targets = weighing.wholly_wrong[:, 1], weighing.wholly_wrong[:, 0]
    assert whole[swapped].mean() > 0.4
    assert whole[~swapped].mean() < 0.05
    assert targets[invented].mean() > 0.5
    assert targets[~invented & ~swapped].mean() < 0.1


@pytest.mark.parametrize("sure", [0.9, 0.97, 0.995])
def test_where_all_tiles_are_nearly_alike_no_annotation_is_taken_for_another_tiles(sure):
    """A scene of land without targets, and a map that errs in no tile although it is known to err in a fifth.

    Of real scenes most are so. Every tile was once found to carry another one's annotation, and to have ships.
    """
    few = consistent_annotations(200, seed=4)
    few = few[few[:, CLAUSES.index("target_count")] == 0][:3]
    truth = few[np.random.default_rng(0).choice(3, size=270, p=[0.9, 0.07, 0.03])]
    model = {
        clause: np.where(np.eye(size, dtype=bool)[truth[:, column]], sure, (1 - sure) / (size - 1))
        for column, (clause, size) in enumerate(zip(CLAUSES, SIZES, strict=True))
    }
    weighing = weigh([model], matrix(truth), np.arange(270) % 5 == 0, AcceptanceConfig())
    assert accuracy(weighing, truth) == 1
    assert weighing.wholly_wrong.mean(axis=0).max() < 0.1


def test_a_hedged_clause_yields_sooner():
    """Two halves of the corpus, right in 9 of 10 and in 6 of 10, and known to be: more is changed in the second."""
    truth, _, encoder, held_out = case(seed=3)
    generator = np.random.default_rng(5)
    sizes = np.asarray(SIZES)
    sure = np.where(np.arange(len(truth)) % 8 < 4, 0.9, 0.6)[:, None] + np.zeros(truth.shape)
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    annotated = np.where(generator.random(truth.shape) < sure, truth, wrong)
    told = weigh(
        [encoder],
        AnnotationMatrix(
            HCOT, matrix(annotated).tile_ids, annotated, sure.astype(np.float32), matrix(annotated).source
        ),
        held_out,
        AcceptanceConfig(),
    )
    untold = weigh([encoder], matrix(annotated, 0.75), held_out, AcceptanceConfig())
    assert accuracy(told, truth) > accuracy(untold, truth)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 31))
def test_pairs_of_states_of_two_halves_are_the_states_of_the_whole(seed, clauses, chosen):
    generator = np.random.default_rng(seed)
    states = np.unique(generator.integers(3, size=(40, clauses)), axis=0)[:: generator.integers(1, 3)]
    inside = [place for place in range(clauses) if place == 0 or chosen >> place & 1]
    _, first, second = _halved(states, inside)
    assert sorted(first.places + second.places) == list(range(clauses))
    whole = np.empty_like(states)
    for half in (first, second):
        assert len(np.unique(half.states, axis=0)) == len(half.states)
        whole[:, half.places] = half.states[half.of_state]
    np.testing.assert_array_equal(whole, states)
    pairs = set(zip(first.of_state.tolist(), second.of_state.tolist(), strict=True))
    assert len(pairs) == len(states), "no two states are one pair"


def test_hypotheses_that_say_the_same_of_a_clause_are_weighed_as_if_they_did_not():
    """A share of ten to the minus eleventh makes them different for the code, and changes nothing that is seen."""
    generator = np.random.default_rng(0)
    same = [np.repeat(generator.dirichlet(np.ones(size), (5, 1)), 2, axis=1) for size in SIZES]
    other = [each.copy() for each in same]
    for each in other:
        each[:, 1] *= 1 + 1e-11
    prior = np.asarray([0.7, 0.3])
    found, expected = (weigh_together(HCOT, each, prior, EVEN) for each in (same, other))
    np.testing.assert_allclose(found.hypothesis, expected.hypothesis, rtol=1e-8)
    np.testing.assert_allclose(found.log_evidence, expected.log_evidence, rtol=1e-8)
    for one, two in zip(found.values, expected.values, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8)


def test_tiles_that_are_weighed_some_at_a_time_are_weighed_as_all_at_once(monkeypatch):
    truth = consistent_annotations(40, seed=3)
    generator = np.random.default_rng(3)
    said = {
        clause: normalise(np.eye(size)[truth[:, column]] + generator.random((40, size)))
        for column, (clause, size) in enumerate(zip(CLAUSES, SIZES, strict=True))
    }
    initial = AnnotationMatrix(
        HCOT,
        tuple(f"tile-{row:02d}" for row in range(40)),
        truth,
        np.full(truth.shape, 0.8, np.float32),
        np.full(truth.shape, "seed", object),
    )
    held_out = np.arange(40) < 10
    whole = weigh([said], initial, held_out, AcceptanceConfig())
    monkeypatch.setattr(workers, "TILES_OF_BLOCK", 7)
    parts = weigh([said], initial, held_out, AcceptanceConfig())
    # What is fitted, and all that follows, is as exact as its optimiser stops: sums in another order end a little
    # elsewhere.
    close = {"rtol": 1e-5, "atol": 1e-8}
    np.testing.assert_allclose(parts.wholly_wrong, whole.wholly_wrong, **close)
    for clause in CLAUSES:
        np.testing.assert_allclose(parts.posterior[clause], whole.posterior[clause], **close)
