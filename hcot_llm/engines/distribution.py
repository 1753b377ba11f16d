"""The distribution over a clause's values, read from the probabilities of the token that begins the value."""

from collections.abc import Iterable, Sequence

import numpy as np


def values_beginning(vocabulary: Sequence[str], piece: str) -> list[int]:
    """Indices of the values that a token's text is, or begins."""
    return [index for index, value in enumerate(vocabulary) if value == piece] or [
        index for index, value in enumerate(vocabulary) if piece and value.startswith(piece)
    ]


def value_distribution(vocabulary: Sequence[str], pieces: Iterable[tuple[str, float]]) -> np.ndarray:
    """Probability of each value, float64 [V]. pieces: text and log-probability of the tokens that could begin it."""
    probability = np.full(len(vocabulary), 1e-6)
    for piece, logprob in pieces:
        matches = values_beginning(vocabulary, piece)
        if len(matches) == 1:
            probability[matches[0]] += np.exp(logprob)
    return probability / probability.sum()
