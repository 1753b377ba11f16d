"""The report of a run directory, from its files alone."""

import io
import json

import pytest
from rich.console import Console

from orchestrator.config.load import save_config
from orchestrator.config.schema import RunConfig
from orchestrator.monitoring.memory import MemoryReport
from orchestrator.report.status import print_status
from orchestrator.report.summary import print_report, report
from orchestrator.state.records import Counts, InitialSummary, write_initial_summary, write_record
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from support.records import record
from support.unguarded import unguarded

KEYS = {"rounds", "seed_accuracy", "final_accuracy", "accuracy_by_clause", "peak_rss_bytes", "quarantined"}
KEYS |= {"false_repair_share", "ece", "flag_precision", "hint_follow_rate"}


@pytest.fixture
def run_dir(tmp_path):
    save_config(RunConfig(name="default", rounds=3), tmp_path / "config.yaml")
    return tmp_path


def printed(function, run_dir) -> str:
    console = Console(file=io.StringIO(), width=160)
    function(run_dir, console)
    return console.file.getvalue()


def fill(run_dir, accuracy):
    by_clause = None if accuracy is None else {"terrain": 0.8}
    write_initial_summary(
        unguarded(run_dir),
        InitialSummary(
            annotation_accuracy=accuracy and 0.8, accuracy_by_clause=by_clause, tiles=64, quarantined=2, simulated=True
        ),
    )
    for number in (1, 2):
        write_record(
            unguarded(run_dir),
            record(
                number,
                metrics={"annotation_accuracy": accuracy, "false_repair_rate": accuracy and 0.01 * number},
                accuracy_by_clause=accuracy and {"terrain": 0.95},
            ),
        )
    unguarded(run_dir).write_json(
        "memory.json",
        MemoryReport(peak_rss_bytes=3 * 2**30, peak_by_process={}, peak_at_s=1, samples=1, method="pss"),
    )


def test_with_truth_a_report_has_accuracies(run_dir):
    fill(run_dir, 0.93)
    found = json.loads(json.dumps(report(run_dir)))
    assert set(found) == KEYS
    assert len(found["rounds"]) == 2
    assert (found["seed_accuracy"], found["final_accuracy"], found["quarantined"]) == (0.8, 0.93, 2)
    assert (found["false_repair_share"], found["hint_follow_rate"]) == (0.02, None)
    assert found["accuracy_by_clause"] == {"terrain": {"seed": 0.8, "final": 0.95}}
    assert (
        found["rounds"][0]["counts"]
        == Counts(scored=100, flagged=20, regenerated=19, accepted=12, rejected=7, invalid=1).model_dump()
    )
    text = printed(print_report, run_dir)
    assert "93.0%" in text
    assert "+15.0" in text
    assert "3.0 GiB" in text
    assert "2 files quarantined" in text


def test_without_truth_accuracies_are_null(run_dir):
    fill(run_dir, None)
    found = report(run_dir)
    assert found["seed_accuracy"] is found["final_accuracy"] is found["accuracy_by_clause"] is None
    assert found["false_repair_share"] is None
    assert "unknown" in printed(print_report, run_dir)


def test_before_the_first_round_a_report_is_empty(run_dir):
    assert report(run_dir) == dict.fromkeys(KEYS) | {"rounds": []}
    assert "No round" in printed(print_report, run_dir)
    assert "0 of 3" in printed(print_status, run_dir)


def test_status_says_how_to_go_on(run_dir):
    fill(run_dir, 0.93)
    text = printed(print_status, run_dir)
    assert "2 of 3" in text
    assert f"knowlip resume {RunDirectory(run_dir).path}" in text
    assert "mlflow" in text


def test_what_is_no_run_has_no_report(tmp_path):
    with pytest.raises(RunDirectoryError):
        report(tmp_path / "nothing")
