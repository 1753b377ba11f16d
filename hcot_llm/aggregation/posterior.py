"""The posterior of every clause's true value, from the models' distributions and the initial annotations.

The truth is never read. First each clause is weighed by itself: the source weight of each model and the confusion of
the initial annotations are estimated (hcot_llm/aggregation/label_noise.py). Then all clauses of a tile are weighed
together, which is HCoT's level 5. Only values that are consistent with one another count. An initial annotation may
be wrong as a whole, because a block of clauses was invented or missed (the targets), or because the annotation is
another tile's. Where many clauses of a tile contradict the models, its initial annotation says little about any clause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.initial_accuracy import estimate_accuracy, shifted
from hcot_llm.aggregation.joint import JointPosterior, weigh_together
from hcot_llm.aggregation.label_noise import (
    NoiseModel,
    SourceWeightPrior,
    estimate_noise,
    fit_source_weights,
    fuse,
    normalise,
    pool,
)
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema

# Expected share of initial annotations that are wrong as a whole, in each way; the shares themselves are estimated.
_WRONG_SHARE: Final = 0.05
_PRIOR_TILES: Final = 20  # tiles that an expected share is worth
_ITERATIONS: Final = 3
_AT_ONCE: Final = 4096  # tiles
_JOINT_ITERATIONS: Final = 2
ACCURACY: Final = (0.05, 0.99)  # limits of the accuracy of an annotation
# Inverse temperatures of all models and clauses together that are tried. Below 1 the clauses of a tile count as fewer,
# because one mistake of a model about a tile shows in several of them.
_INVERSE_TEMPERATURES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class ClauseWeighing:
    """Posterior of one clause on N tiles, weighed by itself.

    Attributes:
        posterior: float [N, V], posterior of the true value.
        source_weights: Per model its source weight.
        pooled: float [N, V], distributions of all models, pooled by their source weights.
        total_source_weight: float [N], sum of the source weights of the models that were queried about the tile.
        noise: Errors of the initial annotations.
        said: float [N, V], how probable what people said is under each true value; None where nobody said anything.
    """

    posterior: np.ndarray
    source_weights: list[float]
    pooled: np.ndarray
    total_source_weight: np.ndarray
    noise: NoiseModel
    said: np.ndarray | None = None

    @property
    def class_prior(self) -> np.ndarray:
        """How frequent each value is, float [V]; a uniform distribution counts as much as `_PRIOR_TILES` tiles.

        Without the uniform part, a value that no initial annotation has would have probability zero, and the little
        probability that any model gives it would look like evidence for it: for targets in eight clauses at once.
        """
        tiles, values = self.posterior.shape
        return (self.posterior.sum(axis=0) + _PRIOR_TILES / values) / (tiles + _PRIOR_TILES)

    def tempered(self, inverse_temperature: float, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The pooled models at an inverse temperature, times the likelihood of what people said.

        The class prior fills up what the models' weights lack to one. A uniform distribution in its place would not be
        neutral: of the consistent annotations far more have targets than have none.

        Args:
            inverse_temperature: The power to which the pooled distributions are taken.
            rows: The tiles to return; all by default.

        Returns:
            float [N, V] of the chosen tiles; rows sum to one.
        """
        missing = np.maximum(0.0, 1.0 - inverse_temperature * self.total_source_weight[rows])[:, None]
        models = normalise(self.pooled[rows] ** inverse_temperature * self.class_prior**missing)
        return models if self.said is None else normalise(models * self.said[rows])


@dataclass(frozen=True)
class Weighing:
    """Posterior of all clauses of N tiles.

    Attributes:
        posterior: Per clause float [N, V], posterior of the true value.
        source_weights: Per clause the source weight of each model.
        wholly_wrong: float [N, W], probability of each of the W ways to be wrong as a whole, see `ways_to_be_wrong`.
            Zeros where the clauses were weighed one by one.
        joint_inverse_temperature: Power to which the pooled models of all clauses are taken, on top of the source
            weights. 1 where the clauses were weighed one by one.
        alone: Per clause float [N, V], posterior before the rules and the other clauses had their say.
    """

    posterior: dict[str, np.ndarray]
    source_weights: dict[str, list[float]]
    wholly_wrong: np.ndarray
    joint_inverse_temperature: float
    alone: dict[str, np.ndarray]

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior probability of given values.

        Args:
            values: int [N, C], indices of the values.

        Returns:
            float [N, C].
        """
        rows = np.arange(len(values))
        return np.stack([each[rows, values[:, column]] for column, each in enumerate(self.posterior.values())], 1)


def weigh(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[SourceWeightPrior] | None = None,
    said: Mapping[str, np.ndarray] | None = None,
) -> Weighing:
    """Posterior of the true values of N tiles.

    Args:
        models: Per model and clause its distribution, float [N, V]; NaN rows where the model was not queried.
        initial: The initial annotations, with the known accuracy of each as its confidence.
        held_out: bool [N], True for tiles that no model was trained on. Without any, the source weights are those
            expected by `priors`, divided by the number of models.
        config: How the errors of the initial annotations are estimated, and whether clauses are weighed together.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
        said: Per clause float [N, V], how probable what people said is under each true value; None: nothing was said.
    """
    names, accuracy = initial.schema.names, accuracy_of(models, initial, held_out, config)
    alone = [
        weigh_clause(
            [model[clause] for model in models],
            initial.column(clause),
            accuracy[:, column],
            held_out,
            config,
            priors,
            None if said is None else said[clause],
        )
        for column, clause in enumerate(names)
    ]
    source_weights = {clause: each.source_weights for clause, each in zip(names, alone, strict=True)}
    by_clause = {clause: each.posterior for clause, each in zip(names, alone, strict=True)}
    if not config.consistency:
        nothing = np.zeros((len(initial), len(ways_to_be_wrong(initial.schema))))
        return Weighing(by_clause, source_weights, nothing, 1.0, by_clause)
    inverse_temperature = _fit_joint_inverse_temperature(alone, initial, accuracy, held_out)
    joint = _weigh_all(alone, initial, accuracy, inverse_temperature, config)
    posterior = dict(zip(names, joint.values, strict=True))
    return Weighing(posterior, source_weights, joint.hypothesis[:, 1:], inverse_temperature, by_clause)


def accuracy_of(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
) -> np.ndarray:
    """Accuracy of the initial annotations, float64 [N, C]: as stated, or estimated. Arguments as of `weigh`."""
    stated = known_accuracy(initial)
    if config.initial_accuracy == "stated":
        return stated
    columns = []
    for column, clause in enumerate(initial.schema.names):
        sources = [model[clause][held_out] for model in models]
        found = estimate_accuracy(sources, initial.column(clause)[held_out], stated[held_out, column])
        columns.append(shifted(stated[:, column], found))
    return np.clip(np.stack(columns, axis=1), *ACCURACY)


def known_accuracy(initial: AnnotationMatrix) -> np.ndarray:
    """Accuracy that the initial annotations come with, float64 [N, C], within the limits of `ACCURACY`."""
    return np.clip(initial.confidence.astype(np.float64), *ACCURACY)


def weigh_clause(
    sources: Sequence[np.ndarray],
    initial: np.ndarray,
    accuracy: np.ndarray,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[SourceWeightPrior] | None = None,
    said: np.ndarray | None = None,
) -> ClauseWeighing:
    """Weigh one clause by itself.

    Args:
        sources: Per model its distribution, float [N, V]; NaN rows where the model was not queried.
        initial: int [N], indices of the initial values.
        accuracy: float [N], known accuracy of each initial value, in 0..1.
        held_out: bool [N], True for tiles that no model was trained on.
        config: How the errors of the initial annotations are estimated.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
        said: float [N, V], how probable what people said is under each true value; None: nobody said anything.
    """

    def observed(noise: NoiseModel) -> np.ndarray:
        likelihood = noise.likelihood(initial, accuracy)
        return likelihood if said is None else likelihood * said

    noise = NoiseModel.even(float(accuracy.mean()), sources[0].shape[1])
    source_weights = [0.0] * len(sources)  # no model counts before the first fit
    pooled = pool(sources, source_weights)
    for _ in range(_ITERATIONS):
        likelihood = observed(noise)
        source_weights = fit_source_weights([source[held_out] for source in sources], likelihood[held_out], priors)
        pooled = pool(sources, source_weights)
        noise = estimate_noise(fuse(pooled, likelihood), initial, noise.accuracy, config.noise_pseudo_count)
    total = np.zeros(len(initial))
    for source_weight, source in zip(source_weights, sources, strict=True):
        total += source_weight * ~np.isnan(source).any(axis=1)
    return ClauseWeighing(fuse(pooled, observed(noise)), source_weights, pooled, total, noise, said)


def _fit_joint_inverse_temperature(
    alone: Sequence[ClauseWeighing], initial: AnnotationMatrix, accuracy: np.ndarray, held_out: np.ndarray
) -> float:
    """The inverse temperature with the highest held-out likelihood of whole initial annotations.

    The source weights of a clause are fitted for that clause alone. Taken together they would count one mistake of a
    model about a tile as often as there are clauses in which it shows.
    """
    rows = np.flatnonzero(held_out)
    if len(rows) == 0:
        return _INVERSE_TEMPERATURES[0]
    schema, class_prior = initial.schema, [each.class_prior for each in alone]
    uninformative, prior = _uninformative(schema), _prior(schema)
    fit = {}
    for inverse_temperature in _INVERSE_TEMPERATURES:
        models = [each.tempered(inverse_temperature, rows) for each in alone]
        with_initial = [
            _by_hypothesis(
                uninformative[clause],
                len(prior),
                model,
                each.noise.likelihood(initial.column(clause)[rows], accuracy[rows, column]),
                model.mean(axis=0),
            )
            for column, (clause, model, each) in enumerate(zip(schema.names, models, alone, strict=True))
        ]
        without = weigh_together(schema, [model[:, None, :] for model in models], np.ones(1), class_prior).log_evidence
        evidence = weigh_together(schema, with_initial, prior, class_prior).log_evidence
        fit[inverse_temperature] = float((evidence - without).mean())
    return max(fit, key=fit.__getitem__)


def _weigh_all(
    alone: Sequence[ClauseWeighing],
    initial: AnnotationMatrix,
    accuracy: np.ndarray,
    inverse_temperature: float,
    config: AcceptanceConfig,
) -> JointPosterior:
    """Weigh all clauses together; estimate the shares of annotations wrong as a whole, and the remaining errors."""
    models = [each.tempered(inverse_temperature) for each in alone]
    noise = [each.noise for each in alone]
    schema, sure, uninformative = initial.schema, accuracy, _uninformative(initial.schema)
    prior = expected = _prior(schema)
    for _ in range(_JOINT_ITERATIONS):
        joint = _weigh_pieces(initial, models, noise, sure, prior, [each.class_prior for each in alone])
        hypothesis = joint.hypothesis
        prior = (hypothesis.sum(axis=0) + _PRIOR_TILES * expected) / (len(hypothesis) + _PRIOR_TILES)
        wrong = [hypothesis[:, uninformative[clause]].sum(axis=1) for clause in schema.names]
        sure = np.stack(
            [
                _where_sound(
                    accuracy[:, column],
                    wrong[column],
                    joint.values[column][np.arange(len(initial)), initial.column(clause)],
                )
                for column, clause in enumerate(schema.names)
            ],
            axis=1,
        )
        noise = [
            estimate_noise(
                (1 - wrong[column])[:, None] * joint.values[column],
                initial.column(clause),
                noise[column].accuracy,
                config.noise_pseudo_count,
            )
            for column, clause in enumerate(schema.names)
        ]
    return joint  # pyright: ignore[reportPossiblyUnboundVariable]  # the loop runs at least once


def _weigh_pieces(
    initial: AnnotationMatrix,
    models: Sequence[np.ndarray],
    noise: Sequence[NoiseModel],
    accuracy: np.ndarray,
    prior: np.ndarray,
    class_prior: Sequence[np.ndarray],
) -> JointPosterior:
    """Weigh all clauses together, some tiles at a time: likelihoods under every hypothesis take much memory."""
    schema, uninformative = initial.schema, _uninformative(initial.schema)
    frequency = [model.mean(axis=0) for model in models]

    def likelihood(column: int, rows: slice) -> np.ndarray:
        annotated = initial.values[rows, column]
        sound = noise[column].likelihood(annotated, accuracy[rows, column])
        without = uninformative[schema.names[column]]
        return _by_hypothesis(without, len(prior), models[column][rows], sound, frequency[column])

    pieces = []
    for start in range(0, max(len(initial), 1), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        likelihoods = [likelihood(column, rows) for column in range(len(schema))]
        pieces.append(weigh_together(schema, likelihoods, prior, class_prior))
    return JointPosterior(
        [np.concatenate(columns) for columns in zip(*(each.values for each in pieces), strict=True)],
        np.concatenate([each.hypothesis for each in pieces]),
        np.concatenate([each.log_evidence for each in pieces]),
    )


def ways_to_be_wrong(schema: AnnotationSchema) -> tuple[str, ...]:
    """Names of the ways in which an initial annotation can be wrong as a whole.

    Returns:
        The blocks that can be invented or missed, then "tile": the annotation is another tile's.
    """
    return (*(block.name for block in schema.whole_blocks), "tile")


def _prior(schema: AnnotationSchema) -> np.ndarray:
    """Prior of the hypotheses, float64 [H]: the initial annotation is sound, then each way to be wrong as a whole."""
    wrong = len(ways_to_be_wrong(schema))
    return np.asarray([1 - _WRONG_SHARE * wrong, *[_WRONG_SHARE] * wrong])


def _uninformative(schema: AnnotationSchema) -> dict[str, list[int]]:
    """Per clause the hypotheses (0: sound) under which the initial annotation says nothing about it."""
    last = len(ways_to_be_wrong(schema))
    return {
        clause: [*(index for index, block in enumerate(schema.whole_blocks, 1) if clause in block.clauses), last]
        for clause in schema.names
    }


def _by_hypothesis(
    uninformative: Sequence[int], hypotheses: int, model: np.ndarray, sound: np.ndarray, frequency: np.ndarray
) -> np.ndarray:
    """Likelihood of each value under each hypothesis.

    An annotation that is wrong as a whole has the distribution of a sound annotation of any other tile. The frequency
    of the initial value is not used for it: where initial annotations are nearly the same on all tiles, and have fewer
    errors than their known accuracy says, every tile would be found to carry another tile's annotation.

    Args:
        uninformative: Hypotheses under which the initial annotation says nothing about the clause.
        hypotheses: Number of hypotheses, H.
        model: float [N, V], the pooled models.
        sound: float [N, V], p(initial annotation | each true value) for a sound annotation.
        frequency: float [V], the mean of the pooled models over all tiles.

    Returns:
        float [N, H, V].
    """
    elsewhere = np.broadcast_to((sound @ frequency)[:, None], sound.shape)
    return model[:, None, :] * np.stack(
        [elsewhere if hypothesis in uninformative else sound for hypothesis in range(hypotheses)], 1
    )


def _where_sound(accuracy: np.ndarray, wrong: np.ndarray, initial_is_right: np.ndarray) -> np.ndarray:
    """Accuracy of the initial annotations that are not wrong as a whole, float [N].

    Args:
        accuracy: float [N], known accuracy, which counts annotations that are wrong as a whole too.
        wrong: float [N], probability that the annotation is wrong as a whole in this clause.
        initial_is_right: float [N], posterior probability of the initial value.
    """
    share = wrong.mean()
    by_chance = (wrong * initial_is_right).sum() / max(wrong.sum(), 1e-9)
    return np.clip((accuracy - share * by_chance) / max(1 - share, 1e-9), *ACCURACY)
