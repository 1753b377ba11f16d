"""Proposals win only by evidence; a clause can return to its initial value; broken models change nothing."""

import numpy as np
import pytest

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig, decide
from hcot_llm.aggregation.clause import ClauseSources, weigh_clause

CONFIG = AcceptanceConfig(minimum_margin=0)


def one(posterior, current, initial, proposed, distribution=None, **settings):
    distribution = np.full(len(posterior), np.nan) if distribution is None else np.asarray(distribution)
    decision = decide(
        np.asarray([posterior]),
        np.asarray([current]),
        np.asarray([initial]),
        np.asarray([proposed]),
        distribution[None],
        AcceptanceConfig(**{"minimum_margin": 0, **settings}),
    )
    return int(decision.value[0]), bool(decision.accepted[0]), bool(decision.rejected[0])


def test_a_better_proposal_is_accepted_and_a_worse_one_rejected():
    assert one([0.2, 0.7, 0.1], current=0, initial=0, proposed=[1]) == (1, True, False)
    assert one([0.7, 0.2, 0.1], current=0, initial=0, proposed=[1]) == (0, False, True)


def test_an_untested_proposal_is_taken_whatever_the_evidence():
    rule = {"rule": "proposal"}
    assert one([0.98, 0.01, 0.01], current=0, initial=0, proposed=[1, 2], **rule) == (1, True, False)
    assert one([0.1, 0.9, 0.0], current=1, initial=0, proposed=[1], **rule) == (1, False, False)
    assert one([0.1, 0.9, 0.0], current=0, initial=1, proposed=[NOT_PROPOSED], **rule) == (0, False, False)


def test_the_margin_counts():
    assert one([0.4, 0.6], current=0, initial=0, proposed=[1], minimum_margin=0.3) == (0, False, True)


def test_a_clause_returns_to_its_initial_value():
    assert one([0.1, 0.2, 0.7], current=1, initial=2, proposed=[0]) == (2, True, False)


def test_a_value_that_was_not_proposed_is_not_taken():
    assert one([0.1, 0.2, 0.7], current=1, initial=0, proposed=[0]) == (1, False, True)


def test_a_clause_that_was_not_queried_keeps_its_value():
    assert one([0.1, 0.9], current=0, initial=1, proposed=[NOT_PROPOSED]) == (0, False, False)


def test_the_best_of_several_candidates_is_taken():
    assert one([0.1, 0.3, 0.6], current=0, initial=0, proposed=[1, 2]) == (2, True, False)


def test_what_the_captioner_finds_probable_is_proposed_too():
    unsure = [0.1, 0.85, 0.05]
    assert one([0.1, 0.2, 0.7], 0, 0, [1], unsure, minimum_proposal=0.04) == (2, True, False)
    assert one([0.1, 0.2, 0.7], 0, 0, [1], unsure, minimum_proposal=0.06) == (1, True, False)
    # Without an answer nothing is proposed.
    assert one([0.1, 0.2, 0.7], 0, 0, [NOT_PROPOSED], unsure, minimum_proposal=0.04) == (0, False, False)


def corpus(tiles=1500, values=5, model_accuracy=0.9, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(values, size=tiles)
    wrong = (truth + generator.integers(1, values, size=tiles)) % values
    annotated = np.where(generator.random(tiles) < 0.8, truth, wrong)
    right = generator.random(tiles) < model_accuracy
    favoured = np.where(right, truth, generator.integers(values, size=tiles))
    model = np.full((tiles, values), 0.3 / (values - 1))
    model[np.arange(tiles), favoured] = 0.7
    return truth, annotated, model, generator.random(tiles) < 0.15


def weighed(models, annotated, held_out):
    sources = ClauseSources(models, annotated, np.full(len(annotated), 0.8))
    return weigh_clause(sources, held_out, CONFIG.noise_pseudo_count)


def test_weighing_repairs_without_truth():
    truth, annotated, model, held_out = corpus()
    outcome = weighed([model], annotated, held_out).posterior.argmax(axis=1)
    assert (outcome == truth).mean() > 0.92


def test_a_second_source_helps_and_a_silent_one_does_not_hurt():
    truth, annotated, model, held_out = corpus(model_accuracy=0.7)
    _, _, other, _ = corpus(model_accuracy=0.7, seed=5)
    # The same truth, independent errors.
    generator = np.random.default_rng(9)
    other = np.where((generator.random(len(truth)) < 0.7)[:, None], np.eye(5)[truth] * 0.625 + 0.075, other)
    silent = np.full_like(model, np.nan)
    alone = weighed([model], annotated, held_out).posterior
    both = weighed([model, other], annotated, held_out).posterior
    with_silent = weighed([model, silent], annotated, held_out).posterior
    assert (both.argmax(1) == truth).mean() > (alone.argmax(1) == truth).mean()
    np.testing.assert_allclose(with_silent, alone, atol=1e-3)


@pytest.mark.parametrize("garbage", ["random", "constant"])
def test_garbage_changes_nothing(garbage):
    truth, annotated, _, held_out = corpus()
    generator = np.random.default_rng(3)
    model = (
        generator.dirichlet(np.full(5, 0.2), len(truth))
        if garbage == "random"
        else np.tile([0.9, 0.025, 0.025, 0.025, 0.025], (len(truth), 1))
    )
    outcome = weighed([model], annotated, held_out).posterior.argmax(axis=1)
    assert (outcome == truth).mean() >= (annotated == truth).mean() - 0.005
