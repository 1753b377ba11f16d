"""Our encoder's own losses on the initial annotations, without the loop: what the losses bring by themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmark.baselines.recipes.base import Material
from benchmark.baselines.recipes.captions import Captions
from benchmark.baselines.recipes.pair_model import train_on_annotations
from benchmark.baselines.recipes.text import TextRecipe
from benchmark.baselines.text_tower import OpenedClauses
from model.encoder import SarEncoder


class NoLoop(TextRecipe):
    """Method `no_loop`."""

    name: ClassVar[str] = "no_loop"

    def train(self, material: Material) -> tuple[SarEncoder, str]:
        """Contrast, matching and clauses with the run's weights; no captioner, and labels are believed."""
        captions, objective = Captions(material.tiles, material.pretraining), {"reconstruction_weight": 0.0}
        model = train_on_annotations(material, captions, objective)
        return model.encoder, ""

    def opened(self, kept: Any, material: Material) -> OpenedClauses:
        """With its clause head."""
        captions = Captions(material.tiles, material.pretraining)
        return OpenedClauses(kept, captions.tokenizer, captions.schema)
