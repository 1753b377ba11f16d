"""The annotation schema as data: what an annotation may say, how it is worded, and what cannot be true together.

A schema is read from YAML (hcot.yaml beside this file is the default) and passed to whatever needs it. Everything
else is derived from it: the answer's JSON schema, prompts, the tokenizer's texts, the sizes of the model's heads, the
rules of level 5.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import Field, model_validator

from corpus.storage.models import FrozenModel
from hcot_llm.schema.errors import SchemaError
from hcot_llm.schema.parts import LAST_LEVEL, PLACEHOLDER, Block, Clause, Kind, Level, Rule

_Entry = TypeVar("_Entry")


class AnnotationSchema(FrozenModel):
    """An immutable schema. Two schemas are equal where their content is, and hash so.

    Orders count: of clauses, of values, of blocks and of rules.
    """

    name: str = Field(min_length=1, max_length=60, description="for messages and records")
    levels: tuple[Level, ...] = Field(description="levels that have clauses, in the order in which they are asked")
    clauses: tuple[Clause, ...]
    blocks: tuple[Block, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _is_usable(self) -> "AnnotationSchema":
        from hcot_llm.schema.problems import find_problems

        if found := find_problems(self):
            raise ValueError("\n".join(found))
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnnotationSchema) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"AnnotationSchema({self.label})"

    __str__ = __repr__

    def __reduce__(self):  # what is derived does not travel
        return _from_content, (self.content,)

    @property
    def content(self) -> str:
        """The whole schema as JSON, without what is at its default; orders count."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), separators=(",", ":"))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name and beginning of the digest, for messages."""
        return f"'{self.name}' ({self.digest[:12]})"

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The clauses' names, in order."""
        return tuple(clause.name for clause in self.clauses)

    @functools.cached_property
    def _by_name(self) -> dict[str, Clause]:
        return {clause.name: clause for clause in self.clauses}

    @functools.cached_property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """Clause -> its values, both in order."""
        return {clause.name: clause.values for clause in self.clauses}

    @functools.cached_property
    def value_index(self) -> dict[str, dict[str, int]]:
        """Clause -> value -> its place in the vocabulary."""
        return {name: {value: index for index, value in enumerate(values)} for name, values in self.vocabulary.items()}

    @functools.cached_property
    def column(self) -> dict[str, int]:
        """Clause -> its place in the schema."""
        return {name: index for index, name in enumerate(self.names)}

    @functools.cached_property
    def level(self) -> dict[str, int]:
        """Clause -> HCoT level."""
        return {clause.name: clause.level for clause in self.clauses}

    @functools.cached_property
    def group(self) -> dict[str, str]:
        """Clause -> group."""
        return {clause.name: clause.group for clause in self.clauses}

    @functools.cached_property
    def absence(self) -> dict[str, str]:
        """Clause -> the value that says there is nothing; without clauses that have none."""
        return {clause.name: clause.absence for clause in self.clauses if clause.absence is not None}

    @functools.cached_property
    def whole_blocks(self) -> tuple[Block, ...]:
        """Blocks that may be invented or missed as a whole."""
        return tuple(block for block in self.blocks if block.invented is not None)

    def __len__(self) -> int:
        return len(self.clauses)

    def clause(self, name: str) -> Clause:
        """The clause of a name.

        Raises:
            SchemaError: There is no such clause.
        """
        if name not in self._by_name:
            raise SchemaError(f"There is no clause {name!r}; there are: {', '.join(self.names)}.")
        return self._by_name[name]

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """The clauses of a kind, in order."""
        return tuple(clause.name for clause in self.clauses if clause.kind == kind)

    def at_level(self, level: int) -> tuple[str, ...]:
        """The clauses that a level decides: none at level 0, all at level 5."""
        return tuple(clause.name for clause in self.clauses if level == LAST_LEVEL + 1 or clause.level == level)

    def block_of(self, clause: str) -> Block | None:
        """The block that a clause belongs to."""
        return next((block for block in self.blocks if clause in block.clauses), None)

    def check_value(self, clause: str, value: str) -> None:
        """Check that a clause has a value.

        Raises:
            SchemaError: There is no such clause, or it does not have the value; the message lists what is valid.
        """
        known = self.clause(clause)
        if value not in known.values:
            raise SchemaError(f"{value!r} is no value of clause '{clause}'; it takes: {', '.join(known.values)}.")

    def in_order(self, values: Mapping[str, _Entry]) -> dict[str, _Entry]:
        """The entries in schema order; keys that are no clause are left out."""
        return {name: values[name] for name in self.names if name in values}

    def ordered(self, clauses: Iterable[str]) -> tuple[str, ...]:
        """The clauses, each once, in schema order.

        Raises:
            SchemaError: A clause is unknown.
        """
        wanted = set(clauses)
        if unknown := sorted(wanted - set(self.names)):
            raise SchemaError(
                f"There is no clause {', '.join(map(repr, unknown))}; there are: {', '.join(self.names)}."
            )
        return tuple(name for name in self.names if name in wanted)

    def sentence(self, clause: str, value: str, variant: int) -> str:
        """The sentence of a value.

        Args:
            clause: Name of the clause.
            value: One of its values.
            variant: Number of the template, counted from 0; it wraps around.
        """
        known = self._by_name[clause]
        if value == known.absence and known.absence_sentences:
            return known.absence_sentences[variant % len(known.absence_sentences)]
        return known.templates[variant % len(known.templates)].replace(PLACEHOLDER, known.phrases.get(value, value))

    @functools.cached_property
    def sentences(self) -> dict[str, tuple[str, str]]:
        """Every sentence there is -> the clause and value that it says, in schema order."""
        return {
            self.sentence(clause.name, value, variant): (clause.name, value)
            for clause in self.clauses
            for value in clause.values
            for variant in range(len(clause.templates))
        }

    @functools.cached_property
    def longest_answer(self) -> int:
        """Characters of the longest valid answer to all clauses."""
        return len(json.dumps({clause.name: max(clause.values, key=len) for clause in self.clauses}))


def _from_content(content: str) -> AnnotationSchema:
    return AnnotationSchema.model_validate_json(content)
