"""Late interaction of image tokens and clause texts.

One pooled image embedding hardly carries all clauses. Here the text of a clause's name queries the image
tokens and picks from the tile's summary, and the answer is compared with the text embedding of each value's
sentence. It works for any names and values: nothing but the temperatures is tied to a slot.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.precision import exactly
from model.temperature import Temperature


class ClauseHead(nn.Module):
    """Attention pooling by clause queries, then a softmax of cosines over each slot's values."""

    def __init__(
        self, image_width: int, summary_width: int, embed_dim: int, heads: int, slots: int, temperature: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key_value = nn.Linear(image_width, 2 * embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.mlp = nn.Sequential(
            nn.Linear(2 * embed_dim, embed_dim), nn.GELU(approximate="tanh"), nn.Linear(embed_dim, embed_dim)
        )
        self.pick = nn.Linear(embed_dim, summary_width)
        self.picked = nn.Linear(summary_width, embed_dim)
        self.temperature = Temperature(temperature, slots)

    def pool(self, image_tokens: Tensor, summary: Tensor, names: Tensor) -> Tensor:
        """Unit vectors [B, S, embed_dim], one per tile and clause.

        They are pooled from the image tokens [B, N, image width] and the summary [B, summary width] by the clause
        queries [S, embed_dim].
        """
        batch, slots = len(image_tokens), len(names)
        query = self.query(names)
        keys, values = self.key_value(image_tokens).chunk(2, dim=-1)
        split = (self.heads, query.shape[-1] // self.heads)
        pooled = F.scaled_dot_product_attention(
            query.view(1, slots, *split).transpose(1, 2).expand(batch, -1, -1, -1),
            keys.unflatten(-1, split).transpose(1, 2),
            values.unflatten(-1, split).transpose(1, 2),
        )
        pooled = self.norm(pooled.transpose(1, 2).flatten(2))
        asked = torch.cat([pooled, names.expand(batch, -1, -1)], dim=-1)
        picked = self.picked(summary[:, None, :] * (1 + self.pick(names)))
        return F.normalize((picked + self.mlp(asked)).float(), dim=-1)

    def forward(
        self, image_tokens: Tensor, summary: Tensor, names: Tensor, values: Tensor, sizes: tuple[int, ...]
    ) -> list[Tensor]:
        """Names [S, embed_dim], values [sum(sizes), embed_dim] to log-probabilities, one [B, V_slot] per slot.

        Another number of slots than the head was made for uses the mean temperature.
        """
        pooled = self.pool(image_tokens, summary, names)
        temperature = self.temperature()
        if len(sizes) != len(temperature):
            temperature = temperature.mean().expand(len(sizes))
        with exactly(pooled.device):
            return [
                F.log_softmax(pooled[:, slot] @ _contrast(texts).T / temperature[slot], dim=-1)
                for slot, texts in enumerate(values.split(sizes))
            ]


def _contrast(texts: Tensor) -> Tensor:
    """What tells each value from the slot's others.

    Sentences of one slot differ in a word or two: uncentred, their embeddings begin almost parallel, and learning waits
    for the text encoder to spread them.
    """
    return F.normalize(texts - texts.mean(0, keepdim=True), dim=-1)
