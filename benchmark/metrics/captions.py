"""BLEU-4, ROUGE-L and CIDEr-D of captions, in plain Python: what pycocoevalcap gives, without Java.

Words are what stands between spaces once letters are small and marks are gone. Definitions: Papineni et al. 2002, Lin
2004 (F with beta 1.2, as in the COCO captions evaluation), Vedantam et al. 2015 (CIDEr-D, sigma 6, times 10).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

_WORD = re.compile(r"[a-z0-9]+")
_ORDERS = (1, 2, 3, 4)
_BETA = 1.2
_SIGMA = 6.0


def words(text: str) -> list[str]:
    """The words of a text."""
    return _WORD.findall(text.lower())


def ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """How often each sequence of `order` words occurs."""
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))


def bleu4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU of 1 to 4 words with the brevity penalty, in [0, 1]; without smoothing.

    Args:
        candidates: N captions.
        references: one caption or more of each of the N images.
    """
    return bleu4_of(ngram_counts(candidates, references))(np.ones(len(candidates)))


def ngram_counts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Counts of each caption, of which `bleu4_of` makes scores. Arguments as `bleu4`.

    Returns:
        float64 [N, 10]: the sequences of 1 to 4 words that a reference has too, all such sequences, its length, and
        that of the reference that is nearest in length.
    """
    rows = []
    for candidate, own in zip(candidates, references, strict=True):
        tokens, others = words(candidate), [words(reference) for reference in own]
        hits, totals = [], []
        for order in _ORDERS:
            counts, most = ngrams(tokens, order), Counter()
            for other in others:
                most |= ngrams(other, order)
            hits.append(sum(min(count, most[gram]) for gram, count in counts.items()))
            totals.append(max(0, len(tokens) - order + 1))
        wanted = min((len(other) for other in others), key=lambda size: (abs(size - len(tokens)), size))
        rows.append([*hits, *totals, len(tokens), wanted])
    return np.array(rows, np.float64)


def bleu4_of(counts: np.ndarray) -> Callable[[np.ndarray], float]:
    """BLEU-4 of captions that each count so often, float64 [N]; `counts` as `ngram_counts` gives them."""

    def score(weights: np.ndarray) -> float:
        total = weights @ counts
        hits, every, length, wanted = total[:4], total[4:8], total[8], total[9]
        if not hits.all():
            return 0.0
        precision = float(np.exp(np.log(hits / every).mean()))
        return precision * (1.0 if length >= wanted else float(np.exp(1 - wanted / length)))

    return score


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """float64 [N]: F of the longest common subsequence, the best of precision and of recall over the references."""
    scores = []
    for candidate, own in zip(candidates, references, strict=True):
        tokens, precision, recall = words(candidate), 0.0, 0.0
        for other in map(words, own):
            common = _longest_common(tokens, other)
            precision = max(precision, common / len(tokens) if tokens else 0.0)
            recall = max(recall, common / len(other) if other else 0.0)
        bottom = recall + _BETA**2 * precision
        scores.append((1 + _BETA**2) * precision * recall / bottom if bottom else 0.0)
    return np.array(scores)


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """float64 [N]: CIDEr-D, from 0 to 10. Document frequencies are those of the references."""
    tokens = [words(candidate) for candidate in candidates]
    others = [[words(reference) for reference in own] for own in references]
    frequency: Counter[tuple[str, ...]] = Counter()
    for own in others:
        frequency.update({gram for other in own for order in _ORDERS for gram in ngrams(other, order)})
    size = math.log(max(1, len(references)))

    def weighted(text: Sequence[str], order: int) -> dict[tuple[str, ...], float]:
        return {g: n * (size - math.log(max(1, frequency[g]))) for g, n in ngrams(text, order).items()}

    scores = []
    for text, own in zip(tokens, others, strict=True):
        total = 0.0
        for other in own:
            penalty = math.exp(-((len(text) - len(other)) ** 2) / (2 * _SIGMA**2))
            for order in _ORDERS:
                mine, theirs = weighted(text, order), weighted(other, order)
                norm = math.sqrt(sum(v**2 for v in mine.values())) * math.sqrt(sum(v**2 for v in theirs.values()))
                dot = sum(min(value, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, value in mine.items())
                total += penalty * dot / norm if norm else 0.0
        scores.append(10 * total / (len(_ORDERS) * len(own)))
    return np.array(scores)


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for at, other in enumerate(second, start=1):
            row[at], before = (before + 1 if word == other else max(row[at], row[at - 1])), row[at]
    return row[-1]
