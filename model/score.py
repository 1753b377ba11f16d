"""The encoder's judgement of annotations: batched, without gradients. Higher is better everywhere."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from corpus.storage.precision import Precision
from model.clause_text import ClauseText
from model.encoder import ITM_MATCH, SarEncoder
from model.precision import computing_in
from model.tokenizer import encode_texts

Result = TypeVar("Result")


class Scorer:
    """Scores tiles against texts with one encoder, on the device that the encoder is on.

    Tensors may come from any device. Results lie on the CPU, but for image tokens, which only the other methods read.

    Args:
        encoder: The encoder; it is put into evaluation mode.
        tokenizer: Its tokenizer.
        batch_size: Tiles or texts that pass at once.
        precision: Of the towers' matrix products. Results are float32, and cosines are computed in float32.
    """

    def __init__(
        self,
        encoder: SarEncoder,
        tokenizer: PreTrainedTokenizerFast,
        batch_size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        self.encoder = encoder.eval()
        self.device = next(encoder.parameters()).device
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.precision: Precision = precision
        self.max_tokens = encoder.config.typed().text.max_tokens

    def image_tokens(self, images: Tensor) -> Tensor:
        """Images float32 [n, channels, H, W] to image tokens [n, N, vision width].

        The other methods take these tokens, so that every tile is seen once.
        """
        return self._computed(lambda: self._batched(self.encoder.image_tokens, images))

    def image_embeddings(self, image_tokens: Tensor) -> Tensor:
        """Unit vectors float32 [n, embed_dim]."""
        return self._computed(lambda: self._batched(self.encoder.embed_image, image_tokens)).cpu()

    def text_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors float32 [n, embed_dim]."""
        return self._computed(
            lambda: self._by_length(texts, lambda ids, mask, _: self.encoder.embed_text(ids, mask)[0])
        ).cpu()

    def agreement(self, image_tokens: Tensor, texts: Sequence[Sequence[str]]) -> tuple[list[Tensor], list[Tensor]]:
        """How well each tile agrees with each of its own texts (a caption and its leave-one-clause-out versions, say).

        Returns:
            Two lists with one float32 [len(texts[i])] per tile: cosines, which other than logits can be compared across
            temperatures; and the matching head's probabilities that the text describes the tile.
        """
        owner, flat = _flatten(texts, len(image_tokens))
        owner, image_tokens = owner.to(self.device), image_tokens.to(self.device)
        images = self._computed(lambda: self._batched(self.encoder.embed_image, image_tokens))

        def both(ids: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
            text, start = self.encoder.embed_text(ids, mask)
            match = self.encoder.match_logits(start, mask, image_tokens[owner[rows]]).softmax(-1)[:, ITM_MATCH]
            return torch.stack([(images[owner[rows]] * text).sum(-1), match], dim=1)

        sizes = [len(group) for group in texts]
        cosines, matches = self._computed(lambda: self._by_length(flat, both)).cpu().unbind(1)
        return list(cosines.split(sizes)), list(matches.split(sizes))

    def zero_shot(self, image_tokens: Tensor, clause_text: ClauseText) -> list[Tensor]:
        """Per slot, log-probabilities float32 [n, V_slot] of its values."""
        clause_text = clause_text.to(self.device)
        parts = self._computed(
            lambda: [
                self.encoder.clause_log_probabilities(part.to(self.device), clause_text)
                for part in image_tokens.split(self.batch_size)
            ]
        )
        return [torch.cat(slot).cpu() for slot in zip(*parts, strict=True)]

    def _computed(self, function: Callable[[], Result]) -> Result:
        with torch.inference_mode(), computing_in(self.precision, self.device):
            return function()

    def _batched(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        return torch.cat([function(part.to(self.device)) for part in rows.split(self.batch_size)])

    def _by_length(self, texts: Sequence[str], function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """Applies function(ids, mask, row indices) to texts of similar length together, and restores their order."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        parts = []
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            ids, mask = encode_texts(self.tokenizer, [texts[row] for row in rows], self.max_tokens)
            parts.append(function(ids.to(self.device), mask.to(self.device), torch.tensor(rows, device=self.device)))
        sorted_result = torch.cat(parts)
        result = torch.empty_like(sorted_result)
        result[torch.tensor(order)] = sorted_result
        return result


def _flatten(texts: Sequence[Sequence[str]], tiles: int) -> tuple[Tensor, list[str]]:
    if len(texts) != tiles:
        raise ValueError(
            f"{len(texts)} groups of texts were given for {tiles} tiles; there must be one group per tile."
        )
    owner = torch.tensor([index for index, group in enumerate(texts) for _ in group], dtype=torch.int64)
    return owner, [text for group in texts for text in group]
