"""Slot reconstruction: the decoder answers the masked slots.

Prompts and templates stay visible and are never predicted.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORED = -100


def answer_labels(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Prompts and answers as one right-padded batch.

    Args:
        prompts: B lists of token ids.
        answers: B lists of token ids.
        pad: token id of the padding.

    Returns:
        input_ids int64 [B, L]; attention_mask bool [B, L]; labels int64 [B, L], the answer's tokens at their own
        positions and IGNORED elsewhere.
    """
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    length = max(map(len, rows))
    input_ids = torch.full((len(rows), length), pad, dtype=torch.int64)
    labels = torch.full((len(rows), length), IGNORED, dtype=torch.int64)
    mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for index, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        ids = torch.tensor(row, dtype=torch.int64)
        input_ids[index, : len(row)] = ids
        labels[index, len(prompt) : len(row)] = ids[len(prompt) :]
        mask[index, : len(row)] = True
    return input_ids, mask, labels


def reconstruction_loss(states: Tensor, head: nn.Module, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean of the next-token cross-entropy over the answers; zero when no token is to be predicted.

    Args:
        states: float [B, L, width]; those at position t predict the token at t + 1.
        head: states to vocabulary logits, applied only where a token is predicted.
        labels: int64 [B, L], IGNORED where nothing is predicted.
        weights: float32 [B, L], weight of each token; zero leaves a token out. None: all are one.

    Returns:
        Float scalar, in nats.
    """
    targets = labels[:, 1:]
    predicted = targets != IGNORED
    logits = head(states[:, :-1][predicted])
    if logits.shape[0] == 0:
        return states.sum() * 0.0 + logits.sum() * 0.0  # so that the head has a gradient, too
    losses = F.cross_entropy(logits.float(), targets[predicted], reduction="none")
    if weights is None:
        return losses.mean()
    weight = weights[:, 1:][predicted].to(losses.dtype)
    return (losses * weight).sum() / weight.sum().clamp_min(1e-8)
