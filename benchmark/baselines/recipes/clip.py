"""CLIP: every tile is to be nearer to its caption than to those of the other tiles, and the reverse.

Radford et al.: "Learning transferable visual models from natural language supervision", ICML 2021. Captions are short
lists of few words, so several tiles of a batch often have the same one: all of them are right.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from benchmark.baselines.recipes.base import Material
from benchmark.baselines.recipes.captions import Captions
from benchmark.baselines.recipes.text import TextRecipe, new_encoder
from benchmark.baselines.recipes.views import changed, drawn_symmetries
from model.encoder import SarEncoder
from model.losses.itc import itc_targets


class Clip(TextRecipe):
    """Method `clip`."""

    name: ClassVar[str] = "clip"

    def train(self, material: Material) -> tuple[SarEncoder, str]:
        """Symmetric cross-entropy within a batch."""
        captions, config = Captions(material.tiles, material.pretraining), material.config

        def loss_of(encoder: SarEncoder, rows: Tensor, images: Tensor) -> Tensor:
            turns = drawn_symmetries(len(rows), config.views, material.tiles.turns)
            batch = captions.encoded(captions.texts(rows, turns))
            image = encoder.embed_image(encoder.image_tokens(changed(images, config.views, turns)))
            text, _ = encoder.embed_text(batch.ids, batch.mask)
            return contrast(image @ text.T / encoder.temperature(), batch.keys)

        encoder = material.fit(lambda: new_encoder(material), loss_of)
        assert isinstance(encoder, SarEncoder)
        return encoder, ""


def contrast(logits: Tensor, keys: Tensor) -> Tensor:
    """Mean cross-entropy of images to texts and of texts to images, in nats.

    Args:
        logits: float [B, B], images by texts.
        keys: int64 [B], equal for pairs whose texts say the same.
    """
    targets = itc_targets(keys, keys, logits.detach(), 0.0)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
