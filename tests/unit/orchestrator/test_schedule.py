"""What a schedule decides, round by round, and the files that come with the project."""

import numpy as np
import pytest

from actors.trainer.config import TrainConfig
from corpus.storage.errors import ConfigError
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from orchestrator.config.load import flatten, load_config, save_config
from orchestrator.policies.schedule import Phase, Schedule, ScheduleConfig, schedule_label
from orchestrator.state.records import is_over
from support.hcot import CLAUSES
from support.paths import ROOT
from support.records import record

FILES = sorted((ROOT / "configs" / "schedule").glob("*.yaml"))
SMOKE = ROOT / "configs" / "smoke.yaml"
TRAIN = TrainConfig(first_round_epochs=7, round_epochs=3)


def schedule(acceptance: AcceptanceConfig | None = None, **settings) -> Schedule:
    return Schedule(ScheduleConfig(**settings), TRAIN, acceptance or AcceptanceConfig(minimum_margin=0.05))


def of(path) -> Schedule:
    config = load_config(SMOKE, [f"schedule={path}", "rounds=4"])
    return Schedule(config.schedule, TRAIN, config.acceptance)


def test_the_default_is_the_loop_without_a_schedule():
    assert load_config(SMOKE, [f"schedule={ROOT}/configs/schedule/default.yaml"]).schedule == ScheduleConfig()
    first, second = schedule().plan(1), schedule().plan(2)
    assert first.from_scratch
    assert first.epochs == 7
    assert not second.from_scratch
    assert second.epochs == 3
    for plan in (first, second):
        assert plan.phase is Phase.REFILL
        assert plan.regenerated_share == 1
        assert plan.acceptance_margin == 0.05
        assert plan.initial_caption_share == 0
        assert plan.rare_landform_factor == 1
    assert schedule().folds == 1
    assert schedule().why_end(1, 10, 0) is None


def test_one_value_holds_for_all_rounds_and_a_lists_last_for_the_rest():
    policy = schedule(acceptance_margin=[0.3, 0.1], regenerated_share=0.5, start=["warm", "warm", "scratch"])
    assert [policy.plan(round_).acceptance_margin for round_ in (1, 2, 3, 9)] == [0.3, 0.1, 0.1, 0.1]
    assert [policy.plan(round_).regenerated_share for round_ in (1, 2)] == [0.5, 0.5]
    assert [policy.plan(round_).from_scratch for round_ in (1, 2, 3, 4)] == [True, False, True, True]


def test_a_round_from_scratch_trains_as_long_and_as_fast_as_the_first():
    policy = schedule(start="scratch")
    assert policy.plan(2) == policy.plan(1)
    assert policy.plan(2).epochs == TRAIN.first_round_epochs
    assert max(TRAIN.learning_rate_at(True, step, 50) for step in range(50)) == TRAIN.learning_rate
    assert max(TRAIN.learning_rate_at(False, step, 50) for step in range(50)) == TRAIN.later_learning_rate


def test_epochs_can_be_set_by_round():
    policy = schedule(epochs=[9, 4])
    assert [policy.plan(round_).epochs for round_ in (1, 2, 3)] == [9, 4, 4]


def test_by_default_a_round_is_trained_on_all_labels_before_it_and_nothing_goes_on_beside():
    assert [schedule().trained_on(round_) for round_ in (1, 2, 3)] == [0, 1, 2]
    assert [list(schedule().rounds_trained_on(last)) for last in (0, 1, 2)] == [[1], [2], [3]]
    assert schedule(folds=3).training_beside(1, 0, 3) is None


def test_with_a_staleness_of_one_the_labels_of_the_round_before_are_not_trained_on():
    policy = schedule(staleness=1)
    assert [policy.trained_on(round_) for round_ in (1, 2, 3, 4)] == [0, 0, 1, 2]


@pytest.mark.parametrize("last_round", range(5))
def test_what_is_committed_after_a_round_is_trained_on_by_exactly_the_rounds_that_say_so(last_round):
    for policy in (schedule(), schedule(staleness=1)):
        ready = list(policy.rounds_trained_on(last_round))
        assert ready[0] == last_round + 1
        assert all(policy.trained_on(round_) <= last_round for round_ in ready)
        assert policy.trained_on(ready[-1]) == last_round
        assert policy.trained_on(ready[-1] + 1) == last_round + 1


def test_beside_a_folds_labels_the_next_fold_is_trained_and_beside_the_last_ones_the_next_round():
    assert [schedule(staleness=1).training_beside(round_, 0, 3) for round_ in (1, 2, 3)] == [(2, 0), (3, 0), None]
    policy = schedule(staleness=1, folds=2)
    pairs = [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert [policy.training_beside(*pair, 2) for pair in pairs] == [(1, 1), (2, 0), (2, 1), None]


def test_labels_may_lag_by_one_round_at_most():
    with pytest.raises(ConfigError, match=r"schedule\.staleness"):
        load_config(SMOKE, ["schedule.staleness=2"])
    assert schedule_label(ScheduleConfig(staleness=1)) == "staleness 1"


def test_the_papers_phases_follow_one_another_round_by_round():
    policy = of("schedule/paper.yaml")
    assert [policy.plan(round_).phase for round_ in (1, 2, 3, 4)] == [1, 2, 3, 3]


@pytest.fixture
def evidence():
    """Two tiles: the first clause of the first is flagged, the second clause of it hardly probable."""
    flagged = np.zeros((2, len(CLAUSES)), bool)
    confidence = np.full(flagged.shape, 0.9)
    flagged[0, 0], confidence[0, 1] = True, 0.2
    return flagged, confidence


@pytest.mark.parametrize(("phase", "untaught"), [(1, set()), (2, {(0, 0), (0, 1)}), (3, {(0, 1)})])
def test_a_phase_leaves_its_flagged_clauses_out_of_the_next_rounds_targets(evidence, phase, untaught):
    caption_mask, loss_mask = schedule(phase=phase).masks(1, *evidence)
    assert set(map(tuple, np.argwhere(~loss_mask).tolist())) == untaught
    np.testing.assert_array_equal(caption_mask, loss_mask)


def test_in_the_paper_a_flagged_clause_leaves_reconstruction_alone(evidence):
    acceptance = AcceptanceConfig(minimum_trust=0)
    caption_mask, loss_mask = schedule(acceptance, phase=2, flagged_leave="reconstruction").masks(1, *evidence)
    assert caption_mask.all()
    assert np.argwhere(~loss_mask).tolist() == [[0, 0]]


def test_nothing_that_was_written_is_left_out_where_no_trust_is_asked_for(evidence):
    assert schedule(AcceptanceConfig(minimum_trust=0), phase=3).masks(1, *evidence)[1].all()


@pytest.mark.parametrize(
    ("regenerated", "accepted", "ends"),
    [(100, 4, True), (100, 5, False), (100, 60, False), (0, 0, False), (7, 0, True)],
)
def test_a_run_ends_below_the_floor(regenerated, accepted, ends):
    said = schedule(acceptance_floor=0.05).why_end(3, regenerated, accepted)
    assert (said is not None) is ends
    if ends:
        assert "round 3 accepted" in said
        assert "schedule.acceptance_floor (5.0%)" in said


def test_a_run_that_was_ended_is_over_and_others_are_not():
    assert not is_over([], 2)
    assert not is_over([record(1)], 2)
    assert is_over([record(1), record(2)], 2)
    assert is_over([record(1, end="too little was accepted")], 5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_schedule_that_comes_along_is_valid_and_says_what_it_is(path):
    assert load_config(SMOKE, [f"schedule={path}", "rounds=4"]).schedule
    assert path.read_text().startswith("# ")


def test_schedules_that_come_along_differ():
    schedules = {load_config(SMOKE, [f"schedule={path}", "rounds=4"]).schedule.model_dump_json() for path in FILES}
    assert len(schedules) == len(FILES) >= 6


def test_single_keys_of_a_schedules_file_can_be_overridden():
    config = load_config(
        SMOKE, ["schedule.folds=3", "schedule=schedule/cautious.yaml", "schedule.acceptance_margin=0.4"]
    )
    assert config.schedule.folds == 3
    assert config.schedule.regenerated_share == (0.1,)
    assert config.schedule.acceptance_margin == (0.4,)
    assert flatten(config)["schedule.acceptance_margin"] == 0.4
    assert flatten(config)["schedule.folds"] == 3


def test_a_saved_schedule_is_read_back(tmp_path):
    config = load_config(SMOKE, ["schedule=schedule/cautious.yaml"])
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml").schedule == config.schedule


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("schedule.phase=4", "schedule.phase.0"),
        ("schedule.phase=[1,4]", "schedule.phase.1"),
        ("schedule.start=[]", "schedule.start"),
        ("schedule.regenerated_share=1.5", "schedule.regenerated_share.0"),
        ("schedule.rare_landform_factor=9", "schedule.rare_landform_factor.0"),
        ("schedule.folds=0", "schedule.folds"),
        ("schedule.acceptance_floor=-1", "schedule.acceptance_floor"),
        ("schedule.epochs=0", "schedule.epochs.0"),
    ],
)
def test_a_value_that_makes_no_schedule_is_named(override, key):
    with pytest.raises(ConfigError) as error:
        load_config(SMOKE, [override])
    assert f"\n  {key}: " in str(error.value)
    assert len(str(error.value).splitlines()) == 2


def test_a_schedule_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="`schedule` names .*nowhere.yaml, which does not exist. See .*configs/sch"):
        load_config(SMOKE, ["schedule=nowhere.yaml"])


def test_a_run_that_ends_before_its_last_phase_is_refused():
    with pytest.raises(ConfigError, match="schedule.phase has 3 entries, one a round, and the run ends after 2: set"):
        load_config(SMOKE, ["schedule=schedule/paper.yaml", "rounds=2"])


@pytest.mark.parametrize(
    ("settings", "label"),
    [({}, "default"), ({"phase": [1, 2, 3], "epochs": 4}, "phase 1, 2, 3; epochs 4"), ({"folds": 2}, "folds 2")],
)
def test_a_schedule_is_called_by_what_it_has_in_other_ways_than_the_default(settings, label):
    assert schedule_label(ScheduleConfig(**settings)) == label


@pytest.mark.parametrize(
    ("held_out", "ends"),
    [
        ([-0.9], False),
        ([-0.9, -0.8995], True),  # a rise of less than the gain
        ([-0.9, -0.8], False),
        ([-0.9, -0.7, -0.8], True),
        ([-0.9, None], False),
        ([None, None], False),
    ],
)
def test_a_run_whose_held_out_likelihood_rises_no_more_ends_if_the_schedule_says_so(held_out, ends):
    said = schedule(flat_rounds=1, flat_gain=0.001).why_flat(held_out)
    assert (said is not None) == ends
    assert said is None or "schedule.flat_gain (0.001)" in said
    assert schedule().why_flat(held_out) is None


def test_more_rounds_of_patience_forgive_one_that_was_worse():
    patient = schedule(flat_rounds=2, flat_gain=0)
    assert patient.why_flat([-0.9, -1.0]) is None
    assert patient.why_flat([-0.9, -1.0, -0.8]) is None
    assert patient.why_flat([-0.9, -1.0, -0.95]).startswith("the held-out likelihood was -0.9000 2 rounds ago")
