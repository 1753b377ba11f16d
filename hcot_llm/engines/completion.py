"""One answer of a model that is queried by the HCoT chain, and the distributions in its log-probabilities."""

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
    """One answer.

    Attributes:
        text: The answer without thoughts; the JSON alone where clauses were queried.
        distributions: Per queried clause float64 [V], where the log-probabilities tell it.
        tokens: Number of generated tokens.
    """

    text: str
    distributions: dict[str, np.ndarray]
    tokens: int

    @staticmethod
    def of(
        schema: AnnotationSchema, text: str, clauses: Sequence[str], steps: Sequence[Any], tokens: int
    ) -> "Completion":
        """Read the text of a model.

        Args:
            schema: The schema of the clauses.
            text: The text as it was generated.
            clauses: The queried clauses; none for free text.
            steps: Per token its log-probabilities, see `read_distributions`.
            tokens: Number of generated tokens.
        """
        if not clauses:
            return Completion(without_thoughts(text), {}, tokens)
        answer = answer_object(text)
        return Completion(answer, read_distributions(schema, answer, clauses, steps), tokens)


def without_thoughts(text: str) -> str:
    """The text of a model without the thoughts before the answer (`<think>`)."""
    return _THOUGHT.sub("", text, count=1)


def answer_object(text: str) -> str:
    """The JSON of an answer, without the text that models without structured output put around it.

    Thoughts (`<think>`), the fence of a code block with all text around it, and a sentence before the object are
    removed. Text that begins with JSON stays as it is: text after an answer is refused later, and counted.
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
        clauses: The queried clauses.
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
