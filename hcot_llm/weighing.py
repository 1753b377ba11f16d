"""The posterior of every clause's true value, from the models' distributions and the seed, without ever seeing the truth.

First each clause for itself: how far each model is believed, and how the seed's errors are spread (hcot_llm/noise.py).
Then all clauses of a tile together, which is HCoT's level 5: only values that are consistent with one another count, and
an annotation may be wrong as a whole, because the targets were invented or missed, or because it is another tile's. Where
many clauses of a tile contradict the models, its seed says little about any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.acceptance import AcceptanceConfig
from hcot_llm.joint import marginals
from hcot_llm.matrix import AnnotationMatrix
from hcot_llm.noise import NoiseModel, estimate_noise, fit_exponents, fuse, pool
from hcot_llm.schema import CLAUSES, TARGET_CLAUSES, VOCABULARY, Clause

SOUND, TARGETS_WRONG, ALL_WRONG = range(3)
# What is expected of a seed before it is seen; the shares themselves are estimated.
_PRIOR: Final = np.asarray([0.9, 0.05, 0.05])
_PRIOR_TILES: Final = 20
_ITERATIONS: Final = 3
_JOINT_ITERATIONS: Final = 2
_ACCURACY: Final = (0.05, 0.99)


@dataclass(frozen=True)
class ClauseWeighing:
    """One clause: posterior float [N, V], each model's exponent, the pooled models float [N, V], and the seed's errors."""

    posterior: np.ndarray
    exponents: list[float]
    pooled: np.ndarray
    noise: NoiseModel


@dataclass(frozen=True)
class Weighing:
    """All clauses of N tiles. posterior: per clause float [N, V]. exponents: per clause, of each model.

    wholly_wrong: float [N, 2], probability that the seed's targets are invented or missed as a whole, and that the whole
    annotation is another tile's; zeros where the clauses were weighed one by one.
    """

    posterior: dict[Clause, np.ndarray]
    exponents: dict[Clause, list[float]]
    wholly_wrong: np.ndarray

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior of the given values, float [N, 16], for value indices int [N, 16]."""
        rows = np.arange(len(values))
        return np.stack([self.posterior[clause][rows, values[:, column]] for column, clause in enumerate(CLAUSES)], 1)


def weigh(models: Sequence[Mapping[Clause, np.ndarray]], seed: AnnotationMatrix, calibration: np.ndarray,
          config: AcceptanceConfig) -> Weighing:
    """Posterior of the true values of N tiles.

    Args:
        models: per model and clause its distribution, float [N, V], NaN rows where it was not asked.
        seed: the annotations as they first came, with the known accuracy of each as its confidence.
        calibration: bool [N], tiles that no model was trained on. Without any, the models are believed half.
    """
    accuracy = np.clip(seed.confidence.astype(np.float64), *_ACCURACY)
    alone = [weigh_clause([model[clause] for model in models], seed.column(clause), accuracy[:, column], calibration,
                          config) for column, clause in enumerate(CLAUSES)]
    exponents = {clause: each.exponents for clause, each in zip(CLAUSES, alone, strict=True)}
    if not config.consistency:
        return Weighing({clause: each.posterior for clause, each in zip(CLAUSES, alone, strict=True)}, exponents,
                        np.zeros((len(seed), 2)))
    posterior, hypothesis = _weigh_together(alone, seed, accuracy, config)
    return Weighing(dict(zip(CLAUSES, posterior, strict=True)), exponents, hypothesis[:, 1:])


def weigh_clause(witnesses: Sequence[np.ndarray], seed: np.ndarray, accuracy: np.ndarray, calibration: np.ndarray,
                 config: AcceptanceConfig) -> ClauseWeighing:
    """One clause for itself.

    Args:
        witnesses: the models' distributions, float [N, V] each. seed: int [N]. accuracy: float [N], of each seed value.
    """
    noise = NoiseModel.even(float(accuracy.mean()), witnesses[0].shape[1])
    for _ in range(_ITERATIONS):
        likelihood = noise.likelihood(seed, accuracy)
        exponents = fit_exponents([witness[calibration] for witness in witnesses], likelihood[calibration])
        pooled = pool(witnesses, exponents)
        noise = estimate_noise(fuse(pooled, likelihood), seed, noise.accuracy, config.noise_pseudo_count)
    return ClauseWeighing(fuse(pooled, noise.likelihood(seed, accuracy)), exponents, pooled, noise)


def _weigh_together(alone: Sequence[ClauseWeighing], seed: AnnotationMatrix, accuracy: np.ndarray,
                    config: AcceptanceConfig) -> tuple[list[np.ndarray], np.ndarray]:
    """Posteriors float [N, V] of all clauses and of the hypotheses float [N, 3]."""
    noise = [each.noise for each in alone]
    sure, prior = accuracy, _PRIOR
    for _ in range(_JOINT_ITERATIONS):
        likelihoods = [_by_hypothesis(clause, each.pooled, noise[column].likelihood(seed.column(clause), sure[:, column]),
                                      seed.column(clause))
                       for column, (clause, each) in enumerate(zip(CLAUSES, alone, strict=True))]
        posterior, hypothesis = marginals(likelihoods, prior)
        prior = (hypothesis.sum(axis=0) + _PRIOR_TILES * _PRIOR) / (len(hypothesis) + _PRIOR_TILES)
        wrong = [hypothesis[:, _HYPOTHESES[clause]].sum(axis=1) for clause in CLAUSES]
        sure = np.stack([_where_sound(accuracy[:, column], wrong[column],
                                      posterior[column][np.arange(len(seed)), seed.column(clause)])
                         for column, clause in enumerate(CLAUSES)], axis=1)
        noise = [estimate_noise((1 - wrong[column])[:, None] * posterior[column], seed.column(clause),
                                noise[column].accuracy, config.noise_pseudo_count)
                 for column, clause in enumerate(CLAUSES)]
    return posterior, hypothesis


# The hypotheses under which the seed says nothing about a clause.
_HYPOTHESES: Final = {clause: [TARGETS_WRONG, ALL_WRONG] if clause in TARGET_CLAUSES else [ALL_WRONG] for clause in CLAUSES}


def _by_hypothesis(clause: Clause, pooled: np.ndarray, sound: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Evidence for each value under each hypothesis, float [N, 3, V]. A wrong whole says what seeds usually say."""
    usual = np.bincount(seed, minlength=len(VOCABULARY[clause])) / max(len(seed), 1)
    elsewhere = np.broadcast_to(usual[seed][:, None], sound.shape)
    return pooled[:, None, :] * np.stack(
        [elsewhere if hypothesis in _HYPOTHESES[clause] else sound for hypothesis in (SOUND, TARGETS_WRONG, ALL_WRONG)], 1)


def _where_sound(accuracy: np.ndarray, wrong: np.ndarray, seed_is_right: np.ndarray) -> np.ndarray:
    """Accuracy of annotations that are not wrong as a whole, float [N]: the known accuracy counts those that are."""
    share = wrong.mean()
    by_chance = (wrong * seed_is_right).sum() / max(wrong.sum(), 1e-9)
    return np.clip((accuracy - share * by_chance) / max(1 - share, 1e-9), *_ACCURACY)
