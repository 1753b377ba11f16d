"""What each label source said of a clause in a round, and in words why its value changed or stayed."""

from dataclasses import dataclass

import numpy as np

from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.people import PERSON
from orchestrator.state.evidence import SOMETIMES, Evidence

_RULES_COUNT = 0.1
"""A change of probability by the rules that is worth a sentence."""
_LIKELY = 0.5
SOURCES = ("initial", "encoder", "captioner", "neighbours", "statistics", "rules", "person")
"""Sources of a saying, in the order in which they are shown."""
_WHO = {"seed": "It went back to the initial value", "statistics": "Classifiers on statistics proposed it"}
"""Source of a value -> who brought it up; any other value the captioner proposed."""


@dataclass(frozen=True)
class Saying:
    """What one source says of a clause.

    source: initial, encoder, captioner, neighbours, statistics, rules or person. value: its favourite. probability: of
    that value.
    of_kept: the probability it gives the value that the clause has after the round. weight: how far it was believed;
    None where that is not a number of its own.
    """

    source: str
    value: str
    probability: float
    of_kept: float
    weight: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a round made of one clause of a tile. source: who the value came from. split: of the tile, '' if unknown."""

    tile_id: str
    clause: str
    before: str
    value: str
    source: str
    confidence: float
    split: str


def sayings_of(
    evidence: Evidence, first: AnnotationMatrix, state: AnnotationMatrix, tile_id: str, clause: str
) -> tuple[Saying, ...]:
    """What each source said of a clause.

    Args:
        evidence: of the round.
        first: the initial annotations.
        state: the annotations after the round.
        tile_id: a tile of both.
        clause: of their schema.
    """
    schema = evidence.schema
    words, column = schema.vocabulary[clause], schema.column[clause]
    row, at = evidence.row_of[tile_id], state.row_of[tile_id]
    kept, initial = int(state.values[at, column]), int(first.values[at, column])
    sure = float(first.confidence[at, column])
    weights = dict(zip(evidence.weights.models, evidence.weights.source_weights[clause], strict=True))
    found = [Saying("initial", words[initial], sure, sure if initial == kept else (1 - sure) / max(len(words) - 1, 1))]
    for name in ("encoder", "captioner", "neighbours", *(each for each in SOMETIMES if each in evidence.distributions)):
        said = evidence.distributions[name][clause][row]
        if not np.isnan(said).any():
            best = int(said.argmax())
            found.append(Saying(name, words[best], float(said[best]), float(said[kept]), weights.get(name)))
        elif name == "captioner" and (answer := int(evidence.proposed[row, column, 0])) != NOT_PROPOSED:
            found.append(Saying(name, words[answer], float("nan"), float("nan"), weights.get(name)))
    together = evidence.distributions["posterior"][clause][row]
    best = int(together.argmax())
    found.append(Saying("rules", words[best], float(together[best]), float(together[kept])))
    if (decided := int(evidence.decided[row, column])) >= 0:
        found.append(Saying(PERSON, words[decided], float(together[decided]), float(together[kept])))
    return tuple(found)


def why_at_first(source: str, confidence: float) -> str:
    """Why a clause has its value before the first round."""
    if source == PERSON:
        return "A person had decided it before the run began."
    return f"Initial annotation; taken to be right with probability {confidence:.2f}."


def why(evidence: Evidence | None, outcome: Outcome) -> str:
    """Why a clause changed or stayed in a round, in a few sentences.

    Args:
        evidence: of the round; None where it left none.
        outcome: what became of the clause.
    """
    before, value, p = outcome.before, outcome.value, outcome.confidence
    if outcome.source == PERSON:
        same = ", as it was" if value == before else ""
        return f"A person decided it{same}; with all other evidence it is {p:.2f} probable."
    if evidence is None:
        done = "Stayed" if value == before else "Changed"
        return f"{done}; the round left no file of evidence, so no more is known."
    row = evidence.row_of[outcome.tile_id]
    rules, whole = _rules(evidence, row, outcome), _whole(evidence, row, outcome.clause)
    if value == before:
        return _why_it_stayed(evidence, row, outcome) + (rules if _flag(evidence, "rejected", outcome) else "") + whole
    who = _WHO.get(outcome.source) or _how_the_captioner_proposed(evidence, row, outcome)
    new, old = _probability(evidence, row, outcome.clause, value), _probability(evidence, row, outcome.clause, before)
    return f"{who}; weighed with all sources it is {new:.2f} probable, {before} {old:.2f}." + rules + whole


def _how_the_captioner_proposed(evidence: Evidence, row: int, outcome: Outcome) -> str:
    """Its answer proposes a value, and so does its distribution, which may have another favourite."""
    words, clause = evidence.schema.vocabulary[outcome.clause], outcome.clause
    said = evidence.distributions["captioner"][clause][row]
    if np.isnan(said).any() or words[best := int(said.argmax())] == outcome.value:
        return "The captioner proposed it"
    favourite = f"{words[best]} is the most probable to it ({said[best]:.2f})"
    if outcome.value in _answers(evidence, row, clause):
        return f"The captioner answered it, although {favourite}"
    p = _probability(evidence, row, clause, outcome.value, "captioner")
    return f"The captioner held it possible ({p:.2f}), although {favourite}"


def _why_it_stayed(evidence: Evidence, row: int, outcome: Outcome) -> str:
    clause, value = outcome.clause, outcome.value
    p = _probability(evidence, row, clause, value)
    if outcome.split == "held_out":
        return "Held out of training: its annotation is not changed by the loop."
    if not _flag(evidence, "flagged", outcome):
        return f"Not flagged: {p:.2f} probable."
    if not _flag(evidence, "queried", outcome):
        return f"In doubt ({p:.2f} probable), but not asked about in this round."
    said = _answers(evidence, row, clause)
    if not said:
        return "In doubt and asked, without an answer that could be used."
    other = next((each for each in said if each != value), None)
    if other is None:
        if _flag(evidence, "rejected", outcome):
            return f"In doubt; the captioner says {value} too, and nothing else that it held possible is as probable."
        return f"In doubt; the captioner was asked and says {value} as well."
    instead = _probability(evidence, row, clause, other)
    return f"The captioner said {other}, which is {instead:.2f} probable; {value} is {p:.2f} probable and stays."


def _answers(evidence: Evidence, row: int, clause: str) -> list[str]:
    """The values that the captioner answered, those that could be used."""
    words, column = evidence.schema.vocabulary[clause], evidence.schema.column[clause]
    return [words[answer] for answer in evidence.proposed[row, column] if answer != NOT_PROPOSED]


def _flag(evidence: Evidence, name: str, outcome: Outcome) -> bool:
    return bool(evidence.flags[name][evidence.row_of[outcome.tile_id], evidence.schema.column[outcome.clause]])


def _probability(evidence: Evidence, row: int, clause: str, value: str, source: str = "posterior") -> float:
    return float(evidence.distributions[source][clause][row][evidence.schema.value_index[clause][value]])


def _rules(evidence: Evidence, row: int, outcome: Outcome) -> str:
    alone = _probability(evidence, row, outcome.clause, outcome.value, "alone")
    together = _probability(evidence, row, outcome.clause, outcome.value)
    if abs(together - alone) < _RULES_COUNT:
        return ""
    return (
        f" The other clauses and the rules speak {'for' if together > alone else 'against'} {outcome.value}: "
        f"by itself it would be {alone:.2f} probable."
    )


def _whole(evidence: Evidence, row: int, clause: str) -> str:
    about = {block.name for block in evidence.schema.whole_blocks if clause in block.clauses} | {"tile"}
    for way, share in zip(evidence.weights.ways, evidence.wholly_wrong[row], strict=True):
        if way in about and share > _LIKELY:
            what = "belong to another tile" if way == "tile" else f"have invented or missed the {way} as a whole"
            return f" The initial annotation seems to {what} ({share:.2f})."
    return ""
