"""The short version of `make chaos`: real processes killed in a real run, which ends as if nothing had happened."""

import shutil
import sys

import pytest
from mlflow import MlflowClient

from chaos.compare import compare
from chaos.driver import ChaosError, Driver, DriverEnded, wait_for_phase
from chaos.faults import BOUNDARY, FAULTS, INSIDE, START_UP, Fault
from chaos.injection import Injection, Outcome, inject
from chaos.mlflow_away import differences, tracked
from chaos.reference import Reference
from chaos.run import run_with_faults
from orchestrator.monitoring.status import Status
from orchestrator.state.records import PHASES
from orchestrator.tracking.mlflow_store import tracking_uri
from support.paths import ROOT
from support.unguarded import unguarded


def test_a_driver_that_died_before_is_not_killed_again(tmp_path):
    driver = Driver(tmp_path / "log", "--help")
    driver.process.wait()
    unguarded(tmp_path).write_json(
        "status.json", Status(phase="train", round=1, since=0, pid=driver.process.pid, started=0)
    )
    injection = Injection(Fault("driver", "train", BOUNDARY), 1, 0.0)
    with pytest.raises(DriverEnded):
        wait_for_phase(driver, tmp_path, 1, "train")
    with pytest.raises(ChaosError, match="had ended by itself"):
        inject(injection, driver, Outcome(tmp_path))


_SLOW_TO_NOTICE = """
import subprocess, sys, time
from pathlib import Path
from orchestrator.monitoring.status import write_status
sys.path.insert(0, "TESTS")
from support.unguarded import unguarded

run_dir = Path(sys.argv[sys.argv.index("--run-dir") + 1] if sys.argv[1] == "run" else sys.argv[2])
run_dir.mkdir(exist_ok=True)
start = len(list(run_dir.glob("start-*")))
(run_dir / f"start-{start}").touch()
if start < 2:
    node = subprocess.Popen(["raylet", "60"], executable="/bin/sleep")
    write_status(unguarded(run_dir), ("train", "label")[start], 1)
    node.wait()
    write_status(unguarded(run_dir), "label", 1)
    time.sleep(1)
sys.exit(1)
"""


def test_a_driver_that_goes_on_for_a_while_without_its_node_is_not_struck_again(tmp_path, monkeypatch):
    """The next fault is for the driver that resumes. A script stands for `knowlip`, which takes a minute to start."""
    knowlip = tmp_path / "knowlip"
    knowlip.write_text(f"#!{sys.executable}\n{_SLOW_TO_NOTICE.replace('TESTS', str(ROOT / 'tests'))}")
    knowlip.chmod(0o700)
    monkeypatch.setattr("chaos.driver.KNOWLIP", knowlip)
    injections = [Injection(Fault("node", phase, BOUNDARY), 1, 0.0) for phase in ("train", "label")]
    outcome = run_with_faults(ROOT / "configs" / "chaos.yaml", tmp_path / "run", [], injections)
    assert outcome.injected == 2
    assert outcome.injections == injections
    assert not outcome.finished


def test_a_fault_before_the_first_round_has_no_round(smoke_run):
    reference = Reference(ROOT / "configs" / "smoke.yaml", (), smoke_run.run_dir, seconds=0)
    timings = smoke_run.records[0].timings
    assert reference.injection(FAULTS[0], 1, seed=0).round is None
    assert FAULTS[0].phase == START_UP
    assert 0 < reference.injection(FAULTS[0], 1, seed=0).delay_s < timings.startup_s
    assert reference.injection(Fault("driver", "score", INSIDE), 1, seed=0).delay_s < timings.score_s
    assert reference.injection(Fault("driver", "score", BOUNDARY), 2, seed=0) == Injection(
        Fault("driver", "score", BOUNDARY), 2, 0.0
    )


def test_the_goal_for_a_recovery_is_a_start_and_the_phase_that_was_struck(smoke_run):
    reference = Reference(ROOT / "configs" / "smoke.yaml", (), smoke_run.run_dir, seconds=1000)
    first, second = (record.timings for record in smoke_run.records)
    phases = sum(getattr(timings, f"{phase}_s") for timings in (first, second) for phase in PHASES)
    used_first = sum(max(0, getattr(first, f"{phase}_s") - getattr(second, f"{phase}_s")) for phase in PHASES[1:])
    start = 1000 - phases + used_first
    score, label = (Injection(Fault("driver", phase, BOUNDARY), 2, 0.0) for phase in ("score", "label"))
    assert PHASES[0] == "train"
    assert reference.recovery_s([]) is None
    assert reference.recovery_s([reference.injection(FAULTS[0], 1, seed=0)]) == pytest.approx(start)
    assert reference.recovery_s([score, label]) == pytest.approx(start + (second.score_s + second.label_s) / 2)


def test_weights_that_are_gone_are_a_difference(smoke_run, tmp_path):
    shutil.copytree(smoke_run.run_dir, tmp_path / "run")
    assert not compare(tmp_path / "run", smoke_run.run_dir).different
    shutil.rmtree(tmp_path / "run" / "weights" / "round-0002")
    assert compare(tmp_path / "run", smoke_run.run_dir).different == ("the weights of round 2 on disk",)


@pytest.fixture(scope="module")
def struck(smoke_run, tmp_path_factory):
    """The run of `smoke_run` once more.

    Its captioner and a trainer are killed in round 1, its driver in round 2, and a scorer after the resume.
    """
    label_s, train_s = smoke_run.records[0].timings.label_s, smoke_run.records[1].timings.train_s
    return run_with_faults(
        ROOT / "configs" / "smoke.yaml",
        tmp_path_factory.mktemp("chaos") / "struck",
        [f"corpus.data_dir={smoke_run.data_dir}", "train.min_workers=2", "train.checkpoint_every_s=0"],
        [
            Injection(Fault("captioner", "label", INSIDE), 1, 0.3 * label_s),
            Injection(Fault("trainer", "evaluate", BOUNDARY, number=1), 1, 0.0),
            Injection(Fault("driver", "train", INSIDE), 2, 0.4 * train_s),
            Injection(Fault("scorer", "score", BOUNDARY), 2, 0.0),
        ],
    )


def test_a_killed_captioner_trainer_driver_and_scorer_are_survived(struck):
    assert struck.injected == 4
    assert struck.finished
    assert struck.resumes == 1
    assert not struck.complaints


def test_nothing_is_lost_doubled_or_different(smoke_run, struck):
    assert [record.world_size for record in smoke_run.records] == [2, 2]
    found = compare(struck.run_dir, smoke_run.run_dir)
    assert (found.lost, found.duplicated, found.commits_twice, found.different) == (0, 0, 0, ())


def test_mlflow_has_every_point_of_an_undisturbed_run_once(smoke_run, struck):
    """Also the losses of the steps before the checkpoint that training went on from."""
    wanted, found = (
        tracked(MlflowClient(tracking_uri(each)), each.name) for each in (smoke_run.run_dir, struck.run_dir)
    )
    assert differences(found, wanted) == []
    assert len(found["parent"][0][1]["detail/loss/total"]) > 2


def test_the_comparison_sees_a_difference(smoke_run, struck, tmp_path):
    """A comparison that cannot fail would prove nothing."""
    copy = shutil.copytree(struck.run_dir, tmp_path / "run")
    [record] = [path for path in (copy / "rounds").iterdir() if path.name == "0002.json"]
    record.write_text(record.read_text().replace(smoke_run.records[1].corpus_digest, "0" * 64))
    weights = next((copy / "weights" / "round-0001" / "encoder").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert set(compare(copy, smoke_run.run_dir).different) == {
        "corpus_digest of round 2",
        "the weights of round 1 on disk",
    }


def test_a_struck_run_does_not_take_the_place_of_the_users_last_one(struck):
    folder = struck.run_dir.parent
    assert (folder / "runs" / "latest").resolve() == struck.run_dir


def test_a_run_that_died_and_went_on_has_the_status_of_an_ended_one(struck):
    from orchestrator.monitoring.status import read_status

    assert read_status(struck.run_dir).phase == "ended"
