"""Clauses as natural language. Which sentence says what is in AnnotationSchema.sentences."""

import hashlib
from collections.abc import Mapping
from typing import Final

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError

HEDGE: Final = "Possibly: "


def render_clause(schema: AnnotationSchema, clause: str, value: str, *, variant: int) -> str:
    """One sentence saying a clause's value; variant: any integer, wraps around the clause's templates.

    Raises SchemaError when the vocabulary does not have the value.
    """
    schema.check_value(clause, value)
    return schema.sentence(clause, value, variant)


def hedge(text: str) -> str:
    """The same sentence in doubt, as language models tend to write."""
    return text if text.startswith(HEDGE) else HEDGE + text


def render_caption(schema: AnnotationSchema, values: Mapping[str, str], *, seed: int) -> str:
    """All given clauses as sentences in schema order; the same values and seed give the same text.

    A clause's wording depends on the seed and the clause alone: leaving one out does not change the others.

    Raises SchemaError when there is no clause, or one that the schema does not have.
    """
    if not values:
        raise SchemaError("A caption needs at least one clause.")
    return " ".join(
        render_clause(schema, clause, values[clause], variant=choose_variant(seed, clause))
        for clause in schema.ordered(values)
    )


def choose_variant(*parts: int | str) -> int:
    """A reproducible number drawn from a seed and what it is for."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
