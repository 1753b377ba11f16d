"""Image-text retrieval: recall at 1, 5 and 10 in both directions, in chunks, with identical captions as matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalReport:
    """Recall at rank k in [0, 1] (k: share of queries with a match among their k nearest)."""

    image_to_text: dict[int, float]
    text_to_image: dict[int, float]
    mean_recall: float
    """Mean of all entries of both directions."""
    n: int
    n_distinct_captions: int
    image_ranks: np.ndarray
    """float [n]: of each image the rank of the best text."""
    text_ranks: np.ndarray
    """float [n_distinct_captions]: of each text the rank of the best image."""
    text_of: np.ndarray
    """int [n]: the text of each image, index into `text_ranks`."""

    def mean_recall_of(self, weights: np.ndarray, ranks: Sequence[int] = RANKS) -> float:
        """The mean recall where each image counts so often, float [n], and a text once if any of its images does."""
        texts = np.bincount(self.text_of, weights, len(self.text_ranks))
        counted = ((self.image_ranks, weights), (self.text_ranks, np.minimum(texts, 1.0)))
        values = [own @ (found <= rank) / own.sum() for found, own in counted for rank in ranks]
        return float(np.mean(values))


def retrieval(
    image: torch.Tensor | np.ndarray,
    text: torch.Tensor | np.ndarray,
    captions: Sequence[str],
    *,
    ranks: Sequence[int] = RANKS,
    chunk: int = 1024,
) -> RetrievalReport:
    """Rank texts by cosine similarity to each image, and images to each text.

    Candidates of an image are the distinct captions, each with the embedding of its first occurrence, so a caption that
    many tiles share takes one place of the list. Queries of the other direction are the distinct captions; any image
    with the same caption is a match. The rank is 1 plus the number of candidates that are more similar than the best
    match, plus half the number of those that tie with it. Equal embeddings thereby give chance level and no perfect
    score. The memory needed is that of `chunk` x n floats.

    Args:
        image: float [n, d]; row i is tile i; rows need not be normalised.
        text: float [n, d], in the same order.
        captions: The n captions.
        ranks: Ranks k of the recall.
        chunk: Number of queries that are ranked at once.

    Raises:
        ValueError: The shapes do not fit, an embedding is not finite, or n is 0.
    """
    image, text = (torch.as_tensor(array).float() for array in (image, text))
    n = len(captions)
    if n == 0 or image.ndim != 2 or image.shape != text.shape or len(image) != n:
        raise ValueError(
            f"Retrieval needs two [n, d] embeddings and n captions; got {tuple(image.shape)}, "
            f"{tuple(text.shape)} and {n} captions."
        )
    if not (torch.isfinite(image).all() and torch.isfinite(text).all()):
        raise ValueError("Retrieval needs finite embeddings; found NaN or infinity.")
    image, text = (torch.nn.functional.normalize(array, dim=1) for array in (image, text))
    distinct, number = np.unique(np.asarray(captions, dtype=object).astype(str), return_inverse=True)
    number = torch.as_tensor(number).reshape(-1)
    first = torch.as_tensor(np.unique(number.numpy(), return_index=True)[1])
    candidates = text[first]
    image_ranks = _ranks(image, candidates, number, torch.arange(len(distinct)), chunk)
    text_ranks = _ranks(candidates, image, torch.arange(len(distinct)), number, chunk)
    forward, backward = ({k: float((found <= k).double().mean()) for k in ranks} for found in (image_ranks, text_ranks))
    values = [*forward.values(), *backward.values()]
    return RetrievalReport(
        forward,
        backward,
        sum(values) / len(values),
        n,
        len(distinct),
        image_ranks.numpy(),
        text_ranks.numpy(),
        number.numpy(),
    )


def _ranks(
    queries: torch.Tensor, candidates: torch.Tensor, query_key: torch.Tensor, candidate_key: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Float [queries]: rank of the best candidate with the query's key."""
    ranks = []
    for start in range(0, len(queries), chunk):
        similarity = queries[start : start + chunk] @ candidates.T
        match = query_key[start : start + chunk, None] == candidate_key[None, :]
        best = similarity.masked_fill(~match, -torch.inf).amax(dim=1, keepdim=True)
        # Rounding must not order what is equal.
        tied = (~match) & ((similarity - best).abs() <= 1e-6)
        above = (~match) & (similarity > best + 1e-6)
        ranks.append(1 + above.sum(dim=1) + tied.sum(dim=1) / 2)
    return torch.cat(ranks)
