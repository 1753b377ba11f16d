"""All clauses of a tile weighed together: what is fitted are sums over blocks of tiles, and is small."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import PRIOR_TILES, ClauseFit, ClauseWeighing, class_prior_of, weigh_with
from hcot_llm.aggregation.handed import Block, Tiles
from hcot_llm.aggregation.joint import JointPosterior, weigh_said, weigh_together
from hcot_llm.aggregation.label_noise import NoiseModel, count_errors, noise_of
from hcot_llm.aggregation.wholly_wrong import by_hypothesis, expected_hypotheses, uninformative, where_sound
from hcot_llm.aggregation.workers import summed
from hcot_llm.schema.annotation_schema import AnnotationSchema

_JOINT_ITERATIONS: Final = 2
# Inverse temperatures of all models and clauses together that are tried. Below 1 the clauses of a tile count as fewer,
# because one mistake of a model about a tile shows in several of them.
_INVERSE_TEMPERATURES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class JointFit:
    """What was fitted for all clauses together. Per clause, where it is a list.

    Attributes:
        inverse_temperature: Power to which the pooled models of all clauses are taken, on top of the source weights.
        class_prior: float [V], how frequent each value is.
        frequency: float [V], the mean of the pooled models over all tiles.
        prior: float [H], prior of the hypotheses.
        noise: Errors of the initial annotations that are not wrong as a whole.
        wrong: Share of annotations that are wrong as a whole, and share of those whose value is right all the same;
            None before they are known.
    """

    inverse_temperature: float
    class_prior: list[np.ndarray]
    frequency: list[np.ndarray]
    prior: np.ndarray
    noise: list[NoiseModel]
    wrong: list[tuple[float, float]] | None = None


def each_alone(block: Block, fits: Sequence[ClauseFit]) -> list[ClauseWeighing]:
    """The clauses of a block, each weighed by itself with what was fitted for it."""
    return [weigh_with(clause, fit) for clause, fit in zip(block, fits, strict=True)]


def fit_joint(tiles: Tiles, alone: list[ClauseFit], config: AcceptanceConfig) -> JointFit:
    """Fit the temperature, the shares of annotations wrong as a whole, and the errors of the others.

    Args:
        tiles: What is said of them.
        alone: Per clause what was fitted for it by itself.
        config: How the errors of the initial annotations are estimated.
    """
    schema, workers, blocks = tiles.schema, tiles.workers, tiles.blocks
    sums = summed(workers.map(_posterior_sums, [(block, alone) for block in blocks]))
    class_prior = [class_prior_of(each, tiles.tiles) for each in sums]
    inverse_temperature = _INVERSE_TEMPERATURES[0]
    if tiles.sample is not None:
        calls = [(tiles.sample, schema, alone, each, class_prior) for each in _INVERSE_TEMPERATURES]
        fit = dict(zip(_INVERSE_TEMPERATURES, workers.map(_held_out_evidence, calls), strict=True))
        inverse_temperature = max(fit, key=fit.__getitem__)
    sums = summed(workers.map(_model_sums, [(block, alone, inverse_temperature, class_prior) for block in blocks]))
    expected = expected_hypotheses(schema)
    frequency = [each / tiles.tiles for each in sums]
    joint = JointFit(inverse_temperature, class_prior, frequency, expected, [each.noise for each in alone])
    for _ in range(_JOINT_ITERATIONS - 1):
        found = workers.map(_joint_sums, [(block, schema, alone, joint) for block in blocks])
        [hypotheses] = summed([each.hypotheses for each in found])
        wrong, right = (summed([each.wrong for each in found]), summed([each.right for each in found]))
        errors = summed([each.errors for each in found])
        joint = replace(
            joint,
            prior=(hypotheses + PRIOR_TILES * expected) / (tiles.tiles + PRIOR_TILES),
            noise=[
                noise_of(each, noise.accuracy, config.noise_pseudo_count)
                for each, noise in zip(errors, joint.noise, strict=True)
            ],
            wrong=[
                (float(each / tiles.tiles), float(by_chance / max(each, 1e-9)))
                for each, by_chance in zip(wrong, right, strict=True)
            ],
        )
    return joint


def weigh_jointly(
    schema: AnnotationSchema, block: Block, alone: Sequence[ClauseWeighing], joint: JointFit
) -> JointPosterior:
    """Weigh all clauses of a block together.

    Args:
        schema: of the clauses.
        block: What is said of its tiles.
        alone: Per clause its tiles weighed by themselves.
        joint: What was fitted for all clauses together.
    """
    says_nothing = uninformative(schema)
    likelihoods = []
    for column, (name, clause, each) in enumerate(zip(schema.names, block, alone, strict=True)):
        accuracy = clause.accuracy if joint.wrong is None else where_sound(clause.accuracy, *joint.wrong[column])
        sound = joint.noise[column].likelihood(clause.initial, accuracy)
        model = each.tempered(joint.inverse_temperature, joint.class_prior[column])
        likelihoods.append(by_hypothesis(says_nothing[name], len(joint.prior), model, sound, joint.frequency[column]))
    return weigh_together(schema, likelihoods, joint.prior, joint.class_prior)


def weigh_models_jointly(
    schema: AnnotationSchema,
    alone: Sequence[ClauseWeighing],
    inverse_temperature: float,
    class_prior: Sequence[np.ndarray],
) -> tuple[list[np.ndarray], JointPosterior]:
    """Weigh all clauses of n tiles together by what the models say alone, and by the rules.

    Args:
        schema: of the clauses.
        alone: Per clause its tiles weighed by themselves.
        inverse_temperature: Power to which the pooled models of all clauses are taken.
        class_prior: Per clause float [V], how frequent each value is.

    Returns:
        Per clause the tempered models, float [n, V], and what they come to under the rules.
    """
    models = [each.tempered(inverse_temperature, frequent) for each, frequent in zip(alone, class_prior, strict=True)]
    return models, weigh_said(schema, models, class_prior)


def _posterior_sums(block: Block, fits: Sequence[ClauseFit]) -> list[np.ndarray]:
    return [each.posterior.sum(axis=0) for each in each_alone(block, fits)]


def _model_sums(
    block: Block, fits: Sequence[ClauseFit], inverse_temperature: float, class_prior: Sequence[np.ndarray]
) -> list[np.ndarray]:
    return [
        each.tempered(inverse_temperature, prior).sum(axis=0)
        for each, prior in zip(each_alone(block, fits), class_prior, strict=True)
    ]


def _held_out_evidence(
    sample: Block,
    schema: AnnotationSchema,
    fits: Sequence[ClauseFit],
    inverse_temperature: float,
    class_prior: Sequence[np.ndarray],
) -> float:
    """Mean held-out log-likelihood of whole initial annotations at an inverse temperature, in nats.

    The source weights of a clause are fitted for that clause alone. Taken together they would count one mistake of a
    model about a tile as often as there are clauses in which it shows.
    """
    says_nothing, prior = uninformative(schema), expected_hypotheses(schema)
    models, without = weigh_models_jointly(schema, each_alone(sample, fits), inverse_temperature, class_prior)
    with_initial = [
        by_hypothesis(
            says_nothing[name],
            len(prior),
            model,
            fit.noise.likelihood(clause.initial, clause.accuracy),
            model.mean(axis=0),
        )
        for name, model, clause, fit in zip(schema.names, models, sample, fits, strict=True)
    ]
    evidence = weigh_together(schema, with_initial, prior, class_prior).log_evidence
    return float((evidence - without.log_evidence).mean())


@dataclass(frozen=True)
class _JointSums:
    """What a block adds to the fit of all clauses together.

    Attributes:
        hypotheses: One array, float64 [H], sum of the posteriors of the hypotheses.
        wrong: Per clause the expected number of annotations that are wrong as a whole.
        right: Per clause the expected number of those whose value is right all the same.
        errors: Per clause float64 [V, V], expected errors of the annotations that are sound.
    """

    hypotheses: list[np.ndarray]
    wrong: list[np.ndarray]
    right: list[np.ndarray]
    errors: list[np.ndarray]


def _joint_sums(block: Block, schema: AnnotationSchema, fits: Sequence[ClauseFit], joint: JointFit) -> _JointSums:
    found = weigh_jointly(schema, block, each_alone(block, fits), joint)
    says_nothing = uninformative(schema)
    wrong = [found.hypothesis[:, says_nothing[name]].sum(axis=1) for name in schema.names]
    rows = np.arange(len(block[0].initial))
    return _JointSums(
        [found.hypothesis.sum(axis=0)],
        [each.sum() for each in wrong],
        [
            (each * values[rows, clause.initial]).sum()
            for each, values, clause in zip(wrong, found.values, block, strict=True)
        ],
        [
            count_errors((1 - each)[:, None] * values, clause.initial)
            for each, values, clause in zip(wrong, found.values, block, strict=True)
        ],
    )
