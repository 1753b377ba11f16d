"""The parts of an annotation schema, as its YAML file states them."""

import re
from typing import Final, Literal

from pydantic import Field

from corpus.storage.models import FrozenModel

Kind = Literal["category", "count", "location"]

FIRST_LEVEL, LAST_LEVEL = 1, 4
"""HCoT levels at which a clause is decided: level 0 describes without clauses, level 5 checks those of all others."""
PLACEHOLDER: Final = "{v}"
_NAME: Final = r"^[a-z][a-z_]*$"


class Level(FrozenModel):
    """One HCoT level: its word in the compact prompt, and what the long prompt asks."""

    level: int = Field(ge=FIRST_LEVEL, le=LAST_LEVEL, description="1 to 4; 0 describes and 5 checks, in every schema")
    word: str = Field(pattern=_NAME, description="stands before the level's clauses in the compact prompt")
    title: str = Field(min_length=1, description="names the level in the long prompt")
    instruction: str = Field(min_length=1, description="what the long prompt asks to decide, in whole sentences")
    place: bool = Field(default=False, description="the long prompt says what is known of the place")
    scale: bool = Field(default=False, description="the long prompt says how long a pixel is")


class AccuracyByValue(FrozenModel):
    """Expected accuracy that depends on what another clause truly says."""

    by: str = Field(description="that clause")
    accuracy: dict[str, float] = Field(description="its value -> share of right annotations")


class Geography(FrozenModel):
    """What is annotated where nothing but the position of a tile is known."""

    confidence: float = Field(ge=0, le=1, description="probability that it is right, as far as anybody knows")
    value: str | None = Field(
        default=None, description="this value everywhere; null: what maps say of the fact of this name"
    )


class Clause(FrozenModel):
    """One clause: its values in order, its place in the hierarchy, its sentences, and how it is annotated at first."""

    name: str = Field(pattern=_NAME, description="letters and underscores; one word to the tokenizer")
    kind: Kind = Field(
        default="category",
        description="count: values are numbers; location: values are cells of a 3 x 3 grid, which turn with the image",
    )
    level: int = Field(ge=FIRST_LEVEL, le=LAST_LEVEL, description="HCoT level that decides it")
    group: str = Field(pattern=_NAME, description="accuracies are also given by group; part of a metric's name")
    values: tuple[str, ...] = Field(description="the vocabulary; no two begin with the same word")
    absence: str | None = Field(default=None, description="the value that says there is nothing; null where none does")
    templates: tuple[str, ...] = Field(description=f"sentences; {PLACEHOLDER} stands for the phrase of the value")
    phrases: dict[str, str] = Field(default_factory=dict, description="value -> how it is said; default: the value")
    absence_sentences: tuple[str, ...] = Field(
        default=(), description="sentences of the absence value, as many as templates; none: the templates say it too"
    )
    accuracy: float | AccuracyByValue | None = Field(
        default=None, description="expected share of right initial annotations; simulated annotations err that often"
    )
    confusions: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="true value -> what is said instead -> relative weight"
    )
    geography: Geography | None = Field(
        default=None, description="initial annotation of real tiles; null: needs a table"
    )
    rarity: bool = Field(
        default=False,
        description="tiles with a rare value are judged apart, and shown more often where the schedule says so",
    )


class Aspect(FrozenModel):
    """How one clause of a block that is not there is annotated: drawn by weights, or equally likely."""

    clause: str
    weights: dict[str, float] = Field(default_factory=dict, description="value -> relative weight")
    any_of: tuple[str, ...] = Field(default=(), description="equally likely values, in place of weights")
    unless: dict[str, str] = Field(
        default_factory=dict, description="clause -> value drawn before under which `instead` is annotated"
    )
    instead: str | None = None


class InventedKind(FrozenModel):
    """One kind of thing that is annotated though it is not there."""

    value: str = Field(description="of the clause `by`")
    share: float = Field(gt=0, le=1, description="of the invented annotations")
    aspects: tuple[Aspect, ...] = Field(description="the block's other clauses, in the order in which they are drawn")


class Invented(FrozenModel):
    """Simulated annotations invent or miss a block as a whole, and weighing expects that of any annotation."""

    by: str = Field(description="clause of the block whose value tells kinds apart")
    shares: dict[str, float] = Field(description="its value -> assumed share of tiles, for clauses' mean accuracy")
    kinds: tuple[InventedKind, ...]


class Block(FrozenModel):
    """Clauses that describe one thing, so that they are absent together. A rule has to say so."""

    name: str = Field(pattern=_NAME)
    clauses: tuple[str, ...]
    invented: Invented | None = Field(
        default=None, description="how the block is invented or missed as a whole; null: never"
    )


class OtherThan(FrozenModel):
    """Every value but these."""

    other_than: tuple[str, ...]


class Case(FrozenModel):
    """Values that cannot be true together. A clause that an annotation does not have makes no case."""

    any_of: dict[str, tuple[str, ...] | OtherThan] = Field(
        default_factory=dict, description="clause -> values; one of these clauses has to have one of its values"
    )
    all_of: dict[str, tuple[str, ...] | OtherThan] = Field(
        default_factory=dict, description="clause -> values; each of these clauses has to have one of its values"
    )
    message: str = Field(description="{clause} stands for the value of that clause")


class Measured(FrozenModel):
    """A rule of hcot_llm/schema/measured_rules.py, bound to clauses of this schema."""

    kind: str = Field(description="name of the rule")
    clauses: dict[str, str] = Field(description="role of the rule -> clause")
    lengths_m: dict[str, dict[str, tuple[float, float]]] = Field(
        default_factory=dict, description="category -> size -> least and largest length, in metres"
    )
    parameters: dict[str, float | str] = Field(default_factory=dict, description="further numbers and values")


class Rule(FrozenModel):
    """One rule of level 5: a block, cases of forbidden values, or code that measures; exactly one of them."""

    name: str = Field(pattern=_NAME)
    block: str | None = Field(default=None, description="these clauses are absent together or not at all")
    message: str | None = Field(
        default=None, description="of a block: {absent}, {present} and {said} stand for clauses with their values"
    )
    cases: tuple[Case, ...] = ()
    measured: Measured | None = None


def first_piece(text: str) -> str:
    """What the tokenizer reads as one piece at the beginning of a value: letters and underscores, or one digit."""
    match = re.match(r"[a-z_]+|[0-9]", text)
    return match[0] if match else ""
