"""One answer of a model that is asked by HCoT's chain, and what its log-probabilities say of the values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hcot_llm.distribution import value_distribution, values_beginning
from hcot_llm.schema import AnswerError, Clause, parse_answer


@dataclass(frozen=True)
class Completion:
    """One answer. distributions: per asked clause float64 [V], where the model told enough; tokens: generated."""

    text: str
    distributions: dict[Clause, np.ndarray]
    tokens: int


def read_distributions(text: str, clauses: Sequence[Clause], steps: Sequence[Any]) -> dict[Clause, np.ndarray]:
    """Distribution of each clause whose value's first token tells the value; none for an answer that cannot be used.

    Args:
        steps: per token an object with `token` (its text) and `top_logprobs` (objects with `token` and `logprob`).
    """
    pieces = [step.token for step in steps]
    try:
        values = parse_answer(text, clauses)
    except AnswerError:
        return {}
    said = "".join(pieces)
    starts = {start: step for start, step in zip(np.cumsum([0, *map(len, pieces)]).tolist(), steps)}
    found = {}
    for clause in clauses:
        match = re.search(rf'"{clause}"\s*:\s*"', said)
        step = starts.get(match.end()) if match else None
        if step is None or not values[clause].startswith(step.token):
            continue
        if len(values_beginning(clause, step.token)) == 1:
            found[clause] = value_distribution(clause, [(each.token, each.logprob) for each in step.top_logprobs])
    return found
