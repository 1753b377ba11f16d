"""Clauses as natural language. Which sentence says what is in AnnotationSchema.sentences."""

import hashlib
from collections.abc import Mapping
from typing import Final

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError

HEDGE: Final = "Possibly: "


def render_clause(schema: AnnotationSchema, clause: str, value: str, *, variant: int) -> str:
    """One sentence that says a clause's value.

    Args:
        schema: The schema of the clause.
        clause: Name of the clause.
        value: A value of its vocabulary.
        variant: Number of the template; any integer, which wraps around the clause's templates.

    Raises:
        SchemaError: The vocabulary does not have the value.
    """
    schema.check_value(clause, value)
    return schema.sentence(clause, value, variant)


def clause_sentences(schema: AnnotationSchema) -> tuple[list[str], list[list[str]]]:
    """What an encoder compares tiles with: the name of every clause, and the sentence of each of its values."""
    return (
        [clause.replace("_", " ") for clause in schema.names],
        [
            [render_clause(schema, clause, value, variant=0) for value in values]
            for clause, values in schema.vocabulary.items()
        ],
    )


def hedge(text: str) -> str:
    """The sentence with a hedge before it, as language models tend to write."""
    return text if text.startswith(HEDGE) else HEDGE + text


def render_caption(schema: AnnotationSchema, values: Mapping[str, str], *, seed: int) -> str:
    """All given clauses as sentences in schema order; the same values and seed give the same text.

    The wording of a clause depends on the seed and the clause alone, so it stays the same where another clause is left
    out.

    Args:
        schema: The schema of the clauses.
        values: Clause -> value.
        seed: Seed of the wording.

    Raises:
        SchemaError: There is no clause, or one that the schema does not have.
    """
    if not values:
        raise SchemaError("A caption needs at least one clause.")
    return " ".join(
        render_clause(schema, clause, values[clause], variant=choose_variant(seed, clause))
        for clause in schema.ordered(values)
    )


def choose_variant(*parts: int | str) -> int:
    """A reproducible number in 0..2^32-1.

    Args:
        *parts: A seed and the purpose of the draw; all parts are part of the seed.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
