"""The text encoder, and its fusion with image tokens."""

import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer

from model.config import TextConfig


class TextEncoder(nn.Module):
    """BERT layers; those of the fusion part also attend to image tokens (TextConfig says which these are)."""

    def __init__(self, config: TextConfig, image_width: int) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(_bert(config, cross_attention=False))
        self.layers = nn.ModuleList(
            BertLayer(_bert(config, cross_attention=index >= config.fusion_start)) for index in range(config.depth)
        )
        # BERT's cross-attention takes keys of the text's own width.
        self.image_projection = nn.Linear(image_width, config.width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Text-only states and the fusion's starting states, float [B, T, width] each.

        Args:
            input_ids: int64 [B, T].
            attention_mask: bool or int [B, T], true at tokens.

        Raises:
            ValueError: the texts are longer than text.max_tokens.
        """
        if input_ids.shape[1] > self.config.max_tokens:
            raise ValueError(
                f"A text of {input_ids.shape[1]} tokens is longer than "
                f"text.max_tokens={self.config.max_tokens}. "
                "Raise it in the model configuration, or truncate when tokenizing."
            )
        mask = attention_mask.bool()[:, None, None, :]
        states = start = self.embeddings(input_ids)
        for index in range(self.config.unimodal_depth):
            states = self.layers[index](states, mask)
            if index + 1 == self.config.fusion_start:
                start = states
        return states, start

    def pool(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """States [B, T, width] to one vector per text [B, width]."""
        if self.config.pooling == "cls":
            return states[:, 0]
        weight = attention_mask.to(states.dtype)
        return torch.einsum("btw,bt->bw", states, weight / weight.sum(1, keepdim=True))

    def fuse(self, start: Tensor, attention_mask: Tensor, image_tokens: Tensor) -> Tensor:
        """Starting states [B, T, width] and image tokens [B, N, image width] to fused states [B, T, width]."""
        mask = attention_mask.bool()[:, None, None, :]
        image = self.image_projection(image_tokens)
        seen = torch.ones(1, 1, 1, image.shape[1], dtype=torch.bool, device=image.device).expand(len(image), -1, -1, -1)
        states = start
        for layer in self.layers[self.config.fusion_start :]:
            states = layer(states, mask, image, seen)
        return states


def _bert(config: TextConfig, cross_attention: bool) -> BertConfig:
    bert = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.width,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        hidden_act=config.activation,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=config.max_tokens,
        type_vocab_size=1,
        # transformers builds cross-attention only in "decoders"; no layer is causal, as each call passes its
        # own mask.
        is_decoder=cross_attention,
        add_cross_attention=cross_attention,
    )
    bert._attn_implementation = "sdpa"
    return bert
