"""Initial annotations of a corpus as captions: what recipes that read text learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmark.suite.pretraining import Pretraining, TrainingTiles
from hcot_llm.prompts.tokenizer_texts import tokenizer_texts, tokenizer_words
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_caption
from model.tokenizer import encode_texts, train_tokenizer


@dataclass(frozen=True)
class CaptionBatch:
    """B captions.

    Attributes:
        texts: B texts.
        ids: int64 [B, T], right-padded.
        mask: bool [B, T], true at tokens.
        keys: int64 [B], equal for equal texts.
    """

    texts: Sequence[str]
    ids: Tensor
    mask: Tensor
    keys: Tensor


class Captions:
    """Captions of the training tiles.

    Args:
        tiles: with their initial annotations.
        pretraining: with the sizes of the text tower.
    """

    def __init__(self, tiles: TrainingTiles, pretraining: Pretraining) -> None:
        text = pretraining.model.encoder.text
        self.schema = tiles.initial.schema
        self.tokenizer = tokenizer_of(self.schema, text.vocab_size)
        self._max_tokens = text.max_tokens
        self._location_after = tiles.location_after
        self._values = [tiles.initial.row_values(row) for row in range(len(tiles.initial))]
        self._turning = self.schema.of_kind("location")

    def values(self, row: int, symmetry: int) -> dict[str, str]:
        """The annotation of a tile that is turned by a symmetry: its locations turn along."""
        values = dict(self._values[row])
        for clause in self._turning:
            values[clause] = self._location_after(values[clause], symmetry)
        return values

    def labels(self, rows: Tensor, symmetries: Tensor) -> Tensor:
        """int64 [B, clauses], indices of the values."""
        said = [self.values(row, turn) for row, turn in zip(rows.tolist(), symmetries.tolist(), strict=True)]
        index = self.schema.value_index
        return torch.tensor([[index[clause][each[clause]] for clause in self.schema.names] for each in said])

    def texts(self, rows: Tensor, symmetries: Tensor) -> list[str]:
        """A caption of each tile, all clauses in it, its wording drawn from torch's global generator."""
        seeds = torch.randint(2**31, (len(rows),)).tolist()
        return [
            render_caption(self.schema, self.values(row, turn), seed=seed)
            for row, turn, seed in zip(rows.tolist(), symmetries.tolist(), seeds, strict=True)
        ]

    def encoded(self, texts: Sequence[str]) -> CaptionBatch:
        """Texts as tokens."""
        ids, mask = encode_texts(self.tokenizer, texts, self._max_tokens)
        number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        return CaptionBatch(texts, ids, mask, torch.tensor([number[text] for text in texts]))


@lru_cache(maxsize=2)
def tokenizer_of(schema: AnnotationSchema, vocab_size: int) -> Any:
    """The tokenizer that a run on this schema starts with."""
    return train_tokenizer(tokenizer_texts(schema), vocab_size, tokenizer_words(schema))
