"""The sentences of every slot's values, as tokens: what zero-shot classification compares a tile with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from model.tokenizer import encode_texts


@dataclass(frozen=True)
class ClauseText:
    """Token ids of S slots and of their V values.

    Attributes:
        names: int64 [S, Ln], one query text per slot.
        names_mask: bool [S, Ln], true at tokens.
        values: int64 [V, Lv], the sentences of all slots' values, one slot after the other.
        values_mask: bool [V, Lv], true at tokens.
        sizes: number of values of each slot; they sum to V.
    """

    names: Tensor
    names_mask: Tensor
    values: Tensor
    values_mask: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def from_texts(
        cls,
        tokenizer: PreTrainedTokenizerFast,
        names: Sequence[str],
        values: Sequence[Sequence[str]],
        max_tokens: int = 64,
    ) -> "ClauseText":
        """One name and one list of value sentences per slot; any number of slots and values, in any order."""
        if len(names) != len(values) or not all(values):
            raise ValueError(
                f"{len(names)} slot names were given with {len(values)} lists of values; each needs at least one."
            )
        name_ids, name_mask = encode_texts(tokenizer, names, max_tokens)
        value_ids, value_mask = encode_texts(tokenizer, [text for slot in values for text in slot], max_tokens)
        return cls(name_ids, name_mask, value_ids, value_mask, tuple(len(slot) for slot in values))

    def to(self, device: torch.device) -> "ClauseText":
        """The same on a device."""
        return ClauseText(
            self.names.to(device),
            self.names_mask.to(device),
            self.values.to(device),
            self.values_mask.to(device),
            self.sizes,
        )
