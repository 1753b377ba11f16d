"""Clause contrast: each slot's value against the other values of its vocabulary, zero-shot."""

from collections.abc import Sequence

import torch
from torch import Tensor

UNKNOWN = -100
"""Label of a slot that does not count (a clause in doubt)."""


def clause_loss(
    log_probabilities: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0, noise: Sequence[Tensor] | None = None
) -> Tensor:
    """Mean cross-entropy over all known labels; zero when there are none.

    log_probabilities: one [B, V_slot] per slot; labels: int64 [B, S], UNKNOWN where a slot does not count.
    smoothing: share of a label's weight spread evenly over the slot's values.
    noise: forward correction, per slot [V, V] with noise[true, noted] the probability that a true value is
    noted as
    another: the model then learns the true values while the loss compares what would be noted.
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
