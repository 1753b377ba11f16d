"""Clauses as natural language, and back: every sentence of wording.py parses to exactly what it says."""

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from hcot_llm.schema.clauses import Clause, SchemaError, check_value, in_order
from hcot_llm.text.wording import every_sentence, sentence

HEDGE: Final = "Possibly: "
_SENTENCE_END = re.compile(r"(?<=\.)\s+")


class UnknownSentenceError(ValueError):
    """A text that none of our templates wrote; hcot_llm/text/freetext.py reads free text."""


def render_clause(clause: Clause, value: str, *, variant: int) -> str:
    """One sentence saying a clause's value; variant: any integer, wraps around the clause's templates.

    Raises SchemaError when the vocabulary does not have the value.
    """
    return sentence(*check_value(clause, value), variant)


def hedge(text: str) -> str:
    """The same sentence in doubt, as language models tend to write."""
    return text if text.startswith(HEDGE) else HEDGE + text


def is_hedged(text: str) -> bool:
    """Whether a sentence of ours is in doubt."""
    return text.startswith(HEDGE)


def render_caption(values: Mapping[Clause, str], *, seed: int) -> str:
    """All given clauses as sentences in schema order; the same values and seed give the same text.

    A clause's wording depends on the seed and the clause alone: leaving one out does not change the others.
    """
    if not values:
        raise SchemaError("A caption needs at least one clause.")
    if unknown := [clause for clause in values if clause not in Clause.__members__.values()]:
        raise SchemaError(f"There is no clause {unknown[0]!r}.")
    return " ".join(
        render_clause(clause, value, variant=choose_variant(seed, clause)) for clause, value in in_order(values).items()
    )


def choose_variant(*parts: int | str) -> int:
    """A reproducible number drawn from a seed and what it is for."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def parse_clause(text: str) -> tuple[Clause, str]:
    """What a sentence of ours says, hedged or not. Raises UnknownSentenceError for any other text."""
    plain = text.strip().removeprefix(HEDGE)
    meaning = _meanings().get(plain)
    if meaning is None:
        raise UnknownSentenceError(
            f"No template wrote {plain[:120]!r}. parse_clause reads only sentences of hcot_llm/text/render.py; "
            "use hcot_llm/text/freetext.py for free text."
        )
    return meaning


def parse_caption(text: str) -> dict[Clause, str]:
    """The values of a caption of ours, in schema order.

    Raises UnknownSentenceError for a sentence that is not ours, SchemaError when a clause is said twice.
    """
    values: dict[Clause, str] = {}
    for part in split_sentences(text):
        clause, value = parse_clause(part)
        if clause in values:
            raise SchemaError(f"The caption says clause '{clause}' twice: {values[clause]} and {value}.")
        values[clause] = value
    return in_order(values)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text of ours; a full stop inside a number ends none."""
    return _SENTENCE_END.split(text.strip())


@functools.cache
def _meanings() -> dict[str, tuple[Clause, str]]:
    return every_sentence()
