"""Image-text contrast (ITC) with a momentum teacher and queues, as in ALBEF and BLIP."""

import torch
from torch import Tensor
from torch.nn import functional as F

EMPTY = -1
"""Tile id of a queue entry that was never filled."""


def itc_targets(ids: Tensor, candidate_ids: Tensor, teacher_logits: Tensor, soft_weight: float) -> Tensor:
    """Target probabilities, float [B, C], rows summing to one.

    All candidates of the same tile share the hard part of a row; the teacher's softmax is the rest.

    Args:
        ids: tile ids of the batch, int64 [B].
        candidate_ids: tile ids of the candidates, int64 [C]; EMPTY for candidates that do not count.
        teacher_logits: float [B, C].
        soft_weight: the teacher's share, in [0, 1].
    """
    hard = (ids[:, None] == candidate_ids[None, :]).to(teacher_logits.dtype)
    hard = hard / hard.sum(1, keepdim=True)
    if soft_weight == 0:
        return hard
    return soft_weight * _mask_empty(teacher_logits, candidate_ids).softmax(1) + (1 - soft_weight) * hard


def itc_loss(
    image: Tensor,
    text: Tensor,
    teacher_image: Tensor,
    teacher_text: Tensor,
    ids: Tensor,
    queue_image: Tensor,
    queue_text: Tensor,
    queue_ids: Tensor,
    temperature: Tensor,
    soft_weight: float,
) -> Tensor:
    """Mean of the image-to-text and text-to-image cross-entropies.

    Args:
        image: unit vectors of the student, float [B, E].
        text: unit vectors of the student, float [B, E].
        teacher_image: unit vectors of the teacher, float [B, E].
        teacher_text: unit vectors of the teacher, float [B, E].
        ids: tile ids, int64 [B].
        queue_image: unit vectors of earlier teachers, float [Q, E].
        queue_text: unit vectors of earlier teachers, float [Q, E].
        queue_ids: tile ids of the queue, int64 [Q]; EMPTY where it was never filled.
        temperature: float scalar that divides cosines.
        soft_weight: the teacher's share of the targets, in [0, 1].

    Returns:
        Float scalar, in nats.
    """
    all_ids = torch.cat([ids, queue_ids])
    all_image = torch.cat([teacher_image, queue_image]).detach()
    all_text = torch.cat([teacher_text, queue_text]).detach()
    loss = image.new_zeros(())
    for student, teacher, candidates in ((image, teacher_image, all_text), (text, teacher_text, all_image)):
        with torch.no_grad():
            targets = itc_targets(ids, all_ids, teacher @ candidates.T / temperature, soft_weight)
        log_probabilities = F.log_softmax(_mask_empty(student @ candidates.T / temperature, all_ids), dim=1)
        loss = loss - (targets * log_probabilities).sum(1).mean() / 2
    return loss


def _mask_empty(logits: Tensor, candidate_ids: Tensor) -> Tensor:
    # A large finite value: minus infinity times a zero target would be NaN.
    return logits.masked_fill(candidate_ids[None, :] == EMPTY, -1e4)
