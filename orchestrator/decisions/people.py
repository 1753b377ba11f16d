"""Kinds of people, and how far one is believed: as is expected of the kind, and as planted controls were answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from corpus.registry import Registry
from hcot_llm.aggregation.people import Said
from orchestrator.decisions.store import Answer

_LIMITS: Final = (0.5, 0.995)
"""Nobody is held to be never wrong, and nobody who was asked to be worse than a coin."""


@dataclass(frozen=True)
class Reliability:
    """What is expected before controls are seen. accuracy: share of right answers; worth: answers that counts as."""

    accuracy: float
    worth: float

    def after(self, right: int, answered: int) -> float:
        """Expected share of right answers once `answered` controls were answered, `right` of them rightly."""
        found = (self.accuracy * self.worth + right) / (self.worth + answered)
        return min(max(found, _LIMITS[0]), _LIMITS[1])


PEOPLE: Registry[Reliability] = Registry("kind of person")
PEOPLE.add("annotator", Reliability(0.93, 20))
PEOPLE.add("expert", Reliability(0.97, 40))
PEOPLE.add("crowd", Reliability(0.80, 10))
DEFAULT_KIND: Final = "annotator"


@dataclass(frozen=True)
class Person:
    """One person of a run.

    Attributes:
        name: as the files have it.
        kind: of PEOPLE.
        answers: how many answers of this person stand.
        controls: how many planted controls this person answered.
        controls_right: how many of them rightly.
    """

    name: str
    kind: str
    answers: int
    controls: int
    controls_right: int

    @property
    def accuracy(self) -> float:
        """Expected share of right answers."""
        return PEOPLE.find(self.kind).after(self.controls_right, self.controls)


def people_of(answers: Iterable[Answer]) -> dict[str, Person]:
    """Everybody who answered, by name, in the order of their first answer.

    Args:
        answers: those that stand, controls among them.
    """
    by_name: dict[str, list[Answer]] = {}
    for answer in answers:
        by_name.setdefault(answer.person, []).append(answer)
    return {
        name: Person(
            name,
            said[-1].kind,
            sum(not each.is_control for each in said),
            sum(each.is_control for each in said),
            sum(each.is_control and each.value == each.expected for each in said),
        )
        for name, said in by_name.items()
    }


def said_of(answers: Iterable[Answer]) -> list[Said]:
    """What people said, each with how far that person is believed; controls decide nothing and are left out."""
    answers = list(answers)
    people = people_of(answers)
    return [
        Said(each.tile_id, each.clause, each.value, people[each.person].accuracy)
        for each in answers
        if not each.is_control
    ]
