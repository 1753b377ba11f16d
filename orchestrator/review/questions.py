"""What a person is asked: clauses of a tile, each with what is proposed, how probable it is, and who says what."""

import math
from dataclasses import dataclass

import numpy as np

from orchestrator.report.reasons import sayings_of
from orchestrator.report.story import Story

_ALTERNATIVES = 3
_NAMES = {
    "initial": "initial annotation",
    "encoder": "encoder",
    "captioner": "captioner",
    "neighbours": "nearest tiles",
    "rules": "all together",
    "person": "earlier decision",
}


@dataclass(frozen=True)
class Question:
    """One clause of one tile.

    Attributes:
        tile_id: the tile.
        clause: the clause.
        proposed: the value that is shown as the proposal.
        confidence: how probable the proposal is, given all sources.
        alternatives: the most probable values with their probabilities, the most probable first.
        reasons: who says what, a sentence each.
        usefulness: expected number of clauses that an answer corrects.
        expected: the known answer of a planted control; '' for a question.
    """

    tile_id: str
    clause: str
    proposed: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...]
    reasons: tuple[str, ...]
    usefulness: float = 0.0
    expected: str = ""


@dataclass(frozen=True)
class Task:
    """One tile with its questions, and the values of its other clauses."""

    tile_id: str
    questions: tuple[Question, ...]
    context: dict[str, str]


def make_question(story: Story, tile_id: str, clause: str, usefulness: float = 0.0) -> Question:
    """The question about a clause as the last round left it."""
    state, evidence = story.states[-1], story.last_evidence
    row, column, words = state.row_of[tile_id], story.schema.column[clause], story.schema.vocabulary[clause]
    proposed, confidence = words[state.values[row, column]], float(state.confidence[row, column])
    if evidence is None:
        return Question(tile_id, clause, proposed, confidence, ((proposed, confidence),), (), usefulness)
    posterior = evidence.distributions["posterior"][clause][evidence.row_of[tile_id]]
    best = np.argsort(-posterior, kind="stable")[:_ALTERNATIVES]
    reasons = []
    for said in sayings_of(evidence, story.states[0], state, tile_id, clause):
        probability = "" if math.isnan(said.probability) else f" ({said.probability:.0%})"
        reasons.append(f"{_NAMES[said.source]}: {said.value.replace('_', ' ')}{probability}")
    reasons.append(story.steps(tile_id, clause)[-1].why)
    return Question(
        tile_id,
        clause,
        proposed,
        float(posterior[state.values[row, column]]),
        tuple((words[index], float(posterior[index])) for index in best),
        tuple(reasons),
        usefulness,
    )
