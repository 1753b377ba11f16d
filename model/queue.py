"""First-in-first-out memory of the momentum teacher's embeddings."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.losses.itc import EMPTY


class EmbeddingQueue(nn.Module):
    """Buffers of unit vectors [Q, E] and tile ids [Q], saved with the training state."""

    image: Tensor
    text: Tensor
    ids: Tensor
    position: Tensor

    def __init__(self, size: int, embed_dim: int) -> None:
        super().__init__()
        self.register_buffer("image", torch.zeros(size, embed_dim))
        self.register_buffer("text", torch.zeros(size, embed_dim))
        self.register_buffer("ids", torch.full((size,), EMPTY, dtype=torch.int64))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, image: Tensor, text: Tensor, ids: Tensor) -> None:
        """Adds [B, E], [B, E], int64 [B], overwriting the oldest; of more than Q entries the last Q stay."""
        size = len(self.ids)
        image, text, ids = image[-size:], text[-size:], ids[-size:]
        slots = (int(self.position) + torch.arange(len(ids), device=ids.device)) % size
        self.image[slots] = F.normalize(image.to(self.image), dim=-1)
        self.text[slots] = F.normalize(text.to(self.text), dim=-1)
        self.ids[slots] = ids.to(self.ids.device)
        self.position.fill_((int(self.position) + len(ids)) % size)
