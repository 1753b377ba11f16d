"""Level 5 of `knowlip caption`: what contradicts itself is asked again; test_loop.py has the whole command."""

import numpy as np

from hcot_llm.engines.answer import Answer
from hcot_llm.knowledge.knowledge import tile_knowledge
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.caption_tile import _corrected
from support.consistent import STARTS
from support.hcot import ABSENT, VOCABULARY

PORT = STARTS[0]


def answer(values: dict) -> Answer:
    return Answer(values, {clause: np.full(len(VOCABULARY[clause]), 0.1) for clause in values}, None, 1)


class Obedient:
    """Answers the water as told, and anything else as in PORT."""

    def __init__(self, water: str) -> None:
        self.values, self.asked = PORT | {"water": water}, []

    def ask(self, prompt, clauses, seed):
        self.asked.append((prompt, clauses))
        return answer({clause: self.values[clause] for clause in clauses})


def corrected(captioner, **changes) -> Answer:
    values = PORT | changes
    return _corrected(answer(values), captioner, tile_knowledge(9.9, 53.5), 10.0, RunConfig(name="test"))


def test_a_contradiction_is_asked_again_and_its_correction_kept():
    captioner = Obedient(PORT["water"])
    assert corrected(captioner, water=ABSENT).values == PORT
    [(prompt, clauses)] = captioner.asked
    assert "water" in clauses
    assert "road" not in clauses
    assert f"road {PORT['road']}" in prompt


def test_an_answer_that_is_no_better_changes_nothing():
    assert corrected(Obedient(ABSENT), water=ABSENT).values == PORT | {"water": ABSENT}


def test_what_contradicts_nothing_is_not_asked_again():
    captioner = Obedient(ABSENT)
    assert corrected(captioner).values == PORT
    assert captioner.asked == []
