"""How many parameters a configuration makes, by arithmetic: known before torch is imported."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.config import CaptionerConfig, EncoderConfig, ModelConfig, TextConfig, VisionConfig


@dataclass(frozen=True)
class ModelSize:
    """Numbers of parameters, and what lies beside them.

    Attributes:
        trained: Of encoder and captioner together; a shared vision tower counts once.
        encoder: Of the encoder alone.
        captioner: Of the captioner alone.
        teacher: Of the momentum teacher, which is not trained.
        queue_bytes: Size of the queue of embeddings.
    """

    trained: int
    encoder: int
    captioner: int
    teacher: int
    queue_bytes: int

    @property
    def weights_bytes(self) -> int:
        """Of a round's weights on disk, in float32."""
        return 4 * (self.encoder + self.captioner)

    @property
    def model_bytes(self) -> int:
        """Of what is held by a worker that trains: the models, the teacher and the queue, in float32."""
        return 4 * (self.trained + self.teacher) + self.queue_bytes

    @property
    def optimiser_bytes(self) -> int:
        """Of the optimiser's own weights and its two moments, in float32, which ZeRO spreads over the workers."""
        return 12 * self.trained

    @property
    def checkpoint_bytes(self) -> int:
        """Of one checkpoint of the trainer on disk."""
        return self.model_bytes + self.optimiser_bytes


def model_size(config: ModelConfig, values: Sequence[int]) -> ModelSize:
    """Count the parameters of a model.

    Args:
        config: The sizes.
        values: Number of values of each clause of the annotation schema.
    """
    encoder, captioner = _encoder(config.encoder, len(values)), _captioner(config.captioner, len(values))
    if config.captioner.slot_tokens:  # what reads them
        captioner += sum(values) * (config.captioner.width + 1)
    shared = _vision(config.captioner.vision) if config.share_vision else 0
    vision, text, width = config.encoder.vision, config.encoder.text, config.encoder.embed_dim
    teacher = (
        _vision(vision)
        + _text(text, vision.width)
        + _linear(_summary_width(vision), width)
        + _linear(text.width, width)
    )
    queue = config.objective.queue_size * (2 * 4 * width + 8)
    return ModelSize(encoder + captioner - shared, encoder, captioner, teacher, queue)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _attention(width: int) -> int:
    """Queries, keys, values and what joins the heads."""
    return 4 * _linear(width, width)


def _summary_width(vision: VisionConfig) -> int:
    return vision.width if vision.summary == "mean" else vision.summary_width


def _vision(vision: VisionConfig) -> int:
    width = vision.width
    stem, channels = 0, vision.channels
    if vision.stem == "patch":
        stem = _linear(channels * vision.patch_size_px**2, width)
    else:
        for out, stride, blocks in zip(vision.stem_channels, vision.stem_strides, vision.stem_blocks, strict=True):
            stem += channels * out * (2 * stride - 1) ** 2 + 2 * out + blocks * (2 * 9 * out * out + 4 * out)
            channels = out
        stem += _linear(channels, width) if channels != width else 0
    layer = _attention(width) + _linear(width, vision.intermediate) + _linear(vision.intermediate, width) + 4 * width
    summary = 18 * width * vision.summary_width + 2 * vision.summary_width if vision.summary == "spatial" else 0
    return stem + vision.grid**2 * width + vision.depth * layer + (2 * width if vision.depth else 0) + summary


def _text(text: TextConfig, image_width: int) -> int:
    width = text.width
    embeddings = (text.vocab_size + text.max_tokens + 1 + 2) * width
    layer = _attention(width) + _linear(width, text.intermediate) + _linear(text.intermediate, width) + 4 * width
    crossed = (text.depth - text.fusion_start) * (_attention(width) + 2 * width)
    return embeddings + text.depth * layer + crossed + _linear(image_width, width)


def _encoder(encoder: EncoderConfig, clauses: int) -> int:
    vision, text, width = encoder.vision, encoder.text, encoder.embed_dim
    summary = _summary_width(vision)
    head = (
        _linear(width, width)
        + _linear(vision.width, 2 * width)
        + 2 * width
        + _linear(2 * width, width)
        + _linear(width, width)
        + _linear(width, summary)
        + _linear(summary, width)
        + clauses
    )
    projections = _linear(summary, width) + _linear(text.width, width) + 1 + _linear(text.width, 2)
    return _vision(vision) + _text(text, vision.width) + projections + head


def _captioner(captioner: CaptionerConfig, clauses: int) -> int:
    vision, width = captioner.vision, captioner.width
    keys = width * captioner.key_value_heads // captioner.heads
    layer = 2 * width * width + 2 * width * keys + 3 * width * captioner.intermediate + 2 * width
    decoder = 2 * captioner.vocab_size * width + captioner.depth * layer + width
    projector = 2 * vision.width + _linear(vision.width, width) + _linear(width, width)
    slots = 0
    if captioner.slot_tokens:
        slots = clauses * width + _linear(vision.width, 2 * width) + 2 * width + 2 * _linear(width, width)
        slots += _linear(_summary_width(vision), clauses * width)
    return _vision(vision) + decoder + projector + slots
