"""How far people agree with one another: Cohen's kappa of each pair, Krippendorff's alpha of everybody."""

import itertools
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.decisions.store import Answer


@dataclass(frozen=True)
class Agreement:
    """Of one clause, or of all (clause ''). None where chance alone would agree as much, or nothing is shared.

    Attributes:
        clause: the clause; '' for all of them.
        shared: questions that two people or more answered.
        same: of these, how many were answered alike by all.
        kappa: pair of people -> Cohen's kappa of what both answered.
        alpha: Krippendorff's alpha, nominal.
    """

    clause: str
    shared: int
    same: int
    kappa: dict[tuple[str, str], float | None]
    alpha: float | None


def agreement(schema: AnnotationSchema, answers: Iterable[Answer]) -> list[Agreement]:
    """Agreement by clause, and over all clauses last; [] where no question has two answers.

    Args:
        schema: of the answers.
        answers: those that stand; controls count, as everybody who got them answered them.
    """
    by_clause: dict[str, dict[tuple[str, bool], dict[str, str]]] = {}
    for answer in answers:
        question = by_clause.setdefault(answer.clause, {}).setdefault((answer.tile_id, answer.is_control), {})
        question[answer.person] = answer.value
    shared = {
        clause: [said for said in questions.values() if len(said) > 1]
        for clause, questions in by_clause.items()
        if any(len(said) > 1 for said in questions.values())
    }
    found = [_of_clause(clause, shared[clause]) for clause in schema.names if clause in shared]
    return [*found, _overall(found)] if found else []


def _of_clause(clause: str, questions: list[dict[str, str]]) -> Agreement:
    people = list(dict.fromkeys(person for said in questions for person in said))
    kappa = {}
    for one, other in itertools.combinations(people, 2):
        both = [(said[one], said[other]) for said in questions if one in said and other in said]
        if both:
            kappa[one, other] = _kappa(both)
    same = sum(len(set(said.values())) == 1 for said in questions)
    return Agreement(clause, len(questions), same, kappa, _alpha(people, questions))


def _kappa(both: list[tuple[str, str]]) -> float | None:
    from sklearn.metrics import cohen_kappa_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both said the same one value everywhere: nothing was told apart
        found = float(cohen_kappa_score(*zip(*both, strict=True)))
    return None if math.isnan(found) else found


def _alpha(people: list[str], questions: list[dict[str, str]]) -> float | None:
    import krippendorff

    values = sorted({value for said in questions for value in said.values()})
    if len(values) < 2:
        return None
    index = {value: float(place) for place, value in enumerate(values)}
    data = np.asarray([[index.get(said.get(person, ""), np.nan) for said in questions] for person in people])
    return float(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))


def _overall(found: list[Agreement]) -> Agreement:
    """Means over the clauses, each weighing as much as it has shared questions: values of clauses do not compare."""
    pairs = dict.fromkeys(pair for each in found for pair in each.kappa)
    kappa = {pair: _mean([(each.kappa.get(pair), each.shared) for each in found]) for pair in pairs}
    alpha = _mean([(each.alpha, each.shared) for each in found])
    return Agreement("", sum(each.shared for each in found), sum(each.same for each in found), kappa, alpha)


def _mean(weighted: list[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None
