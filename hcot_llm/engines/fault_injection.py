"""Fault injection: damages answers before they are read, so that tests of durability see that nothing is lost.

Each fault has the name of the reason for which a valid answer is refused after it. All draws come from the answer's
seed.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from corpus.storage.rng import derive_seed
from hcot_llm.schema.answers import LONGEST_ANSWER
from hcot_llm.schema.repetition import CHARACTERS, COPIES

AnswerFault = Callable[[str, Sequence[str], np.random.Generator], str]


def cut(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """The answer ends too early, after one character at least."""
    return text[: int(draw.integers(1, max(len(text), 2)))]


def repetition(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """Somewhere on the way the model falls into a loop."""
    end = int(draw.integers(1, max(len(text), 2)))
    unit = text[max(0, end - int(draw.integers(1, 25))) : end] or " "
    return text[:end] + unit * (COPIES + CHARACTERS // len(unit) + int(draw.integers(20)))


def wrong_type(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """A value is no string, or the whole answer no object."""
    other = draw.choice(["3", "null", "true", '["sea"]', '{"is": "sea"}'])
    values = _values(text, clauses)
    if not values or draw.random() < 0.2:
        return f"[{text}]" if values else "3"
    start, end = values[int(draw.integers(len(values)))]
    return text[:start] + other + text[end:]


def empty(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """No text, or an object without clauses."""
    return str(draw.choice(["", " \n", "{}"]))


def over_long(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """The model talks on after its answer."""
    words = [f"{derive_seed(int(draw.integers(2**31))):x}" for _ in range(int(draw.integers(1, LONGEST_ANSWER // 8)))]
    return f"{text} {' '.join(words)}"


def out_of_vocabulary(text: str, clauses: Sequence[str], draw: np.random.Generator) -> str:
    """A value or a clause that the schema does not have."""
    values = _values(text, clauses)
    if not values or draw.random() < 0.2:
        return text.replace("{", '{"weather": "rain", ', 1) if values else json.dumps({"weather": "rain"})
    start, end = values[int(draw.integers(len(values)))]
    return text[:start] + '"volcano"' + text[end:]


ANSWER_FAULTS: Final[dict[str, AnswerFault]] = {
    fault.__name__: fault for fault in (cut, repetition, wrong_type, empty, over_long, out_of_vocabulary)
}


def inject_fault(text: str, clauses: Sequence[str], share: float, seed: int) -> tuple[str, str | None]:
    """Damage a share of the answers.

    Args:
        text: The answer as it was generated.
        clauses: The clauses that it answers.
        share: Probability of a fault, in 0..1.
        seed: Seed of this answer alone, so that the draw does not depend on other answers.

    Returns:
        The text to be read, and the name of its fault; None where the text is unchanged.
    """
    draw = np.random.default_rng(seed)
    if draw.random() >= share:
        return text, None
    name = list(ANSWER_FAULTS)[int(draw.integers(len(ANSWER_FAULTS)))]
    return ANSWER_FAULTS[name](text, clauses, draw), name


def _values(text: str, clauses: Sequence[str]) -> list[tuple[int, int]]:
    """Where the values of clauses stand, quotation marks included."""
    found = (re.search(rf'"{clause}": ("[^"]*")', text) for clause in clauses)
    return [match.span(1) for match in found if match]
