"""BLIP: contrast, matching and captioning on one tower; with CapFilt also on captions that it writes and filters.

Li et al.: "BLIP: bootstrapping language-image pre-training for unified vision-language understanding and generation",
ICML 2022. Contrast with a momentum teacher and a queue, matching with hard negatives. BLIP tunes captioner and filter
on captions by people before it bootstraps; here are none, so both are what the first passes came to, and training goes
on from there. After so few passes the matching head finds hardly any pair more probable than not, and would keep
nothing: a caption is kept that it finds more probable than most captions of other tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from benchmark.baselines.recipes.base import Material
from benchmark.baselines.recipes.captions import Captions
from benchmark.baselines.recipes.config import CapFiltConfig
from benchmark.baselines.recipes.pair_model import PairModel, Pairs, decoder_answers, train_on_annotations
from benchmark.baselines.recipes.text import TextRecipe
from benchmark.baselines.recipes.views import changed, drawn_symmetries
from benchmark.baselines.training import fit
from corpus.storage.rng import derive_seed
from model.encoder import SarEncoder
from model.score import Scorer

_OBJECTIVE = {"itc_weight": 1.0, "itm_weight": 1.0, "clause_weight": 0.0, "reconstruction_weight": 1.0}
_BATCH = 64


class Blip(TextRecipe):
    """Method `blip`."""

    name: ClassVar[str] = "blip"

    def train(self, material: Material) -> tuple[SarEncoder, str]:
        """All passes on the initial annotations."""
        captions = Captions(material.tiles, material.pretraining)
        return train_on_annotations(material, captions, _OBJECTIVE).encoder, ""


class BlipCapFilt(TextRecipe):
    """Method `blip_capfilt`."""

    name: ClassVar[str] = "blip_capfilt"

    def train(self, material: Material) -> tuple[SarEncoder, str]:
        """Some passes on the initial annotations, then as many tiles as are left on what the filter keeps."""
        config, captions = material.config, Captions(material.tiles, material.pretraining)
        assert isinstance(config, CapFiltConfig)
        passes, count = material.pretraining.passes, len(material.tiles.initial)
        first = min(passes, max(1, round(config.first_share * passes)))
        begun = replace(material, pretraining=replace(material.pretraining, passes=first))
        model = train_on_annotations(begun, captions, _OBJECTIVE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(material.seed, "captions"))
            written = write_captions(model, captions, material.images, config.top_p)
            still = torch.zeros(count, dtype=torch.int64)
            initial = captions.texts(torch.arange(count), still)
        wrong = match_probabilities(model, captions, material.images, [*initial[1:], initial[0]])
        least = float(np.quantile(wrong, config.filter_quantile))
        keeps_initial, keeps_written = (
            match_probabilities(model, captions, material.images, texts) > least for texts in (initial, written)
        )
        # (tile, its written caption); None stands for the initial annotation, in any wording.
        pairs: list[tuple[int, str | None]] = [(row, None) for row in range(count) if keeps_initial[row]]
        pairs += [(row, written[row]) for row in range(count) if keeps_written[row]]
        note = f"of {count} captions {keeps_initial.sum()} and of {count} written ones {keeps_written.sum()} kept"
        if len(pairs) >= 2 and passes > first:
            model = self._second(material, captions, model, pairs, (passes - first) * count)
        return model.encoder, note

    def _second(
        self, material: Material, captions: Captions, model: PairModel, pairs: list[tuple[int, str | None]], seen: int
    ) -> PairModel:
        """Go on with pairs until so many tiles were seen. A written caption is of the tile as it lies."""
        config, own = material.config, torch.tensor([row for row, _ in pairs])

        def loss_of(model: Any, chosen: Tensor, images: Tensor) -> Tensor:
            rows = own[chosen]
            texts = [pairs[each][1] for each in chosen.tolist()]
            turns = drawn_symmetries(len(rows), config.views, material.tiles.turns)
            turns = torch.where(torch.tensor([text is None for text in texts]), turns, torch.zeros_like(turns))
            drawn = captions.texts(rows, turns)
            batch = captions.encoded([text or mine for text, mine in zip(texts, drawn, strict=True)])
            shown = changed(images, config.views, turns)
            return model.pair_loss(Pairs(rows, shown, batch, captions.labels(rows, turns)), captions.tokenizer)

        batch = min(config.batch, len(pairs))
        plan = replace(material.plan, batch=batch, epochs=max(1, round(seen / len(pairs))))
        trained = fit(lambda: model, material.images[own], loss_of, plan, derive_seed(material.seed, "second"))
        assert isinstance(trained, PairModel)
        return trained


@torch.no_grad()
def write_captions(model: PairModel, captions: Captions, images: Tensor, top_p: float) -> list[str]:
    """A caption of each tile by the decoder, drawn from torch's global generator.

    Args:
        model: in evaluation mode.
        captions: with the tokenizer; none gets longer than those of the first tiles.
        images: float [N, channels, S, S].
        top_p: draws are from the likeliest tokens of so much probability.
    """
    captioner, tokenizer = model.captioner, captions.tokenizer
    few = torch.arange(min(_BATCH, len(images)))
    like = captions.texts(few, torch.zeros_like(few))
    longest = max(map(len, decoder_answers(model, tokenizer, like)))
    begin = captioner.decoder.get_input_embeddings()(torch.tensor([[tokenizer.bos_token_id]]))
    decoder: Any = captioner.decoder
    found: list[str] = []
    for part in images.split(_BATCH):
        prefix = captioner.prefix(part.float())
        given = torch.cat([prefix, begin.expand(len(prefix), -1, -1)], dim=1)
        said = decoder.generate(
            inputs_embeds=given,
            attention_mask=torch.ones(given.shape[:2], dtype=torch.int64),
            do_sample=True,
            top_p=top_p,
            max_new_tokens=longest,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        found += [text.strip() for text in tokenizer.batch_decode(said, skip_special_tokens=True)]
    return found


def match_probabilities(model: PairModel, captions: Captions, images: Tensor, texts: Sequence[str]) -> np.ndarray:
    """How probable the matching head finds it that each caption is of its tile, float64 [N]; an empty one is not."""
    scorer = Scorer(model.encoder, captions.tokenizer)
    found: list[float] = []
    for start in range(0, len(texts), _BATCH):
        tokens = scorer.image_tokens(images[start : start + _BATCH].float())
        part = texts[start : start + _BATCH]
        _, probabilities = scorer.agreement(tokens, [[text] for text in part])
        found += [float(each) if text else 0.0 for text, each in zip(part, probabilities, strict=True)]
    return np.array(found)
