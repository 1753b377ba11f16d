"""A layer of a transformer with its norms before its parts, under the names that timm gave them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-6


class Mlp(nn.Module):
    """Two linear maps; a third one gates the first.

    Args:
        width: of a token.
        hidden: of what lies between.
        biases: whether the maps have any.
        gated: whether there is a third map; then the activation is SiLU, else GELU.
    """

    def __init__(self, width: int, hidden: int, *, biases: bool = True, gated: bool = False) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden, biases), nn.Linear(hidden, width, biases)
        self.fc3 = nn.Linear(width, hidden, biases) if gated else None

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        if self.fc3 is None:
            return self.fc2(F.gelu(self.fc1(tokens)))
        return self.fc2(F.silu(self.fc1(tokens)) * self.fc3(tokens))


class Attention(nn.Module):
    """Every token looks at every token.

    Args:
        width: of a token.
        heads: attention heads.
        biases: whether the maps have any.
    """

    def __init__(self, width: int, heads: int, *, biases: bool = True) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width, biases), nn.Linear(width, width, biases)
        self._heads = heads

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] to the same shape."""
        batch, count, width = tokens.shape
        split = self.qkv(tokens).reshape(batch, count, 3, self._heads, width // self._heads)
        said = F.scaled_dot_product_attention(*split.permute(2, 0, 3, 1, 4))
        return self.proj(said.transpose(1, 2).reshape(batch, count, width))


class Layer(nn.Module):
    """Attention, unless there are no heads, and an MLP, each added to what came in.

    Args:
        width: of a token.
        hidden: of the MLP.
        heads: attention heads; 0: no attention.
        biases: whether linear maps have any.
        gated: whether the MLP is.
    """

    def __init__(self, width: int, hidden: int, heads: int, *, biases: bool = True, gated: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPSILON) if heads else None
        self.attn = Attention(width, heads, biases=biases) if heads else None
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        self.mlp = Mlp(width, hidden, biases=biases, gated=gated)

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] to the same shape; with attention [B, N, width]."""
        if self.norm1 is not None and self.attn is not None:
            tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))
