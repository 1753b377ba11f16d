"""What is held out of a set without a split: decided by hashes of names or contents, so that it is always the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

TEST_SHARE: Final = 0.3
"""Of what is drawn, the share to test on."""


def side_of(content: bytes) -> str:
    """`test` or `train`, by the hash of what tells a sample apart; equal contents come to one side."""
    digest = hashlib.sha256(content).digest()
    return "test" if int.from_bytes(digest[:4], "big") < TEST_SHARE * 2**32 else "train"


def held_out_groups(groups: Sequence[str], *, spare_last: bool = False) -> set[str]:
    """Whole groups to test on, in the order of the hashes of their names, until they have 30 % of the samples.

    Args:
        groups: of each sample.
        spare_last: whether the last group is never held out, so that something is left to learn from.
    """
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest())
    held: set[str] = set()
    for group in order[:-1] if spare_last else order:
        if sum(sizes[each] for each in held) >= TEST_SHARE * len(groups):
            break
        held.add(group)
    return held
