"""The words of the questions on simulated scenes, for methods that are asked in words."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import Final

_WORDS: Final = MappingProxyType(
    {
        "count": "How many ships or aircraft are in the image? 9 means nine or more.",
        "recognition": "Which kind of target is in the image? Say none if there is no target.",
        "position": "Where in the image are the targets? Say none if there is no target.",
        "main_landform": "Which land cover fills most of the image?",
        "all_landforms": "Is there {part} in the image?",
        "regional_landform": "Which land cover fills most of the {part} quarter of the image?",
        "land_cover_share": "Which share of the image is {part}, from 0.0 to 1.0?",
    }
)


def words_of(question: str) -> str:
    """The words of a question, `kind` or `kind:part`.

    Raises:
        KeyError: a kind without words.
    """
    kind, _, part = question.partition(":")
    return _WORDS[kind].format(part=part)


def words_sha256() -> str:
    """The version of the words, hexadecimal."""
    return hashlib.sha256("\n".join(f"{kind}: {words}" for kind, words in _WORDS.items()).encode()).hexdigest()
