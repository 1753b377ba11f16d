"""The distribution over a clause's values, read from the probabilities of the token that begins the value."""

from collections.abc import Iterable, Sequence

import numpy as np


def values_beginning(vocabulary: Sequence[str], piece: str) -> list[int]:
    """Find the values that a token can begin.

    Args:
        vocabulary: Values of the clause.
        piece: Text of the token.

    Returns:
        Index of the value that equals the text; else the indices of all values that begin with it.
    """
    return [index for index, value in enumerate(vocabulary) if value == piece] or [
        index for index, value in enumerate(vocabulary) if piece and value.startswith(piece)
    ]


def value_distribution(vocabulary: Sequence[str], pieces: Iterable[tuple[str, float]]) -> np.ndarray:
    """Probability of each value.

    Args:
        vocabulary: The V values of the clause.
        pieces: (text, log-probability in nats) of the tokens that could begin the value.

    Returns:
        float64 [V]; sums to one.
    """
    probability = np.full(len(vocabulary), 1e-6)
    for piece, logprob in pieces:
        matches = values_beginning(vocabulary, piece)
        if len(matches) == 1:
            probability[matches[0]] += np.exp(logprob)
    return probability / probability.sum()
