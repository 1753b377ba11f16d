"""What recipes share that learn from tiles and captions: the kept encoder, and how it is opened."""

from __future__ import annotations

from typing import Any

from benchmark.baselines.recipes.base import Material, TrainedRecipe
from benchmark.baselines.recipes.captions import Captions
from benchmark.baselines.text_tower import OpenedPairs
from model.encoder import SarEncoder


class TextRecipe(TrainedRecipe):
    """A recipe whose weights are an encoder of ours, vision and text."""

    def empty(self, material: Material) -> SarEncoder:
        """The encoder."""
        return new_encoder(material)

    def opened(self, kept: Any, material: Material) -> OpenedPairs:
        """With the tokenizer of the corpus's schema."""
        captions = Captions(material.tiles, material.pretraining)
        return OpenedPairs(kept, captions.tokenizer, captions.schema)


def new_encoder(material: Material) -> SarEncoder:
    """An encoder of the compared sizes with new weights."""
    model, schema = material.pretraining.model, material.tiles.initial.schema
    return SarEncoder.from_sizes(model.encoder, len(schema), model.objective.temperature)
