"""The posterior of every clause's true value, from the models' distributions and the seed; the truth is never seen.

First each clause for itself: how far each model is believed, and how the seed's errors are spread
(hcot_llm/aggregation/label_noise.py). Then all clauses of a tile together, which is HCoT's level 5: only values that
are consistent with one another count, and an annotation may be wrong as a whole, because a block of clauses was
invented or missed (the targets), or because it is another tile's. Where many clauses of a tile contradict the models,
its seed says little about any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.joint import JointPosterior, weigh_together
from hcot_llm.aggregation.label_noise import (
    ExponentPrior,
    NoiseModel,
    estimate_noise,
    fit_exponents,
    fuse,
    normalise,
    pool,
)
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema

# What is expected of a seed before it is seen, of each way to be wrong as a whole; the shares themselves are estimated.
_WRONG_SHARE: Final = 0.05
_PRIOR_TILES: Final = 20
_ITERATIONS: Final = 3
_JOINT_ITERATIONS: Final = 2
ACCURACY: Final = (0.05, 0.99)  # nothing is quite right or quite wrong
# How far the models are believed about all clauses together: what they get wrong about a tile shows in several clauses.
_SHARPNESS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class ClauseWeighing:
    """One clause.

    posterior: float [N, V]. exponents: of each model. pooled: float [N, V], all models. belief: float [N], sum of the
    exponents of the models that were asked. noise: the seed's errors.
    """

    posterior: np.ndarray
    exponents: list[float]
    pooled: np.ndarray
    belief: np.ndarray
    noise: NoiseModel

    @property
    def usual(self) -> np.ndarray:
        """How frequent each value is, float [V]; an even spread counts as much as a few tiles.

        What the seed rules out everywhere would come to nothing, and a model's ordinary doubt would look like evidence
        for it: for targets in eight clauses at once.
        """
        tiles, values = self.posterior.shape
        return (self.posterior.sum(axis=0) + _PRIOR_TILES / values) / (tiles + _PRIOR_TILES)

    def sharpened(self, sharpness: float, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The models to this exponent, float [N, V] of all tiles or those in `rows`.

        So far as the models are not believed, what is usual takes their place.
        Nothing at all would be no neutral ground among consistent annotations: there are far more with targets than
        without.
        """
        missing = np.maximum(0.0, 1.0 - sharpness * self.belief[rows])[:, None]
        return normalise(self.pooled[rows] ** sharpness * self.usual**missing)


@dataclass(frozen=True)
class Weighing:
    """All clauses of N tiles. posterior: per clause float [N, V]. exponents: per clause, of each model.

    wholly_wrong: float [N, W], probability of each of the W ways to be wrong as a whole, see `ways_to_be_wrong`.
    sharpness: exponent of all models in all clauses, on top of those of each. Zeros and one where the clauses were
    weighed one by one.
    """

    posterior: dict[str, np.ndarray]
    exponents: dict[str, list[float]]
    wholly_wrong: np.ndarray
    sharpness: float

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior of the given values, float [N, C], for value indices int [N, C]."""
        rows = np.arange(len(values))
        return np.stack([each[rows, values[:, column]] for column, each in enumerate(self.posterior.values())], 1)


def weigh(
    models: Sequence[Mapping[str, np.ndarray]],
    seed: AnnotationMatrix,
    calibration: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[ExponentPrior] | None = None,
) -> Weighing:
    """Posterior of the true values of N tiles.

    Args:
        models: per model and clause its distribution, float [N, V], NaN rows where it was not asked.
        seed: the annotations as they first came, with the known accuracy of each as its confidence.
        calibration: bool [N], tiles that no model was trained on. Without any, the models are
            believed as much as is expected of them, shared among them.
        config: how the seed's errors are estimated.
        priors: how far each model is expected to be believed, see `fit_exponents`.
    """
    names, accuracy = seed.schema.names, known_accuracy(seed)
    alone = [
        weigh_clause(
            [model[clause] for model in models], seed.column(clause), accuracy[:, column], calibration, config, priors
        )
        for column, clause in enumerate(names)
    ]
    exponents = {clause: each.exponents for clause, each in zip(names, alone, strict=True)}
    if not config.consistency:
        return Weighing(
            {clause: each.posterior for clause, each in zip(names, alone, strict=True)},
            exponents,
            np.zeros((len(seed), len(ways_to_be_wrong(seed.schema)))),
            1.0,
        )
    sharpness = _fit_sharpness(alone, seed, accuracy, calibration)
    joint = _weigh_all(alone, seed, accuracy, sharpness, config)
    return Weighing(dict(zip(names, joint.values, strict=True)), exponents, joint.hypothesis[:, 1:], sharpness)


def known_accuracy(seed: AnnotationMatrix) -> np.ndarray:
    """What the seed says of its own accuracy, float64 [N, C]; never quite sure, right or wrong."""
    return np.clip(seed.confidence.astype(np.float64), *ACCURACY)


def weigh_clause(
    witnesses: Sequence[np.ndarray],
    seed: np.ndarray,
    accuracy: np.ndarray,
    calibration: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[ExponentPrior] | None = None,
) -> ClauseWeighing:
    """One clause for itself.

    Args:
        witnesses: the models' distributions, float [N, V] each.
        seed: int [N], indices of the seed's values.
        accuracy: float [N], known accuracy of each seed value.
        calibration: bool [N], tiles that no model was trained on.
        config: how the seed's errors are estimated.
        priors: how far each model is expected to be believed, see `fit_exponents`.
    """
    noise = NoiseModel.even(float(accuracy.mean()), witnesses[0].shape[1])
    exponents = [0.0] * len(witnesses)  # no model is believed before the first fit
    pooled = pool(witnesses, exponents)
    for _ in range(_ITERATIONS):
        likelihood = noise.likelihood(seed, accuracy)
        exponents = fit_exponents([witness[calibration] for witness in witnesses], likelihood[calibration], priors)
        pooled = pool(witnesses, exponents)
        noise = estimate_noise(fuse(pooled, likelihood), seed, noise.accuracy, config.noise_pseudo_count)
    belief = np.zeros(len(seed))
    for exponent, witness in zip(exponents, witnesses, strict=True):
        belief += exponent * ~np.isnan(witness).any(axis=1)
    return ClauseWeighing(fuse(pooled, noise.likelihood(seed, accuracy)), exponents, pooled, belief, noise)


def _fit_sharpness(
    alone: Sequence[ClauseWeighing], seed: AnnotationMatrix, accuracy: np.ndarray, calibration: np.ndarray
) -> float:
    """The sharpness under which the seed of tiles that no model has seen is most probable, whole tiles at once.

    Each clause's exponents are fitted for that clause alone. Taken together they would count one mistake of a model
    about a tile as often as there are clauses that it shows in.
    """
    rows = np.flatnonzero(calibration)
    if len(rows) == 0:
        return _SHARPNESS[0]
    usual, says, prior = [each.usual for each in alone], _says_nothing(seed.schema), _prior(seed.schema)
    fit = {}
    for sharpness in _SHARPNESS:
        models = [each.sharpened(sharpness, rows) for each in alone]
        with_seed = [
            _by_hypothesis(
                says[clause],
                len(prior),
                model,
                each.noise.likelihood(seed.column(clause)[rows], accuracy[rows, column]),
            )
            for column, (clause, model, each) in enumerate(zip(seed.schema.names, models, alone, strict=True))
        ]
        without = weigh_together(seed.schema, [model[:, None, :] for model in models], np.ones(1), usual).log_evidence
        fit[sharpness] = float((weigh_together(seed.schema, with_seed, prior, usual).log_evidence - without).mean())
    return max(fit, key=fit.__getitem__)


def _weigh_all(
    alone: Sequence[ClauseWeighing],
    seed: AnnotationMatrix,
    accuracy: np.ndarray,
    sharpness: float,
    config: AcceptanceConfig,
) -> JointPosterior:
    """All clauses together, with the shares of annotations wrong as a whole and the rest of the seed's errors."""
    models = [each.sharpened(sharpness) for each in alone]
    noise = [each.noise for each in alone]
    schema, sure, says = seed.schema, accuracy, _says_nothing(seed.schema)
    prior = expected = _prior(schema)
    for _ in range(_JOINT_ITERATIONS):
        likelihoods = [
            _by_hypothesis(
                says[clause], len(prior), models[column], noise[column].likelihood(seed.column(clause), sure[:, column])
            )
            for column, clause in enumerate(schema.names)
        ]
        joint = weigh_together(schema, likelihoods, prior, [each.usual for each in alone])
        hypothesis = joint.hypothesis
        prior = (hypothesis.sum(axis=0) + _PRIOR_TILES * expected) / (len(hypothesis) + _PRIOR_TILES)
        wrong = [hypothesis[:, says[clause]].sum(axis=1) for clause in schema.names]
        sure = np.stack(
            [
                _where_sound(
                    accuracy[:, column], wrong[column], joint.values[column][np.arange(len(seed)), seed.column(clause)]
                )
                for column, clause in enumerate(schema.names)
            ],
            axis=1,
        )
        noise = [
            estimate_noise(
                (1 - wrong[column])[:, None] * joint.values[column],
                seed.column(clause),
                noise[column].accuracy,
                config.noise_pseudo_count,
            )
            for column, clause in enumerate(schema.names)
        ]
    return joint  # pyright: ignore[reportPossiblyUnboundVariable]  # the loop runs at least once


def ways_to_be_wrong(schema: AnnotationSchema) -> tuple[str, ...]:
    """How an annotation can be wrong as a whole: blocks that are invented or missed, and "tile", another tile's."""
    return (*(block.name for block in schema.whole_blocks), "tile")


def _prior(schema: AnnotationSchema) -> np.ndarray:
    """What is expected before the seed is seen, float64 [H]: it is sound, then each way to be wrong."""
    wrong = len(ways_to_be_wrong(schema))
    return np.asarray([1 - _WRONG_SHARE * wrong, *[_WRONG_SHARE] * wrong])


def _says_nothing(schema: AnnotationSchema) -> dict[str, list[int]]:
    """The hypotheses (0: sound) under which the seed says nothing about a clause."""
    last = len(ways_to_be_wrong(schema))
    return {
        clause: [*(index for index, block in enumerate(schema.whole_blocks, 1) if clause in block.clauses), last]
        for clause in schema.names
    }


def _by_hypothesis(nothing: Sequence[int], hypotheses: int, model: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Evidence for each value under each of H hypotheses, float [N, H, V].

    A wrong whole is what a sound annotation would say of any other tile.

    Not how often the seed says it: where it says nearly the same everywhere, and errs less than is known of it, every
    tile's annotation would rather be another's.
    """
    elsewhere = np.broadcast_to((sound @ model.mean(axis=0))[:, None], sound.shape)
    return model[:, None, :] * np.stack(
        [elsewhere if hypothesis in nothing else sound for hypothesis in range(hypotheses)], 1
    )


def _where_sound(accuracy: np.ndarray, wrong: np.ndarray, seed_is_right: np.ndarray) -> np.ndarray:
    """Accuracy of annotations that are not wrong as a whole, float [N]: the known accuracy counts those that are."""
    share = wrong.mean()
    by_chance = (wrong * seed_is_right).sum() / max(wrong.sum(), 1e-9)
    return np.clip((accuracy - share * by_chance) / max(1 - share, 1e-9), *ACCURACY)
