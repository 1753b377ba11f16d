"""Sizes and objectives of the models, read from YAML (configs/model/*.yaml)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from corpus.storage.models import FrozenModel
from corpus.storage.yaml import load_yaml


class VisionConfig(FrozenModel):
    """A stem that turns pixels into a grid of tokens, then ViT layers."""

    image_size_px: int = Field(default=128, gt=0)
    channels: int = Field(
        default=2,
        gt=0,
        description="input bands: co- and cross-polarised; a single polarisation fills both (docs/input.md)",
    )
    stem: Literal["patch", "convolution"] = "convolution"
    patch_size_px: int = Field(default=16, gt=0, description="stem 'patch': side of one patch")
    stem_channels: tuple[int, ...] = Field(
        default=(32, 64), description="stem 'convolution': width of each convolution"
    )
    stem_strides: tuple[int, ...] = Field(default=(4, 2), description="stem 'convolution': stride of each convolution")
    stem_blocks: tuple[int, ...] = Field(default=(0, 0), description="residual blocks after each strided convolution")
    width: int = Field(default=128, gt=0)
    depth: int = Field(default=2, ge=0)
    heads: int = Field(default=4, gt=0)
    intermediate: int = Field(default=256, gt=0)
    activation: str = "gelu_pytorch_tanh"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    summary: Literal["mean", "spatial"] = Field(
        default="mean",
        description="one vector per tile: the mean token, or a layer on mean, maximum and a 4x4 grid of them",
    )
    summary_width: int = Field(default=256, gt=0, description="summary 'spatial': its width")
    pretrained: str | None = Field(
        default=None,
        description="a run starts this tower from one of the same size: what `knowlip pretrain` wrote, a vision "
        "transformer of timm or Hugging Face in a folder or file here, or a name that the Hugging Face cache "
        "holds (docs/input.md); null: untrained",
    )

    @property
    def stride(self) -> int:
        """Pixels per token along a side."""
        if self.stem == "patch":
            return self.patch_size_px
        product = 1
        for stride in self.stem_strides:
            product *= stride
        return product

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.image_size_px // self.stride

    def without_pretrained(self) -> "VisionConfig":
        """The sizes alone."""
        return self.model_copy(update={"pretrained": None})

    @model_validator(mode="after")
    def _consistent(self) -> "VisionConfig":
        if not len(self.stem_channels) == len(self.stem_strides) == len(self.stem_blocks):
            raise ValueError("stem_channels, stem_strides and stem_blocks must have the same length")
        if self.image_size_px % self.stride:
            raise ValueError(f"image_size_px={self.image_size_px} is not a multiple of the stem's stride {self.stride}")
        if self.summary == "spatial" and self.grid % 4:
            raise ValueError(f"summary 'spatial' needs a grid whose side is a multiple of 4, not {self.grid}")
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is not a multiple of heads={self.heads}")
        return self


class TextConfig(FrozenModel):
    """A BERT-like text encoder whose last layers can attend to image tokens.

    The text alone passes layers [0, unimodal_depth); fusion starts from the output of layer fusion_start - 1
    and passes [fusion_start, depth) with cross-attention. BLIP: unimodal_depth = depth and fusion_start = 0
    (shared layers).
    ALBEF: unimodal_depth = fusion_start = depth / 2, which runs the text-only part once for all fusion
    passes.
    """

    vocab_size: int = Field(default=1024, gt=0)
    max_tokens: int = Field(default=256, gt=0)
    width: int = Field(default=96, gt=0)
    depth: int = Field(default=2, gt=0)
    unimodal_depth: int = Field(default=1, ge=0)
    fusion_start: int = Field(default=1, ge=0)
    heads: int = Field(default=4, gt=0)
    intermediate: int = Field(default=192, gt=0)
    activation: str = "gelu_pytorch_tanh"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    pooling: Literal["cls", "mean"] = Field(
        default="cls", description="text embedding: the [CLS] state, or the mean of all tokens"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TextConfig":
        if self.unimodal_depth > self.depth or not self.fusion_start < self.depth:
            raise ValueError("unimodal_depth must be at most depth, and fusion_start less than depth")
        if self.fusion_start > self.unimodal_depth:
            raise ValueError("fusion_start must be at most unimodal_depth: fusion reuses the text-only pass")
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is not a multiple of heads={self.heads}")
        return self


class EncoderConfig(FrozenModel):
    """Vision tower, text tower and the space that both are projected into."""

    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    embed_dim: int = Field(default=128, gt=0)
    clause_heads: int = Field(default=4, gt=0, description="attention heads of the clause-query pooling")


class CaptionerConfig(FrozenModel):
    """Own vision tower, projector and Llama decoder."""

    vision: VisionConfig = VisionConfig()
    prefix_tokens: int = Field(
        default=16, gt=0, description="pooled image tokens before the text: a square number, at most grid^2"
    )
    slot_tokens: bool = Field(
        default=True, description="image tokens after those, one asked for each clause of the schema by a learned query"
    )
    vocab_size: int = Field(default=1024, gt=0)
    width: int = Field(default=128, gt=0)
    depth: int = Field(default=2, gt=0)
    heads: int = Field(default=4, gt=0)
    key_value_heads: int = Field(default=4, gt=0)
    intermediate: int = Field(default=256, gt=0)
    max_tokens: int = Field(default=512, gt=0, description="image prefix, prompt and answer together")

    @model_validator(mode="after")
    def _consistent(self) -> "CaptionerConfig":
        side = round(self.prefix_tokens**0.5)
        if side * side != self.prefix_tokens or side > self.vision.grid or self.vision.grid % side:
            raise ValueError(
                f"prefix_tokens={self.prefix_tokens} must be the square of a divisor of the vision grid "
                f"({self.vision.grid})"
            )
        if self.width % self.heads or self.heads % self.key_value_heads:
            raise ValueError("width must be a multiple of heads, and heads of key_value_heads")
        return self


class ObjectiveConfig(FrozenModel):
    """Loss weights and the momentum teacher of the contrastive loss."""

    itc_weight: float = Field(default=1.0, ge=0)
    itm_weight: float = Field(default=1.0, ge=0)
    itm_share: float = Field(
        default=1.0, gt=0, le=1, description="share of a micro-batch that the fusion passes of ITM see"
    )
    clause_weight: float = Field(default=1.0, ge=0)
    reconstruction_weight: float = Field(default=1.0, ge=0)
    reconstruction_share: float = Field(
        default=1.0, gt=0, le=1, description="share of a micro-batch that the decoder sees"
    )
    slot_weight: float = Field(
        default=1.0, ge=0, description="weight of reading each clause off its slot token directly"
    )
    queue_size: int = Field(default=512, gt=0)
    momentum: float = Field(default=0.995, ge=0, lt=1)
    temperature: float = Field(default=0.07, gt=0.01, lt=0.5, description="initial; learned within (0.01, 0.5)")
    soft_target_weight: float = Field(default=0.4, ge=0, le=1, description="weight of the momentum teacher's targets")
    soft_target_warmup_steps: int = Field(default=200, ge=0)
    clause_label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class ModelConfig(FrozenModel):
    """Encoder, captioner and what both are trained for."""

    encoder: EncoderConfig = EncoderConfig()
    captioner: CaptionerConfig = CaptionerConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    share_vision: bool = Field(default=False, description="ablation: the captioner uses the encoder's vision tower")

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        mine, theirs = self.encoder.vision, self.captioner.vision
        if self.share_vision and mine.without_pretrained() != theirs.without_pretrained():
            raise ValueError("share_vision needs the same vision section in encoder and captioner")
        if self.encoder.text.vocab_size != self.captioner.vocab_size:
            raise ValueError("encoder.text.vocab_size and captioner.vocab_size must be equal: both read one tokenizer")
        return self

    def without_pretrained(self) -> "ModelConfig":
        """The same without what its towers start from: weights that exist are told apart by their sizes alone."""
        return self.model_copy(
            update={
                part: each.model_copy(update={"vision": each.vision.without_pretrained()})
                for part, each in (("encoder", self.encoder), ("captioner", self.captioner))
            }
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> "ModelConfig":
        """Read one YAML file.

        Args:
            path: The file.

        Raises:
            ValueError: A key is unknown or mistyped; the message names the file and all such keys.
        """
        content = load_yaml(Path(path).read_text(encoding="utf-8"))
        try:
            return cls.model_validate(content or {})
        except ValidationError as error:
            raise ValueError(f"The model configuration {path} is not valid: {error}. Correct these keys.") from error
