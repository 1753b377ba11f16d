"""Image-text matching (ITM) with hard negatives."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.encoder import ITM_MATCH


@torch.no_grad()
def hard_negatives(
    similarity: Tensor, ids: Tensor, caption_keys: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws one negative per row in proportion to the softmax of its similarity.

    similarity: logits [B, B]; ids, caption_keys: int64 [B], equal keys mean equal caption texts.
    Returns int64 indices [B] and bool [B]: false where a row has no candidate that differs in both tile and
    caption (its index is then 0 and must not be used).

    Raises:
        FloatingPointError: a similarity is infinite or no number.
    """
    if not torch.isfinite(similarity).all():
        raise FloatingPointError("the similarity of images and texts")
    forbidden = (ids[:, None] == ids[None, :]) | (caption_keys[:, None] == caption_keys[None, :])
    valid = ~forbidden.all(1)
    weights = similarity.float().masked_fill(forbidden, float("-inf"))
    # Rows without a candidate get an arbitrary one, to keep the softmax defined.
    weights = torch.where(valid[:, None], weights, torch.zeros_like(weights)).softmax(1)
    # A probability that underflows to zero everywhere cannot happen: the softmax sums to one over the allowed
    # ones.
    drawn = torch.multinomial(weights.cpu(), 1, generator=generator).squeeze(1).to(similarity.device)
    return torch.where(valid, drawn, torch.zeros_like(drawn)), valid


def itm_loss(
    matched: Tensor, wrong_image: Tensor, wrong_text: Tensor, valid_image: Tensor, valid_text: Tensor
) -> Tensor:
    """Mean cross-entropy over the matched pairs and the valid negatives.

    matched, wrong_image, wrong_text: logits [B, 2] of the true pair, of the text with a wrong tile, of the
    tile with a wrong text; valid_image, valid_text: bool [B], false where no negative was found.
    """
    logits = torch.cat([matched, wrong_image, wrong_text])
    mismatch = 1 - ITM_MATCH
    labels = torch.full((len(logits),), mismatch, dtype=torch.int64, device=logits.device)
    labels[: len(matched)] = ITM_MATCH
    weight = torch.cat([torch.ones_like(valid_image), valid_image, valid_text]).to(logits.dtype)
    return (F.cross_entropy(logits, labels, reduction="none") * weight).sum() / weight.sum()
