"""An encoder of pairs with its teacher and queue, and maybe a captioner: what BLIP and our own losses train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.baselines.recipes.base import Material
from benchmark.baselines.recipes.captions import CaptionBatch, Captions
from benchmark.baselines.recipes.views import changed, drawn_symmetries
from hcot_llm.text.render import clause_sentences
from model.clause_text import ClauseText
from model.config import ModelConfig
from model.losses.itc import itc_loss
from model.losses.reconstruction import answer_labels, reconstruction_loss
from model.training import Batch, TrainingModel


@dataclass(frozen=True)
class Pairs:
    """B tiles and their captions.

    Attributes:
        rows: int64 [B], which training tiles they are.
        images: float32 [B, channels, S, S], as they are shown.
        captions: their captions.
        labels: int64 [B, clauses], indices of the values of the annotations.
    """

    rows: Tensor
    images: Tensor
    captions: CaptionBatch
    labels: Tensor


class PairModel(TrainingModel):
    """The loop's training model without prompts: captions are reconstructed; losses of weight 0 are left out."""

    _seen: tuple[Tensor, Tensor, Tensor] | None = None

    def pair_loss(self, pairs: Pairs, tokenizer: Any) -> Tensor:
        """The weighted sum of contrast, matching, clauses and captioning; draws come from torch's global generator.

        It first moves the teacher and fills the queue by what the step before has changed and seen.
        """
        if self._seen is not None:
            self.momentum_update()
            self.enqueue(*self._seen)
        encoder, weights, captions = self.encoder, self.objective, pairs.captions
        tokens = encoder.image_tokens(pairs.images)
        image = encoder.embed_image(tokens)
        text, start = encoder.embed_text(captions.ids, captions.mask)
        slow_image, slow_text = self.teacher(pairs.images, captions.ids, captions.mask)
        self._seen = (slow_image, slow_text, pairs.rows)
        queue, heat = self.queue, encoder.temperature()
        total = weights.itc_weight * itc_loss(
            *(image, text, slow_image, slow_text, pairs.rows),
            *(queue.image, queue.text, queue.ids, heat, self._soft_weight()),
        )
        batch = self._batch(pairs, tokenizer)
        if weights.itm_weight:
            total = total + weights.itm_weight * self._itm(batch, tokens, image, text, start, torch.default_generator)
        if weights.clause_weight:
            said = encoder.clause_log_probabilities(tokens, self.clause_text)
            total = total + weights.clause_weight * self._clause(batch, said)
        if weights.reconstruction_weight:
            states = self.captioner.hidden_states(self.captioner.project(tokens), batch.input_ids)
            head = self.captioner.decoder.lm_head
            total = total + weights.reconstruction_weight * reconstruction_loss(states, head, batch.labels)
        return total

    def _batch(self, pairs: Pairs, tokenizer: Any) -> Batch:
        captions = pairs.captions
        if self.objective.reconstruction_weight:
            answers = decoder_answers(self, tokenizer, captions.texts)
            begins = [[tokenizer.bos_token_id]] * len(answers)
            input_ids, mask, labels = answer_labels(begins, answers, tokenizer.pad_token_id)
        else:
            input_ids = mask = labels = captions.ids
        return Batch(
            images=pairs.images,
            tile_ids=pairs.rows,
            caption_ids=captions.ids,
            caption_mask=captions.mask,
            caption_keys=captions.keys,
            clause_labels=pairs.labels,
            input_ids=input_ids,
            attention_mask=mask,
            labels=labels,
        )


def decoder_answers(model: PairModel, tokenizer: Any, texts: Any) -> list[list[int]]:
    """Each text as the decoder is to write it: its tokens and the end, cut to what the decoder has room for."""
    room = model.captioner.config.typed().max_tokens - model.captioner.prefix_tokens - 2
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[*each[:room], tokenizer.eos_token_id] for each in ids]


def new_pair_model(model: ModelConfig, captions: Captions, objective: dict[str, float]) -> PairModel:
    """New weights of the sizes of a run, one tower for encoder and captioner.

    Args:
        model: the run's sizes and objective.
        captions: with the schema and the tokenizer.
        objective: weights of losses in place of the run's; those that are not 0 are computed.
    """
    sizes = model.model_dump()
    sizes["captioner"] |= {"vision": sizes["encoder"]["vision"], "slot_tokens": False}
    sizes["objective"] |= {"slot_weight": 0.0, **objective}
    config = ModelConfig.model_validate({**sizes, "share_vision": True})
    text = ClauseText.from_texts(captions.tokenizer, *clause_sentences(captions.schema))
    made = PairModel.create(config, text, captions.tokenizer)
    assert isinstance(made, PairModel)
    return made


def train_on_annotations(material: Material, captions: Captions, objective: dict[str, float]) -> PairModel:
    """Train a new model on the initial annotations, tiles and their locations turned along; all passes of `material`.

    Args:
        material: tiles, sizes and passes.
        captions: of the tiles.
        objective: as `new_pair_model`.
    """
    views, allowed = material.config.views, material.tiles.turns

    def loss_of(model: PairModel, rows: Tensor, images: Tensor) -> Tensor:
        turns = drawn_symmetries(len(rows), views, allowed)
        batch = captions.encoded(captions.texts(rows, turns))
        seen = changed(images, views, turns)
        return model.pair_loss(Pairs(rows, seen, batch, captions.labels(rows, turns)), captions.tokenizer)

    model = material.fit(lambda: new_pair_model(material.pretraining.model, captions, objective), loss_of)
    assert isinstance(model, PairModel)
    return model
