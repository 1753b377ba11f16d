"""One answer of a model that is asked by HCoT's chain, and what its log-probabilities say of the values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hcot_llm.engines.distribution import value_distribution, values_beginning
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError

# Some chat templates open the thought in the prompt, so that only its end is in the answer.
_THOUGHT: Final = re.compile(r"\A(?:\s*<think>)?.*?</think>", re.DOTALL)
_FENCED: Final = re.compile(r"```(?:json)?\s*([{\[].*?)\s*```", re.DOTALL)


@dataclass(frozen=True)
class Completion:
    """One answer. distributions: per asked clause float64 [V], where the model told enough; tokens: generated."""

    text: str
    distributions: dict[str, np.ndarray]
    tokens: int

    @staticmethod
    def of(
        schema: AnnotationSchema, text: str, clauses: Sequence[str], steps: Sequence[Any], tokens: int
    ) -> "Completion":
        """What a model said. clauses: that it was asked for, none for free text. steps: see `read_distributions`."""
        if not clauses:
            return Completion(without_thoughts(text), {}, tokens)
        answer = answer_object(text)
        return Completion(answer, read_distributions(schema, answer, clauses, steps), tokens)


def without_thoughts(text: str) -> str:
    """What a model said, less what it thought aloud before (`<think>`)."""
    return _THOUGHT.sub("", text, count=1)


def answer_object(text: str) -> str:
    """The JSON of an answer, out of what models without structured output put around it.

    Left out: what a model thought aloud (`<think>`), the fence of a code block with all around it, a sentence before
    the object. Text that begins with JSON stays as it is, so that what follows an answer is refused and counted.
    """
    said = without_thoughts(text)
    if said.lstrip()[:1] in ("{", "["):
        return said
    if fenced := _FENCED.search(said):
        return fenced[1]
    return said[said.find("{") :] if "{" in said else said


def read_distributions(
    schema: AnnotationSchema, text: str, clauses: Sequence[str], steps: Sequence[Any]
) -> dict[str, np.ndarray]:
    """Read the distribution of each clause whose value's first token tells the value.

    Args:
        schema: The schema of the annotations.
        text: The JSON of the answer.
        clauses: The clauses that were asked for.
        steps: Per token an object with `token` (its text) and `top_logprobs` (objects with `token` and `logprob`).

    Returns:
        Per clause float64 [V]; nothing for an answer that cannot be used.
    """
    pieces = [step.token for step in steps]
    try:
        values = parse_answer(schema, text, clauses)
    except AnswerError:
        return {}
    said = "".join(pieces)
    starts = dict(
        zip(np.cumsum([0, *map(len, pieces)]).tolist(), steps, strict=False)
    )  # the last sum is the end of the text
    found = {}
    for clause in clauses:
        match = re.search(rf'"{clause}"\s*:\s*"', said)
        step = starts.get(match.end()) if match else None
        if step is None or not values[clause].startswith(step.token):
            continue
        vocabulary = schema.vocabulary[clause]
        if len(values_beginning(vocabulary, step.token)) == 1:
            found[clause] = value_distribution(vocabulary, [(each.token, each.logprob) for each in step.top_logprobs])
    return found
