"""What the labels' errors look like, estimated without truth, and how to undo them in a model's posterior.

A model trained on labels with errors predicts the labels, errors included. Let `confusion[t, o]` be the
probability that a clause whose true value is t is annotated as o. Then the model's distribution over
annotated values is `confusion.T @ p(true value)`, which can be inverted once the confusion is known; the
confusion in turn is counted where the model is confident.
"""

from dataclasses import dataclass

import numpy as np

TINY = 1e-12


@dataclass(frozen=True)
class NoiseModel:
    """Label noise of one clause: `confusion` float64 [V, V], rows true values, columns annotated values."""

    confusion: np.ndarray

    @property
    def accuracy(self) -> float:
        """Mean probability that the annotated value is the true one, values weighted equally."""
        return float(np.mean(np.diag(self.confusion)))


def _normalise(array: np.ndarray) -> np.ndarray:
    return array / np.maximum(array.sum(axis=-1, keepdims=True), TINY)


def estimate_noise(posterior: np.ndarray, observed: np.ndarray, *, expected_accuracy: float = 0.8,
                   pseudo_count: float = 4.0) -> NoiseModel:
    """Confusion of the annotated values, counted where the model is confident.

    As in confident learning (Northcutt et al., 2021): a tile counts for the value the model favours if the
    model is at least as sure of it as it is on average where it favours that value.

    Args:
        posterior: float [N, V], p(true value | image), rows summing to one.
        observed: int [N], index of the annotated value.
        expected_accuracy: centre of the Dirichlet prior's diagonal; the rest is spread evenly.
        pseudo_count: strength of that prior, in clauses per true value. A value that hardly occurs keeps it.
    """
    values = posterior.shape[1]
    off_diagonal = (1.0 - expected_accuracy) / max(values - 1, 1)
    counts = np.full((values, values), pseudo_count * off_diagonal)
    np.fill_diagonal(counts, pseudo_count * expected_accuracy)
    favoured, sureness = posterior.argmax(axis=1), posterior.max(axis=1)
    for value in range(values):
        rows = favoured == value
        if rows.any():
            confident = rows & (sureness >= sureness[rows].mean() - 1e-9)
            np.add.at(counts[value], observed[confident], 1.0)
    return NoiseModel(_normalise(counts))


def undo_noise(annotated: np.ndarray, noise: NoiseModel, *, iterations: int = 30) -> np.ndarray:
    """p(true value | image) from a model's p(annotated value | image), float [N, V] to float [N, V].

    Richardson-Lucy iterations: they keep rows non-negative and normalised where inverting the matrix does not.
    """
    confusion = noise.confusion
    clean = annotated.copy()
    for _ in range(iterations):
        predicted = np.maximum(clean @ confusion, TINY)
        clean = _normalise(clean * ((annotated / predicted) @ confusion.T))
    return clean


def clean_posterior(annotated: np.ndarray, trained_on: np.ndarray, *, expected_accuracy: float,
                    rounds: int = 2) -> tuple[np.ndarray, NoiseModel]:
    """Undo the noise of the labels a model was trained on, which is itself estimated on the way.

    Args:
        annotated: float [N, V], the model's distribution over annotated values.
        trained_on: int [N], the annotated values it was trained on.
    """
    noise = estimate_noise(annotated, trained_on, expected_accuracy=expected_accuracy)
    for _ in range(rounds):
        clean = undo_noise(annotated, noise)
        noise = estimate_noise(clean, trained_on, expected_accuracy=expected_accuracy)
    return clean, noise


def fuse(clean: np.ndarray, observed: np.ndarray, noise: NoiseModel, *, model_error: float = 0.02) -> np.ndarray:
    """Posterior of the true value given image and annotated value, float [N, V].

    `model_error` is the share of the model's probability spread evenly: a model is never so sure that no
    annotation could contradict it.
    """
    values = clean.shape[1]
    evidence = (1.0 - model_error) * clean + model_error / values
    return _normalise(evidence * noise.confusion[:, observed].T)
