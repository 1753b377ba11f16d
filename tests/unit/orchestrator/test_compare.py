"""`knowlip compare` puts runs side by side, from their records alone."""

import json

import pytest

from orchestrator.config.load import load_config, save_config
from orchestrator.state.records import InitialSummary, write_initial_summary, write_record
from support.paths import ROOT
from support.records import record, timings
from support.unguarded import unguarded

DEFAULT, SCHEDULES = ROOT / "configs" / "default.yaml", ROOT / "configs" / "schedule"


@pytest.fixture
def make_run(tmp_path):
    """make_run("a", [0.9, 0.92], "rounds=4"): a run directory with a record for each accuracy, None without truth."""

    def make(name, accuracies, *settings, cpu_s=None):
        directory = unguarded(tmp_path / name)
        directory.path.mkdir(parents=True)
        save_config(load_config(DEFAULT, list(settings)), directory.path / "config.yaml")
        initial = None if accuracies[:1] == [None] else 0.8
        if accuracies:
            summary = InitialSummary(annotation_accuracy=initial, tiles=8, quarantined=0, simulated=True)
            write_initial_summary(directory, summary)
        for number, accuracy in enumerate(accuracies, start=1):
            metrics = {"annotation_accuracy": accuracy, "annotation_kappa": 0.7, "false_repair_rate": 0.01}
            times = timings(number)
            write_record(directory, record(number, metrics=metrics, timings=times, world_size=2, cpu_s=cpu_s))
        return directory.path

    return make


def test_runs_differ_in_what_their_configurations_differ_in(make_run, call):
    one = make_run("one", [0.9, 0.92])
    other = make_run("other", [0.85], f"schedule={SCHEDULES / 'paper.yaml'}", "seed=3")
    status, out, error = call("compare", one, other, "--json")
    assert status == 0, error
    found = json.loads(out)
    assert set(found["differences"]) == {"seed", "schedule.phase", "schedule.flagged_leave"}
    assert found["differences"]["seed"] == [0, 3]
    assert found["differences"]["schedule.phase"][0] == 3
    assert [run["label"] for run in found["runs"]] == ["one", "other"]
    assert found["runs"][0]["schedule"] == "default"
    assert found["runs"][1]["schedule"] == "phase 1, 2, 3; flagged_leave reconstruction"


def test_seconds_add_up_over_rounds_and_hours_are_those_of_processors_held(make_run, call):
    run = make_run("one", [0.9, 0.92], cpu_s={"train": 7200.0})
    other = make_run("two", [0.9], "train.cpus_per_worker=3")
    first, second = json.loads(call("compare", run, other, "--json")[1])["runs"]
    assert [each["seconds"] for each in first["by_round"]] == [6.5, 19.0]
    assert first["seconds"] == 19.0
    assert first["cpu_hours_used"] == 4.0
    assert second["cpu_hours_used"] is None
    # Two training workers, a captioner, a scorer and a task of Ray Data; then the same with 3 CPUs a worker.
    assert first["cpu_hours_held"] == pytest.approx(19.0 * 5 / 3600)
    assert second["cpu_hours_held"] == pytest.approx(6.5 * 9 / 3600)
    assert first["gpu_hours_held"] == 0
    assert first["by_round"][1] == {
        "round": 2,
        "seconds": 19.0,
        "accuracy": 0.92,
        "kappa": 0.7,
        "false_repair_share": 0.01,
        "ece": None,
    }


def test_the_tables_name_what_differs_and_a_plot_is_drawn(make_run, call, tmp_path):
    one, other = make_run("one", [0.9, 0.92]), make_run("other", [0.85, 0.86], "rounds=7")
    status, out, error = call("compare", one, other, "--plot", tmp_path / "plots" / "a.png")
    assert status == 0, error
    assert "rounds" in out
    assert "0.9200" in out
    assert (tmp_path / "plots" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_truth_the_held_out_likelihood_is_drawn_and_without_both_the_plot_is_refused(make_run, call, tmp_path):
    run = make_run("one", [None, None])
    status, _, error = call("compare", run, make_run("two", [None]), "--plot", tmp_path / "a.png")
    assert status == 2
    assert "held_out_log_likelihood" in error
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("accuracies", "again", "said"), [([], False, "no recorded round"), ([0.9], True, "is given twice")]
)
def test_what_cannot_be_compared_is_refused(make_run, call, accuracies, again, said):
    run, other = make_run("one", [0.9]), make_run("two", accuracies)
    status, _, error = call("compare", run, run if again else other)
    assert status == 2
    assert said in " ".join(error.split())


def test_runs_of_one_name_are_told_apart_by_the_folder_above(make_run, call):
    found = json.loads(call("compare", make_run("a/run", [0.9]), make_run("b/run", [0.9]), "--json")[1])
    assert [run["label"] for run in found["runs"]] == ["a/run", "b/run"]
    assert found["differences"] == {}
