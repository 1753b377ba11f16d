"""`knowlip plan` says what the schedule that runs the loop decides."""

import json

import pytest

from orchestrator.config.load import load_config
from orchestrator.policies.schedule import Schedule
from orchestrator.report.plan import plan_as_json
from support.paths import ROOT

DEFAULT, SCHEDULES = ROOT / "configs" / "default.yaml", ROOT / "configs" / "schedule"


@pytest.mark.parametrize("name", sorted(path.name for path in SCHEDULES.glob("*.yaml")))
def test_every_schedule_is_planned_round_by_round_as_it_is_run(name):
    config = load_config(DEFAULT, [f"schedule={SCHEDULES / name}", "rounds=4"])
    found, schedule = plan_as_json(config), Schedule(config.schedule, config.train, config.acceptance)
    assert [each["round"] for each in found["rounds"]] == [1, 2, 3, 4]
    assert found["models"] == schedule.folds
    for each in found["rounds"]:
        plan = schedule.plan(each["round"])
        assert (each["epochs"], each["phase"], each["from_scratch"]) == (plan.epochs, plan.phase, plan.from_scratch)
        rates = [config.train.learning_rate_at(plan.from_scratch, step, 1000) for step in range(1000)]
        assert each["peak_learning_rate"] == pytest.approx(max(rates))


def test_the_command_prints_a_row_for_each_round_and_each_kind_of_process(call):
    status, out, _ = call("plan", DEFAULT, "--set", "rounds=2", "--set", f"schedule={SCHEDULES / 'out_of_fold.yaml'}")
    assert status == 0
    assert "scratch" in out
    assert "trains 2 models" in out
    assert "training worker" in out
    status, out, _ = call("plan", DEFAULT, "--json")
    assert [each["name"] for each in json.loads(out)["processes"]][:3] == ["training worker", "captioner", "scorer"]


def test_the_plan_says_when_a_schedule_ends_the_run_early(call):
    settings = ("schedule.flat_rounds=2", "schedule.flat_gain=0.005", "schedule.acceptance_floor=0.2")
    status, out, _ = call("plan", DEFAULT, *(f"--set={each}" for each in settings))
    assert status == 0
    said = " ".join(out.split())
    assert "ends after a round that accepted less than 20%" in said
    assert "ends when 2 rounds have raised the held-out likelihood by less than 0.005 nats a clause" in said
    assert plan_as_json(load_config(DEFAULT))["ends_when_flat"] is None


def test_the_most_of_each_kind_is_what_a_shared_cluster_is_asked_for():
    settings = [
        "captioner.max_replicas=3",
        "train.max_workers=9",
        "train.micro_batches_per_step=4",
        "score.max_workers=5",
    ]
    processes = plan_as_json(load_config(DEFAULT, settings))["processes"]
    assert [(each["least"], each["most"]) for each in processes] == [(1, 4), (1, 3), (1, 5), (1, 1)]


def test_a_configuration_that_cannot_be_used_is_refused(call):
    status, _, error = call("plan", DEFAULT, "--set", "rounds=none")
    assert status == 2
    assert "rounds" in error
