"""The posterior of every clause's true value, from the models' distributions and the initial annotations.

The truth is never read. First each clause is weighed by itself: the source weight of each model and the confusion of
the initial annotations are estimated (hcot_llm/aggregation/clause.py). Then all clauses of a tile are weighed
together, which is HCoT's level 5. Only values that are consistent with one another count. An initial annotation may
be wrong as a whole (hcot_llm/aggregation/wholly_wrong.py). Where many clauses of a tile contradict the models, its
initial annotation says little about any clause.

Tiles lie in blocks, which workers weigh. What is fitted are sums over the blocks, and is small: `WeighingFit`. With it
any block can be weighed anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import (
    ITERATIONS,
    PRIOR_TILES,
    ClauseFit,
    ClauseSources,
    ClauseWeighing,
    class_prior_of,
    errors_of,
    fit_weights,
    weigh_with,
)
from hcot_llm.aggregation.initial_accuracy import known_accuracy, with_accuracy
from hcot_llm.aggregation.joint import JointPosterior, weigh_together
from hcot_llm.aggregation.label_noise import NoiseModel, SourceWeightPrior, count_errors, noise_of
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.repeated_errors import clauses_with_repeated_errors, excess_agreement
from hcot_llm.aggregation.wholly_wrong import (
    by_hypothesis,
    expected_hypotheses,
    uninformative,
    ways_to_be_wrong,
    where_sound,
)
from hcot_llm.aggregation.workers import THIS_PROCESS, Workers, blocks_of, summed, who_weighs
from hcot_llm.schema.annotation_schema import AnnotationSchema

_JOINT_ITERATIONS: Final = 2
_MOST_FOR_TEMPERATURE: Final = 4096  # held-out tiles
# Inverse temperatures of all models and clauses together that are tried. Below 1 the clauses of a tile count as fewer,
# because one mistake of a model about a tile shows in several of them.
_INVERSE_TEMPERATURES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Block = Sequence[ClauseSources]
"""What is said of all clauses on the tiles of a block."""


@dataclass(frozen=True)
class Tiles:
    """What is said of N tiles, as it is handed to workers.

    Attributes:
        schema: of the C clauses.
        blocks: What stands for each `Block`, see `Workers.hold`.
        held_out: Per clause what stands for the `ClauseSources` of the held-out tiles.
        sample: What stands for the `Block` of held-out tiles to which the temperature is fitted; None without any.
        models: Number of the models.
        accuracy: float64 [C], mean accuracy of the initial annotations of each clause.
        tiles: N.
        workers: who holds them.
        standing: Clauses in which no model counts, see `AnnotationMatrix.standing`.
    """

    schema: AnnotationSchema
    blocks: Sequence[Any]
    held_out: Sequence[Any]
    sample: Any
    models: int
    accuracy: Sequence[float]
    tiles: int
    workers: Workers
    standing: frozenset[str] = frozenset()


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


@dataclass(frozen=True)
class Weighing:
    """Posterior of all clauses of n tiles.

    Attributes:
        posterior: Per clause float [n, V], posterior of the true value.
        source_weights: Per clause the source weight of each model.
        wholly_wrong: float [n, W], probability of each of the W ways to be wrong as a whole, see `ways_to_be_wrong`.
            Zeros where the clauses were weighed one by one.
        joint_inverse_temperature: Power to which the pooled models of all clauses are taken, on top of the source
            weights. 1 where the clauses were weighed one by one.
        alone: Per clause float [n, V], posterior before the rules and the other clauses had their say.
    """

    posterior: dict[str, np.ndarray]
    source_weights: dict[str, list[float]]
    wholly_wrong: np.ndarray
    joint_inverse_temperature: float
    alone: dict[str, np.ndarray]

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior probability of given values.

        Args:
            values: int [n, C], indices of the values.

        Returns:
            float [n, C].
        """
        rows = np.arange(len(values))
        return np.stack([each[rows, values[:, column]] for column, each in enumerate(self.posterior.values())], 1)


@dataclass(frozen=True)
class WeighingFit:
    """All that was fitted to weigh tiles with.

    Attributes:
        schema: of the clauses.
        alone: Per clause what was fitted for it by itself.
        joint: What was fitted for all clauses together; None: each clause is weighed for itself.
        standing: Clauses in which no model counts, nor do other clauses.
    """

    schema: AnnotationSchema
    alone: list[ClauseFit]
    joint: JointFit | None
    standing: frozenset[str] = frozenset()

    @property
    def source_weights(self) -> dict[str, list[float]]:
        """Per clause the source weight of each model."""
        return {clause: each.source_weights for clause, each in zip(self.schema.names, self.alone, strict=True)}

    @property
    def joint_inverse_temperature(self) -> float:
        """See `Weighing`."""
        return 1.0 if self.joint is None else self.joint.inverse_temperature

    def weigh(self, block: Block) -> Weighing:
        """Weigh the tiles of a block."""
        names, alone = self.schema.names, _alone(block, self.alone)
        by_clause = {clause: each.posterior for clause, each in zip(names, alone, strict=True)}
        if self.joint is None:
            nothing = np.zeros((len(block[0].initial), len(ways_to_be_wrong(self.schema))))
            return Weighing(by_clause, self.source_weights, nothing, 1.0, by_clause)
        joint = _joint(self.schema, block, alone, self.joint)
        posterior = {
            clause: by_clause[clause] if clause in self.standing else together
            for clause, together in zip(names, joint.values, strict=True)
        }
        return Weighing(
            posterior, self.source_weights, joint.hypothesis[:, 1:], self.joint.inverse_temperature, by_clause
        )


def weigh(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[SourceWeightPrior] | None = None,
    said: Mapping[str, np.ndarray] | None = None,
) -> Weighing:
    """Posterior of the true values of N tiles that all lie here.

    Args:
        models: Per model and clause its distribution, float [N, V]; NaN rows where the model was not queried.
        initial: The initial annotations, with the known accuracy of each as its confidence.
        held_out: bool [N], True for tiles that no model was trained on. Without any, the source weights are those
            expected by `priors`, divided by the number of models.
        config: How the errors of the initial annotations are estimated, and whether clauses are weighed together.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
        said: Per clause float [N, V], how probable what people said is under each true value; None: nothing was said.
    """
    tiles = hand_over(models, initial, held_out, config, said)
    fit = fit_weighing(tiles, config, priors)
    parts = [fit.weigh(block) for block in tiles.blocks]
    return Weighing(
        _joined([part.posterior for part in parts]),
        fit.source_weights,
        np.concatenate([part.wholly_wrong for part in parts]),
        fit.joint_inverse_temperature,
        _joined([part.alone for part in parts]),
    )


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {clause: np.concatenate([part[clause] for part in parts]) for clause in parts[0]}


def hand_over(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    said: Mapping[str, np.ndarray] | None = None,
    workers: Workers = THIS_PROCESS,
) -> Tiles:
    """Hand what is said of N tiles to workers, block by block. Arguments as of `weigh`.

    A corpus of one block stays in this process.
    """
    initial = with_accuracy(models, initial, held_out, config)
    schema, accuracy = initial.schema, known_accuracy(initial)
    workers = who_weighs(len(initial), workers)

    def clauses(rows: slice | np.ndarray) -> list[ClauseSources]:
        return [
            ClauseSources(
                [model[clause][rows] for model in models],
                initial.values[rows, column],
                accuracy[rows, column],
                None if said is None else said[clause][rows],
            )
            for column, clause in enumerate(schema.names)
        ]

    unseen = np.flatnonzero(held_out)
    # Six temperatures are told apart by some thousand tiles, and each tile costs as much as one that is weighed.
    few = unseen[:: -(-len(unseen) // _MOST_FOR_TEMPERATURE) or 1]
    return Tiles(
        schema,
        [workers.hold(clauses(rows)) for rows in blocks_of(len(initial))],
        [workers.hold(clause) for clause in clauses(unseen)],
        workers.hold(clauses(few)) if len(unseen) else None,
        len(models),
        [float(column.mean()) for column in accuracy.T],
        len(initial),
        workers,
        initial.standing,
    )


def fit_weighing(
    tiles: Tiles, config: AcceptanceConfig, priors: Sequence[SourceWeightPrior] | None = None
) -> WeighingFit:
    """Fit all that tiles are weighed with: sums over blocks, in the order of the blocks.

    Args:
        tiles: What is said of them.
        config: How the errors of the initial annotations are estimated, and whether clauses are weighed together.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
    """
    alone = _fit_alone(tiles, config, priors, tiles.standing)
    standing = tiles.standing | clauses_with_repeated_errors(
        tiles.schema, tiles.workers.map(excess_agreement, list(zip(tiles.held_out, alone, strict=True)))
    )
    if standing > tiles.standing:
        alone = _fit_alone(tiles, config, priors, standing)
    joint = _fit_joint(tiles, alone, config) if config.consistency else None
    return WeighingFit(tiles.schema, alone, joint, standing)


def _fit_alone(
    tiles: Tiles, config: AcceptanceConfig, priors: Sequence[SourceWeightPrior] | None, standing: frozenset[str]
) -> list[ClauseFit]:
    """Fit each clause by itself; of those that stand no model counts, and errors are even."""
    schema, workers = tiles.schema, tiles.workers
    before = [
        ClauseFit([0.0] * tiles.models, NoiseModel.even(accuracy, len(words)))
        for accuracy, words in zip(tiles.accuracy, schema.vocabulary.values(), strict=True)
    ]
    alone = before
    for _ in range(ITERATIONS):
        weights = workers.map(
            fit_weights, [(each, fit.noise, priors) for each, fit in zip(tiles.held_out, alone, strict=True)]
        )
        alone = [ClauseFit(each, fit.noise) for each, fit in zip(weights, alone, strict=True)]
        errors = summed(workers.map(_errors, [(block, alone) for block in tiles.blocks]))
        alone = [
            ClauseFit(fit.source_weights, noise_of(each, fit.noise.accuracy, config.noise_pseudo_count))
            for each, fit in zip(errors, alone, strict=True)
        ]
    return [
        first if clause in standing else fit for clause, first, fit in zip(schema.names, before, alone, strict=True)
    ]


def _errors(block: Block, alone: Sequence[ClauseFit]) -> list[np.ndarray]:
    return [errors_of(clause, fit) for clause, fit in zip(block, alone, strict=True)]


def _alone(block: Block, fits: Sequence[ClauseFit]) -> list[ClauseWeighing]:
    return [weigh_with(clause, fit) for clause, fit in zip(block, fits, strict=True)]


def _posterior_sums(block: Block, fits: Sequence[ClauseFit]) -> list[np.ndarray]:
    return [each.posterior.sum(axis=0) for each in _alone(block, fits)]


def _model_sums(
    block: Block, fits: Sequence[ClauseFit], inverse_temperature: float, class_prior: Sequence[np.ndarray]
) -> list[np.ndarray]:
    return [
        each.tempered(inverse_temperature, prior).sum(axis=0)
        for each, prior in zip(_alone(block, fits), class_prior, strict=True)
    ]


def _fit_joint(tiles: Tiles, alone: list[ClauseFit], config: AcceptanceConfig) -> JointFit:
    """Fit the temperature, the shares of annotations wrong as a whole, and the errors of the others."""
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
    models = [
        each.tempered(inverse_temperature, frequent)
        for each, frequent in zip(_alone(sample, fits), class_prior, strict=True)
    ]
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
    without = weigh_together(schema, [model[:, None, :] for model in models], np.ones(1), class_prior).log_evidence
    evidence = weigh_together(schema, with_initial, prior, class_prior).log_evidence
    return float((evidence - without).mean())


def _joint(schema: AnnotationSchema, block: Block, alone: Sequence[ClauseWeighing], joint: JointFit) -> JointPosterior:
    """Weigh all clauses of a block together."""
    says_nothing = uninformative(schema)
    likelihoods = []
    for column, (name, clause, each) in enumerate(zip(schema.names, block, alone, strict=True)):
        accuracy = clause.accuracy if joint.wrong is None else where_sound(clause.accuracy, *joint.wrong[column])
        sound = joint.noise[column].likelihood(clause.initial, accuracy)
        model = each.tempered(joint.inverse_temperature, joint.class_prior[column])
        likelihoods.append(by_hypothesis(says_nothing[name], len(joint.prior), model, sound, joint.frequency[column]))
    return weigh_together(schema, likelihoods, joint.prior, joint.class_prior)


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
    found = _joint(schema, block, _alone(block, fits), joint)
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
