"""Evaluation tasks: what the registry promises to who adds one."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from benchmark.base import (
    TASKS,
    EvaluationInputs,
    EvaluationTask,
    Flags,
    HeldOutTiles,
    MissingInput,
    Need,
    TaskResult,
    evaluate_all,
)
from benchmark.config import EvaluationConfig
from benchmark.tasks import DEFAULT_TASKS
from corpus.registry import UnknownMember
from hcot_llm.schema.annotation_schema import AnnotationSchema
from support.hcot import HCOT
from support.toy_schemas import VEHICLES
from support.toy_task import NAME

ROWS = pa.table(
    {"tile_id": ["a", "b"], "clause": ["terrain"] * 2, "value": ["plain", "hills"], "confidence": [0.5, 0.9]}
)
TRUTH = pa.table({"tile_id": ["a", "b"], "terrain": ["plain", "plain"]})


class Task:
    """A task that returns what it is given."""

    def __init__(self, found: dict[str, float], needs: frozenset[Need] = frozenset(), named: tuple[str, ...] = ()):
        self.found, self.needs, self.metrics = found, needs, named

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        return TaskResult(self.found)


@pytest.fixture
def register(monkeypatch):
    return lambda name, task: monkeypatch.setitem(TASKS._members, name, task)


@pytest.mark.parametrize("name", DEFAULT_TASKS)
def test_the_tasks_of_the_project_keep_the_protocol(name):
    assert isinstance(TASKS.find(name), EvaluationTask)


def test_the_default_configuration_runs_every_task_of_the_project():
    assert EvaluationConfig().tasks == DEFAULT_TASKS


def test_a_configuration_may_list_a_task_from_outside_and_an_unknown_one_is_refused_by_name():
    assert EvaluationConfig(tasks=(NAME,)).tasks == (NAME,)
    with pytest.raises(ValidationError, match="There is no evaluation task 'toy_confidenc'"):
        EvaluationConfig(tasks=("toy_confidenc",))
    with pytest.raises(ValidationError, match="listed twice"):
        EvaluationConfig(tasks=(NAME, NAME))


def test_a_task_from_outside_is_given_annotations_and_truth():
    found = evaluate_all([NAME], EvaluationInputs(HCOT, ROWS, ROWS).with_truth(TRUTH))
    assert found.metrics == {"toy_confidence_of_right": 0.5}


def test_a_task_whose_precondition_fails_is_not_run_and_its_metrics_are_null():
    assert evaluate_all([NAME], EvaluationInputs(HCOT, ROWS, ROWS)).metrics == {"toy_confidence_of_right": None}


def test_a_metric_that_a_task_names_and_does_not_find_is_null(register):
    register("forgetful", Task({}, named=("lost",)))
    assert evaluate_all(["forgetful"], EvaluationInputs(HCOT, ROWS, ROWS)).metrics == {"lost": None}


def test_two_tasks_that_give_the_same_metric_are_refused(register):
    register("one", Task({"same": 1.0}))
    register("other", Task({"same": 2.0}))
    with pytest.raises(ValueError, match="'other' gives same, which another task gives too"):
        evaluate_all(["one", "other"], EvaluationInputs(HCOT, ROWS, ROWS))


def test_an_unknown_task_is_named():
    with pytest.raises(UnknownMember, match="nothing-like-it"):
        evaluate_all(["nothing-like-it"], EvaluationInputs(HCOT, ROWS, ROWS))


def test_a_task_that_reads_what_it_does_not_declare_is_told_to_declare_it():
    inputs = EvaluationInputs(HCOT, ROWS, ROWS)
    with pytest.raises(MissingInput, match="needs"):
        _ = inputs.truth
    with pytest.raises(MissingInput, match="needs"):
        _ = inputs.held_out


@pytest.mark.parametrize(
    ("flagged", "precision", "recall"),
    [([True, True], 0.5, 1.0), ([False, True], 1.0, 1.0), ([True, False], 0.0, 0.0), ([False, False], None, 0.0)],
)
def test_flags_are_precise_where_what_they_doubt_is_wrong(flagged, precision, recall):
    inputs = EvaluationInputs(HCOT, ROWS, ROWS, flagged_clauses=Flags(ROWS, np.asarray(flagged))).with_truth(TRUTH)
    assert evaluate_all(["flag_precision"], inputs).metrics == {"flag_precision": precision, "flag_recall": recall}


def test_before_a_round_has_flagged_anything_the_precision_of_flags_is_null():
    inputs = EvaluationInputs(HCOT, ROWS, ROWS).with_truth(TRUTH)
    assert evaluate_all(["flag_precision"], inputs).metrics == {"flag_precision": None, "flag_recall": None}
    with pytest.raises(MissingInput, match="needs"):
        _ = inputs.flags


def test_held_out_tiles_are_judged_by_the_encoder_and_by_all_sources_weighed(tmp_path):
    schema = AnnotationSchema.model_validate(VEHICLES)
    truth = pa.table({"tile_id": ["a", "b"], "vehicle": ["howitzer", "howitzer"]})
    sure, torn = np.eye(10)[[0, 1]], np.tile(np.linspace(0.9, 0.0, 10), (2, 1))
    unseen = HeldOutTiles(["a", "b"], {"vehicle": sure}, np.zeros((2, 1), np.float32), tmp_path, {"vehicle": torn})
    for held_out, weighed in ((unseen, 1.0), (replace(unseen, weighed=None), None)):
        inputs = EvaluationInputs(schema, ROWS, ROWS, held_out_tiles=held_out, hidden_truth=truth)
        metrics = evaluate_all(["held_out_clauses"], inputs).metrics
        assert (metrics["held_out_slot_accuracy"], metrics["held_out_weighed_accuracy"]) == (0.5, weighed)
