"""Everything a training step needs, as one module that an optimizer engine can wrap."""

import copy
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.storage.precision import Precision
from model.captioner import SarCaptioner
from model.clause_text import ClauseText
from model.config import ModelConfig
from model.encoder import SarEncoder
from model.losses.clause import clause_loss
from model.losses.itc import itc_loss
from model.losses.itm import hard_negatives, itm_loss
from model.losses.reconstruction import reconstruction_loss
from model.precision import computing_in, exactly
from model.queue import EmbeddingQueue


@dataclass
class Batch:
    """Tensors of B tiles. Captions and clause labels train the encoder, prompts and answers the captioner."""

    images: Tensor  # float32 [B, channels, H, W]
    tile_ids: Tensor  # int64 [B], not negative
    caption_ids: Tensor  # int64 [B, T], [CLS] caption [SEP], right-padded
    caption_mask: Tensor  # bool [B, T]
    caption_keys: Tensor  # int64 [B], equal for equal captions
    clause_labels: Tensor  # int64 [B, S], index of the value; losses.clause.UNKNOWN where it does not count
    input_ids: Tensor  # int64 [B, L], prompt and answer, right-padded
    attention_mask: Tensor  # bool [B, L]
    labels: Tensor  # int64 [B, L], the answer's tokens, losses.reconstruction.IGNORED elsewhere
    label_weights: Tensor | None = None  # float32 [B, L]

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device; what is None stays None."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items() if tensor is not None})


class LossReport(NamedTuple):
    """Scalars; the teacher's embeddings [B, embed_dim] are what `enqueue` takes after the step."""

    total: Tensor
    itc: Tensor
    itm: Tensor
    clause: Tensor
    reconstruction: Tensor
    slot: Tensor
    teacher_image: Tensor
    teacher_text: Tensor


class MomentumTeacher(nn.Module):
    """A slowly following copy of the encoder's unimodal parts; never trained by gradients."""

    def __init__(self, encoder: SarEncoder) -> None:
        super().__init__()
        self.vision = copy.deepcopy(encoder.vision)
        self.text = copy.deepcopy(encoder.text)
        self.vision_projection = copy.deepcopy(encoder.vision_projection)
        self.text_projection = copy.deepcopy(encoder.text_projection)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor, caption_ids: Tensor, caption_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tiles [B, 2, H, W] and captions [B, T] to unit vectors [B, embed_dim] of the images and of the texts."""
        image = self.vision_projection(self.vision.summary(self.vision(images)))
        text = self.text_projection(self.text.pool(self.text(caption_ids, caption_mask)[0], caption_mask))
        return F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)

    @torch.no_grad()
    def follow(self, encoder: SarEncoder, momentum: float) -> None:
        """Move every parameter by the share 1 - `momentum` of its distance to the encoder's."""
        source = dict(encoder.named_parameters())
        mine = list(self.named_parameters())
        theirs = [source[name].detach() for name, _ in mine]
        lerp = torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage]  # all at once, which has no public name
        lerp([value for _, value in mine], theirs, 1 - momentum)


class TrainingModel(nn.Module):
    """Encoder, its momentum teacher and queue, and the captioner.

    One step: `forward`, backward and optimizer step (the engine's), `momentum_update`, then `enqueue` with
    the teacher's embeddings of all ranks in a fixed order, so that the queue is the same on every rank.

    Attributes:
        precision: Of the towers' matrix products. Losses are computed in float32.
    """

    noise: list[Tensor]
    clause_names: Tensor
    clause_names_mask: Tensor
    clause_values: Tensor
    clause_values_mask: Tensor

    def __init__(
        self, encoder: SarEncoder, captioner: SarCaptioner, clause_text: ClauseText, config: ModelConfig
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.captioner = captioner
        self.objective = config.objective
        self.shared_vision = captioner.vision is encoder.vision
        self.teacher = MomentumTeacher(encoder)
        self.queue = EmbeddingQueue(config.objective.queue_size, config.encoder.embed_dim)
        captioner.add_readout(clause_text.sizes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.clause_sizes = clause_text.sizes
        for name in ("names", "names_mask", "values", "values_mask"):
            self.register_buffer(f"clause_{name}", getattr(clause_text, name), persistent=False)
        for slot, size in enumerate(clause_text.sizes):
            self.register_buffer(f"noise_{slot}", torch.eye(size))
        self.corrects_noise = False
        self.precision: Precision = "fp32"

    @classmethod
    def create(cls, config: ModelConfig, clause_text: ClauseText, tokenizer=None) -> "TrainingModel":
        """New, untrained models; torch's global seed decides the weights."""
        encoder = SarEncoder.from_sizes(config.encoder, len(clause_text.sizes), config.objective.temperature)
        captioner = SarCaptioner.from_sizes(
            config.captioner, len(clause_text.sizes), tokenizer, encoder.vision if config.share_vision else None
        )
        return cls(encoder, captioner, clause_text, config)

    @property
    def clause_text(self) -> ClauseText:
        """The tokens of the clauses' names and values, on the device of the model."""
        return ClauseText(
            self.clause_names,
            self.clause_names_mask,
            self.clause_values,
            self.clause_values_mask,
            self.clause_sizes,
        )

    def set_noise(self, noise: list[Tensor] | None) -> None:
        """Set the forward correction of the clause loss.

        Args:
            noise: per slot [V, V], noise[true, noted], rows summing to one; None is the identity.
        """
        self.corrects_noise = noise is not None
        for slot, size in enumerate(self.clause_sizes):
            getattr(self, f"noise_{slot}").copy_(torch.eye(size) if noise is None else noise[slot])

    def forward(self, batch: Batch, generator: torch.Generator) -> LossReport:
        """All losses of one micro-batch; `generator` (on the CPU) draws the hard negatives."""
        with computing_in(self.precision, batch.images.device):
            return self._losses(batch, generator)

    def _losses(self, batch: Batch, generator: torch.Generator) -> LossReport:
        encoder, weights = self.encoder, self.objective
        image_tokens = encoder.image_tokens(batch.images)
        image = encoder.embed_image(image_tokens)
        text, start = encoder.embed_text(batch.caption_ids, batch.caption_mask)
        teacher_image, teacher_text = self.teacher(batch.images, batch.caption_ids, batch.caption_mask)
        with exactly(image.device):
            itc = itc_loss(
                image,
                text,
                teacher_image,
                teacher_text,
                batch.tile_ids,
                self.queue.image,
                self.queue.text,
                self.queue.ids,
                encoder.temperature(),
                self._soft_weight(),
            )
        itm = self._itm(batch, image_tokens, image, text, start, generator)
        clause = self._clause(batch, encoder.clause_log_probabilities(image_tokens, self.clause_text))
        captioner = self.captioner
        prefix = captioner.project(image_tokens) if self.shared_vision else captioner.prefix(batch.images)
        rows = _first(batch.labels, weights.reconstruction_share)
        states = captioner.hidden_states(prefix[rows], batch.input_ids[rows])
        reconstruction = reconstruction_loss(
            states,
            captioner.decoder.lm_head,
            batch.labels[rows],
            None if batch.label_weights is None else batch.label_weights[rows],
        )
        slot = reconstruction.new_zeros(())
        if captioner.readout is not None:
            slot = self._clause(batch, captioner.readout(prefix[:, -len(self.clause_sizes) :]))
        total = (
            weights.itc_weight * itc
            + weights.itm_weight * itm
            + weights.clause_weight * clause
            + weights.reconstruction_weight * reconstruction
            + weights.slot_weight * slot
        )
        return LossReport(total, itc, itm, clause, reconstruction, slot, teacher_image, teacher_text)

    def momentum_update(self) -> None:
        """Moves the teacher towards the encoder; call once after each optimizer step."""
        self.teacher.follow(self.encoder, self.objective.momentum)
        self.steps += 1

    def enqueue(self, image: Tensor, text: Tensor, ids: Tensor) -> None:
        """Adds teacher embeddings [B, embed_dim] and tile ids int64 [B] of one step."""
        self.queue.push(image, text, ids)

    def _clause(self, batch: Batch, log_probabilities: list[Tensor]) -> Tensor:
        noise = None
        if self.corrects_noise:
            noise = [getattr(self, f"noise_{slot}") for slot in range(len(self.clause_sizes))]
        with exactly(batch.clause_labels.device):
            return clause_loss(log_probabilities, batch.clause_labels, self.objective.clause_label_smoothing, noise)

    def _soft_weight(self) -> float:
        warmup = self.objective.soft_target_warmup_steps
        ramp = 1.0 if warmup == 0 else min(1.0, int(self.steps) / warmup)
        return self.objective.soft_target_weight * ramp

    def normalisation_layers(self) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
        """Layers whose running statistics follow the data that a rank has seen. Each runs once in `forward`."""
        return [module for module in self.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]

    def _itm(
        self,
        batch: Batch,
        image_tokens: Tensor,
        image: Tensor,
        text: Tensor,
        start: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        with torch.no_grad(), exactly(image.device):
            similarity = image @ text.T / self.encoder.temperature()
        other_image, valid_image = hard_negatives(similarity.T, batch.tile_ids, batch.caption_keys, generator)
        other_text, valid_text = hard_negatives(similarity, batch.tile_ids, batch.caption_keys, generator)
        rows = _first(start, self.objective.itm_share)
        other_image, other_text = other_image[rows], other_text[rows]
        # One fused pass over the three kinds of pairs.
        mask = batch.caption_mask
        logits = self.encoder.match_logits(
            torch.cat([start[rows], start[rows], start[other_text]]),
            torch.cat([mask[rows], mask[rows], mask[other_text]]),
            torch.cat([image_tokens[rows], image_tokens[other_image], image_tokens[rows]]),
        )
        matched, wrong_image, wrong_text = logits.chunk(3)
        return itm_loss(matched, wrong_image, wrong_text, valid_image[rows], valid_text[rows])


def _first(rows: Tensor, share: float) -> slice:
    """The first `share` of the rows, at least one.

    Micro-batches come shuffled, so it is a fair part of them.
    """
    return slice(0, max(1, round(share * len(rows))))
