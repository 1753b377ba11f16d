"""The posterior of every clause's true value, from the models' distributions and the seed, without ever seeing the truth.

First each clause for itself: how far each model is believed, and how the seed's errors are spread (hcot_llm/aggregation/label_noise.py).
Then all clauses of a tile together, which is HCoT's level 5: only values that are consistent with one another count, and
an annotation may be wrong as a whole, because the targets were invented or missed, or because it is another tile's. Where
many clauses of a tile contradict the models, its seed says little about any of them.
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
from hcot_llm.schema.clauses import CLAUSES, TARGET_CLAUSES, Clause

SOUND, TARGETS_WRONG, ALL_WRONG = range(3)
# What is expected of a seed before it is seen; the shares themselves are estimated.
_PRIOR: Final = np.asarray([0.9, 0.05, 0.05])
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
        """The models to this exponent, float [N, V] of all tiles or those in `rows`; so far as they are not believed, what
        is usual takes their place.

        Nothing at all would be no neutral ground among consistent annotations: there are far more with targets than
        without.
        """
        missing = np.maximum(0.0, 1.0 - sharpness * self.belief[rows])[:, None]
        return normalise(self.pooled[rows] ** sharpness * self.usual**missing)


@dataclass(frozen=True)
class Weighing:
    """All clauses of N tiles. posterior: per clause float [N, V]. exponents: per clause, of each model.

    wholly_wrong: float [N, 2], probability that the seed's targets are invented or missed as a whole, and that the whole
    annotation is another tile's. sharpness: exponent of all models in all clauses, on top of those of each. Zeros and
    one where the clauses were weighed one by one.
    """

    posterior: dict[Clause, np.ndarray]
    exponents: dict[Clause, list[float]]
    wholly_wrong: np.ndarray
    sharpness: float

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior of the given values, float [N, 16], for value indices int [N, 16]."""
        rows = np.arange(len(values))
        return np.stack([self.posterior[clause][rows, values[:, column]] for column, clause in enumerate(CLAUSES)], 1)


def weigh(
    models: Sequence[Mapping[Clause, np.ndarray]],
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
        priors: how far each model is expected to be believed, see `fit_exponents`.
    """
    accuracy = known_accuracy(seed)
    alone = [
        weigh_clause(
            [model[clause] for model in models], seed.column(clause), accuracy[:, column], calibration, config, priors
        )
        for column, clause in enumerate(CLAUSES)
    ]
    exponents = {clause: each.exponents for clause, each in zip(CLAUSES, alone, strict=True)}
    if not config.consistency:
        return Weighing(
            {clause: each.posterior for clause, each in zip(CLAUSES, alone, strict=True)},
            exponents,
            np.zeros((len(seed), 2)),
            1.0,
        )
    sharpness = _fit_sharpness(alone, seed, accuracy, calibration)
    joint = _weigh_all(alone, seed, accuracy, sharpness, config)
    return Weighing(dict(zip(CLAUSES, joint.values, strict=True)), exponents, joint.hypothesis[:, 1:], sharpness)


def known_accuracy(seed: AnnotationMatrix) -> np.ndarray:
    """What the seed says of its own accuracy, float64 [N, 16]; never quite sure, right or wrong."""
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
        witnesses: the models' distributions, float [N, V] each. seed: int [N]. accuracy: float [N], of each seed value.
    """
    noise = NoiseModel.even(float(accuracy.mean()), witnesses[0].shape[1])
    for _ in range(_ITERATIONS):
        likelihood = noise.likelihood(seed, accuracy)
        exponents = fit_exponents([witness[calibration] for witness in witnesses], likelihood[calibration], priors)
        pooled = pool(witnesses, exponents)
        noise = estimate_noise(fuse(pooled, likelihood), seed, noise.accuracy, config.noise_pseudo_count)
    belief = sum(
        exponent * ~np.isnan(witness).any(axis=1) for exponent, witness in zip(exponents, witnesses, strict=True)
    )
    return ClauseWeighing(fuse(pooled, noise.likelihood(seed, accuracy)), exponents, pooled, belief, noise)


def _fit_sharpness(
    alone: Sequence[ClauseWeighing], seed: AnnotationMatrix, accuracy: np.ndarray, calibration: np.ndarray
) -> float:
    """The sharpness under which the seed annotations of tiles that no model has seen are most probable, whole tiles at once.

    Each clause's exponents are fitted for that clause alone. Taken together they would count one mistake of a model
    about a tile as often as there are clauses that it shows in.
    """
    rows = np.flatnonzero(calibration)
    if len(rows) == 0:
        return _SHARPNESS[0]
    usual = [each.usual for each in alone]
    fit = {}
    for sharpness in _SHARPNESS:
        models = [each.sharpened(sharpness, rows) for each in alone]
        with_seed = [
            _by_hypothesis(clause, model, each.noise.likelihood(seed.column(clause)[rows], accuracy[rows, column]))
            for column, (clause, model, each) in enumerate(zip(CLAUSES, models, alone, strict=True))
        ]
        without = weigh_together([model[:, None, :] for model in models], np.ones(1), usual).log_evidence
        fit[sharpness] = float((weigh_together(with_seed, _PRIOR, usual).log_evidence - without).mean())
    return max(fit, key=fit.__getitem__)


def _weigh_all(
    alone: Sequence[ClauseWeighing],
    seed: AnnotationMatrix,
    accuracy: np.ndarray,
    sharpness: float,
    config: AcceptanceConfig,
) -> JointPosterior:
    """All clauses together, with the shares of annotations that are wrong as a whole and the rest of the seed's errors."""
    models = [each.sharpened(sharpness) for each in alone]
    noise = [each.noise for each in alone]
    sure, prior = accuracy, _PRIOR
    for _ in range(_JOINT_ITERATIONS):
        likelihoods = [
            _by_hypothesis(clause, models[column], noise[column].likelihood(seed.column(clause), sure[:, column]))
            for column, clause in enumerate(CLAUSES)
        ]
        joint = weigh_together(likelihoods, prior, [each.usual for each in alone])
        hypothesis = joint.hypothesis
        prior = (hypothesis.sum(axis=0) + _PRIOR_TILES * _PRIOR) / (len(hypothesis) + _PRIOR_TILES)
        wrong = [hypothesis[:, _HYPOTHESES[clause]].sum(axis=1) for clause in CLAUSES]
        sure = np.stack(
            [
                _where_sound(
                    accuracy[:, column], wrong[column], joint.values[column][np.arange(len(seed)), seed.column(clause)]
                )
                for column, clause in enumerate(CLAUSES)
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
            for column, clause in enumerate(CLAUSES)
        ]
    return joint


# The hypotheses under which the seed says nothing about a clause.
_HYPOTHESES: Final = {
    clause: [TARGETS_WRONG, ALL_WRONG] if clause in TARGET_CLAUSES else [ALL_WRONG] for clause in CLAUSES
}


def _by_hypothesis(clause: Clause, model: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Evidence for each value under each hypothesis, float [N, 3, V]. A wrong whole is what a sound annotation would say of
    any other tile.

    Not how often the seed says it: where it says nearly the same everywhere, and errs less than is known of it, every
    tile's annotation would rather be another's.
    """
    elsewhere = np.broadcast_to((sound @ model.mean(axis=0))[:, None], sound.shape)
    return model[:, None, :] * np.stack(
        [elsewhere if hypothesis in _HYPOTHESES[clause] else sound for hypothesis in (SOUND, TARGETS_WRONG, ALL_WRONG)],
        1,
    )


def _where_sound(accuracy: np.ndarray, wrong: np.ndarray, seed_is_right: np.ndarray) -> np.ndarray:
    """Accuracy of annotations that are not wrong as a whole, float [N]: the known accuracy counts those that are."""
    share = wrong.mean()
    by_chance = (wrong * seed_is_right).sum() / max(wrong.sum(), 1e-9)
    return np.clip((accuracy - share * by_chance) / max(1 - share, 1e-9), *ACCURACY)
