"""Image-text matching (ITM) with hard negatives."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.encoder import ITM_MATCH


@torch.no_grad()
def hard_negatives(
    similarity: Tensor, ids: Tensor, caption_keys: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one negative per row, in proportion to the softmax of its similarities.

    Args:
        similarity: float [B, B], logits.
        ids: int64 [B], ids of the tiles.
        caption_keys: int64 [B]; equal keys mean equal caption texts.
        generator: Random generator of the draws.

    Returns:
        int64 [B], index of the negative of each row; and bool [B], False where a row has no candidate that differs in
        both tile and caption. The index of such a row is 0 and must not be used.

    Raises:
        FloatingPointError: A similarity is infinite or no number.
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

    Args:
        matched: float [B, 2], logits of each true pair.
        wrong_image: float [B, 2], logits of each text with the tile of another.
        wrong_text: float [B, 2], logits of each tile with the text of another.
        valid_image: bool [B], False where no wrong tile was found.
        valid_text: bool [B], False where no wrong text was found.

    Returns:
        Float scalar, in nats.
    """
    logits = torch.cat([matched, wrong_image, wrong_text])
    mismatch = 1 - ITM_MATCH
    labels = torch.full((len(logits),), mismatch, dtype=torch.int64, device=logits.device)
    labels[: len(matched)] = ITM_MATCH
    weight = torch.cat([torch.ones_like(valid_image), valid_image, valid_text]).to(logits.dtype)
    return (F.cross_entropy(logits, labels, reduction="none") * weight).sum() / weight.sum()
