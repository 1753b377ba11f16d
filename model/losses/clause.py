"""Clause contrast: each slot's value against the other values of its vocabulary, zero-shot."""

from collections.abc import Sequence

import torch
from torch import Tensor

UNKNOWN = -100
"""Label of a slot that does not count, because its clause is no training target."""


def clause_loss(
    log_probabilities: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0, noise: Sequence[Tensor] | None = None
) -> Tensor:
    """Mean cross-entropy over all known labels.

    Args:
        log_probabilities: Per slot float [B, V], logarithm of the probability of each value.
        labels: int64 [B, S], indices of the annotated values; UNKNOWN where a slot does not count.
        smoothing: Share of a label's weight, in [0, 1], that is distributed evenly over the slot's values.
        noise: Forward correction: per slot float [V, V], probability of each annotation, rows true, columns annotated.
            The model learns the true values, while the loss compares annotations. None corrects nothing.

    Returns:
        Float scalar, in nats; zero without known labels.
    """
    total, count = log_probabilities[0].new_zeros(()), 0
    for slot, scores in enumerate(log_probabilities):
        if noise is not None:
            scores = (scores.exp() @ noise[slot].to(scores)).clamp_min(1e-8).log()
        label = labels[:, slot]
        known = label != UNKNOWN
        own = scores.gather(1, label.clamp_min(0)[:, None]).squeeze(1)
        value = (1 - smoothing) * own + smoothing * scores.mean(1)
        # Multiplying keeps every parameter in the graph even when a slot has no known label.
        total = total - torch.where(known, value, torch.zeros_like(value)).sum()
        count = count + known.sum()
    return total / torch.clamp(torch.as_tensor(count, device=total.device), min=1)
