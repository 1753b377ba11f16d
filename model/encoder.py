"""The encoder: tile and text embeddings, their fusion, and zero-shot scores of every slot."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.bert.modeling_bert import BertEmbeddings

from model.clause_head import ClauseHead
from model.clause_text import ClauseText
from model.config import EncoderConfig
from model.precision import exactly
from model.slot_tokens import SlotTokens
from model.temperature import Temperature
from model.text import TextEncoder
from model.vision import ResidualBlock, VisionTower

ITM_MATCH = 1
"""The class of the matching head that means "this text describes this tile". Training and scoring both read
it here."""


class SarEncoderConfig(PreTrainedConfig):
    """Hugging Face's form of EncoderConfig (`model.config`), in `sizes`, and the number of clauses, `slots`."""

    model_type = "sar-encoder"
    sizes: dict | None = None
    slots: int = 1
    temperature: float = 0.07

    def typed(self) -> EncoderConfig:
        """Return `sizes`, checked; the defaults stand for what it leaves out."""
        return EncoderConfig.model_validate(self.sizes or {})


class SarEncoder(PreTrainedModel):
    """BLIP-like encoder of SAR tiles and their captions."""

    config_class = SarEncoderConfig
    base_model_prefix = "encoder"
    main_input_name = "images"

    def __init__(self, config: SarEncoderConfig) -> None:
        super().__init__(config)
        sizes = config.typed()
        self.vision = VisionTower(sizes.vision)
        self.text = TextEncoder(sizes.text, sizes.vision.width)
        self.vision_projection = nn.Linear(self.vision.summary.width, sizes.embed_dim)
        self.text_projection = nn.Linear(sizes.text.width, sizes.embed_dim)
        self.temperature = Temperature(config.temperature)
        self.match_head = nn.Linear(sizes.text.width, 2)
        self.clause_head = ClauseHead(
            sizes.vision.width,
            self.vision.summary.width,
            sizes.embed_dim,
            sizes.clause_heads,
            config.slots,
            config.temperature,
        )
        self.post_init()

    @classmethod
    def from_sizes(cls, sizes: EncoderConfig, slots: int, temperature: float = 0.07) -> "SarEncoder":
        """Make an encoder with new, untrained weights.

        Args:
            sizes: Sizes of the modules.
            slots: Number of clauses of an annotation.
            temperature: Initial temperature that divides cosines.
        """
        return cls(SarEncoderConfig(sizes=sizes.model_dump(mode="json"), slots=slots, temperature=temperature))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialise(module)

    def image_tokens(self, images: Tensor) -> Tensor:
        """float32 [B, channels, H, W] to [B, N, vision width]."""
        return self.vision(images)

    def embed_image(self, image_tokens: Tensor) -> Tensor:
        """Image tokens to unit vectors [B, embed_dim]."""
        return F.normalize(self.vision_projection(self.vision.summary(image_tokens)).float(), dim=-1)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, T] to unit vectors [B, embed_dim], and the states that fusion starts from [B, T, text width]."""
        states, start = self.text(input_ids, attention_mask)
        return F.normalize(self.text_projection(self.text.pool(states, attention_mask)).float(), dim=-1), start

    def match_logits(self, start: Tensor, attention_mask: Tensor, image_tokens: Tensor) -> Tensor:
        """Fusion of text and tile to logits float32 [B, 2]; column ITM_MATCH means that they match."""
        return self.match_head(self.text.fuse(start, attention_mask, image_tokens)[:, 0]).float()

    def clause_log_probabilities(self, image_tokens: Tensor, clause_text: ClauseText) -> list[Tensor]:
        """Per slot, log-probabilities [B, V_slot] of its values."""
        # Values are told apart by what is left of their sentences without what they have in common: often less than the
        # roundings of bfloat16.
        with exactly(image_tokens.device):
            names, _ = self.embed_text(clause_text.names, clause_text.names_mask)
            values, _ = self.embed_text(clause_text.values, clause_text.values_mask)
        return self.clause_head(image_tokens, self.vision.summary(image_tokens), names, values, clause_text.sizes)

    def zero_shot(self, images: Tensor, clause_text: ClauseText) -> list[Tensor]:
        """Per slot, log-probabilities [B, V_slot] of its values for tiles [B, channels, H, W]."""
        return self.clause_log_probabilities(self.image_tokens(images), clause_text)

    def forward(self, images: Tensor, clause_text: ClauseText) -> list[Tensor]:
        """The same as `zero_shot`; training uses the parts above."""
        return self.zero_shot(images, clause_text)


def initialise(module: nn.Module) -> None:
    """Truncated normal for linear and embedding weights, He for convolutions, ones and zeros for norms.

    To be applied to children before their parents, as nn.Module.apply does.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, BertEmbeddings):
        # Not saved, and from_pretrained leaves what is not saved uninitialised.
        module.position_ids.copy_(torch.arange(module.position_ids.shape[1])[None])
        module.token_type_ids.zero_()
    elif isinstance(module, VisionTower):
        nn.init.trunc_normal_(module.positions, std=0.02)
    elif isinstance(module, SlotTokens):
        nn.init.trunc_normal_(module.queries, std=0.02)
    elif isinstance(module, ResidualBlock):
        nn.init.zeros_(module.layers[-1].get_parameter("weight"))
    elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
