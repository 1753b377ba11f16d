"""Image tokens of one clause each, and the loss that trains them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SlotTokens(nn.Module):
    """Learned queries, one per clause, pool the image tokens (a one-layer resampler); the tile's summary joins them.

    A decoder alone has to learn at once which features to see and where to find them. That takes many times longer than
    training a classifier. These tokens are trained directly (SlotReadout), so the decoder only has to find them.
    """

    def __init__(self, image_width: int, summary_width: int, width: int, slots: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(slots, width))
        self.key_value = nn.Linear(image_width, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(approximate="tanh"), nn.Linear(width, width))
        self.picked = nn.Linear(summary_width, slots * width)

    def forward(self, image_tokens: Tensor, summary: Tensor) -> Tensor:
        """[B, N, image width] and [B, summary width] to [B, slots, width]."""
        keys, values = self.key_value(image_tokens).chunk(2, dim=-1)
        queries = self.queries.expand(len(image_tokens), -1, -1)
        pooled = self.norm(F.scaled_dot_product_attention(queries, keys, values))
        picked = self.picked(summary).unflatten(1, self.queries.shape)
        return picked + self.mlp(pooled + self.queries)


class SlotReadout(nn.Module):
    """Linear classifiers on the slot tokens. They start at zero, so need no seed."""

    def __init__(self, width: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.weight = nn.Parameter(torch.zeros(sum(sizes), width))
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))

    def forward(self, slot_tokens: Tensor) -> list[Tensor]:
        """[B, slots, width] to log-probabilities, one [B, V_slot] per slot."""
        weights, biases = self.weight.split(self.sizes), self.bias.split(self.sizes)
        return [
            F.log_softmax(F.linear(slot_tokens[:, slot], weight, bias).float(), dim=-1)
            for slot, (weight, bias) in enumerate(zip(weights, biases, strict=True))
        ]
