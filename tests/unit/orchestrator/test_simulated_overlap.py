"""Training that goes on while labels are written, in simulated runs of the real loop and schedule."""

import pytest

from corpus.storage.errors import InputError
from orchestrator.config.load import load_config
from orchestrator.simulation.costs import Costs, PhaseCost
from orchestrator.simulation.hardware import TRAINER, choose_hardware
from orchestrator.simulation.measured import measure
from orchestrator.simulation.simulate import simulate
from orchestrator.simulation.timeline import usage
from orchestrator.state.records import PHASES, InitialSummary, write_initial_summary, write_record
from orchestrator.state.run_directory import RunDirectory
from support.paths import ROOT
from support.records import record
from support.unguarded import unguarded

DEFAULT = ROOT / "configs" / "default.yaml"
TRAIN_S, SCORE_S, LABEL_S, PUBLISH_S = 100.0, 20.0, 80.0, 2.0
COSTS = Costs(
    cores=8,
    tiles=100,
    **{phase: PhaseCost() for phase in ("startup", *PHASES)}
    | {
        "train": PhaseCost(start_s=TRAIN_S, busy_cores=2),
        "publish": PhaseCost(start_s=PUBLISH_S),
        "score": PhaseCost(start_s=SCORE_S, busy_cores=2),
        "label": PhaseCost(start_s=LABEL_S, busy_cores=2),
    },
)
"""Training takes as long as all that is done with the labels."""


def run(*settings, cores=8.0, costs=COSTS):
    config = load_config(DEFAULT, ["rounds=4", *settings])
    return simulate(config, costs, choose_hardware(config, cores, None, None, None))


def test_a_round_of_equal_phases_takes_hardly_longer_than_one_of_them_on_enough_cores():
    beside, serial = run("schedule.staleness=1"), run()
    goal = 1.1 * max(TRAIN_S, SCORE_S + LABEL_S) + PUBLISH_S
    later = [seconds for number, seconds in beside.round_s.items() if number > 1]
    assert later == pytest.approx([TRAIN_S + PUBLISH_S] * 3)
    assert max(later) <= goal
    # Of the first round the training, and of the last one the labels, have nothing beside them.
    assert beside.total_s == pytest.approx(5 * TRAIN_S + 4 * PUBLISH_S)
    assert serial.total_s == pytest.approx(8 * TRAIN_S + 4 * PUBLISH_S)


@pytest.mark.parametrize(("train_s", "label_s"), [(200, 50), (50, 200)])
def test_the_longer_one_of_training_and_labelling_sets_the_time_of_a_round(train_s, label_s):
    costs = COSTS.model_copy(
        update={"train": PhaseCost(start_s=train_s), "score": PhaseCost(), "label": PhaseCost(start_s=label_s)}
    )
    seconds = run("schedule.staleness=1", costs=costs).round_s
    # A round is recorded once it is labelled, and begins with what is left of its training.
    assert seconds[2] == pytest.approx(max(train_s - label_s, 0) + PUBLISH_S + label_s)
    assert seconds[3] == pytest.approx(max(train_s, label_s) + PUBLISH_S)


def test_nothing_is_won_where_the_cores_are_busy_already():
    """Two cores, and every phase keeps both of them busy."""
    beside, serial = run("schedule.staleness=1", cores=2.0), run(cores=2.0)
    assert beside.total_s == pytest.approx(serial.total_s)
    assert beside.as_json()["core_utilisation"] <= 1


def test_cores_that_a_phase_leaves_idle_are_what_is_won():
    """Phases that use half of the machine each: together they use all of it."""
    costs = COSTS.model_copy(
        update={name: COSTS.of(name).model_copy(update={"busy_cores": 1}) for name in ("train", "score", "label")}
    )
    beside = run("schedule.staleness=1", cores=2.0, costs=costs)
    assert beside.total_s == pytest.approx(5 * TRAIN_S + 4 * PUBLISH_S)


def test_a_fold_is_trained_while_the_one_before_is_labelled():
    found = run("schedule.staleness=1", "schedule.folds=2", "rounds=2")
    trained = [(span.round, span.fold, span.begin_s) for span in found.spans if span.phase == "train"]
    published = {(span.round, span.fold): span.end_s for span in found.spans if span.phase == "publish"}
    assert [each[:2] for each in trained] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    for (*_, begin_s), before in zip(trained[1:], trained, strict=False):
        assert begin_s == pytest.approx(published[before[:2]])
    assert found.total_s == pytest.approx(5 * TRAIN_S + 4 * PUBLISH_S)


def test_a_training_that_nobody_needs_ends_with_the_run():
    costs = COSTS.model_copy(update={"accepted_share": (0.0,)})
    found = run("schedule.staleness=1", "schedule.acceptance_floor=0.1", costs=costs)
    assert found.end is not None
    assert found.total_s == pytest.approx(TRAIN_S + PUBLISH_S + SCORE_S + LABEL_S)
    [_, abandoned] = [span for span in found.spans if span.phase == "train"]
    assert (abandoned.round, abandoned.seconds) == (2, pytest.approx(SCORE_S + LABEL_S))


def test_the_training_group_waits_less(call):
    beside, serial = run("schedule.staleness=1"), run()
    busy = [
        next(each for each in usage(found.spans, found.crew) if each.name == TRAINER).utilisation
        for found in (serial, beside)
    ]
    assert busy == pytest.approx([400 / 808, 400 / 508])
    status, out, error = call("simulate", DEFAULT, "--set", "schedule.staleness=1")
    assert status == 0, error
    trains, others = (line for line in out.splitlines() if line.startswith("|"))
    assert set(trains) <= set("|T ")
    assert "L" in others


def test_what_a_phase_costs_is_not_read_from_a_run_whose_phases_overlapped(tmp_path):
    config = load_config(DEFAULT, ["schedule.staleness=1"])
    path = RunDirectory.create(config, tmp_path / "run", tmp_path).path
    summary = InitialSummary(annotation_accuracy=0.8, tiles=100, quarantined=0, simulated=True)
    write_initial_summary(unguarded(path), summary)
    write_record(unguarded(path), record(1))
    write_record(unguarded(path), record(2, trained_ahead_s=3.5))
    with pytest.raises(InputError, match=r"shared the cores.*schedule\.staleness 0"):
        measure(path)
