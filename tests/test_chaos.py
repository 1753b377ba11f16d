"""The short version of `make chaos`: real processes killed in a real run, which ends as if nothing had happened."""

import pytest
from chaos.compare import compare
from chaos.faults import BOUNDARY, FAULTS, INSIDE, Fault
from chaos.run import Strike, run_with_faults
from shared_run import ROOT

from orchestrator.records import PHASES


def test_every_phase_is_struck_at_its_start_and_inside():
    for phase in PHASES:
        for moment in (BOUNDARY, INSIDE):
            assert Fault("driver", phase, moment) in FAULTS
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_the_moment_inside_a_phase_is_drawn_by_seed():
    fault = Fault("driver", "train", INSIDE)
    drawn = [fault.delay_s(10, seed) for seed in range(20)]
    assert drawn == [fault.delay_s(10, seed) for seed in range(20)] and len(set(drawn)) == 20
    assert all(1 <= delay <= 9 for delay in drawn)
    assert Fault("driver", "train", BOUNDARY).delay_s(10, 0) == 0


@pytest.fixture(scope="module")
def struck(smoke_run, tmp_path_factory):
    """The run of `smoke_run` once more; its captioner is killed in round 1 and its driver in round 2."""
    label_s = smoke_run.records[0].timings.label_s
    return run_with_faults(
        ROOT / "configs" / "smoke.yaml", tmp_path_factory.mktemp("chaos") / "struck",
        [f"corpus.data_dir={smoke_run.data_dir}", "train.min_workers=2"],
        [Strike(Fault("captioner", "label", INSIDE), 1, 0.3 * label_s), Strike(Fault("driver", "train", INSIDE), 2, 1.0)])


def test_a_killed_captioner_and_a_killed_driver_are_survived(struck):
    assert struck.injected == 2 and struck.finished and struck.resumes == 1 and not struck.complaints


def test_nothing_is_lost_doubled_or_different(smoke_run, struck):
    assert [record.world_size for record in smoke_run.records] == [2, 2]
    found = compare(struck.run_dir, smoke_run.run_dir)
    assert (found.lost, found.duplicated, found.commits_twice, found.different) == (0, 0, 0, ())


def test_the_comparison_sees_a_difference(smoke_run, struck, tmp_path):
    """A comparison that cannot fail would prove nothing."""
    import shutil

    copy = shutil.copytree(struck.run_dir, tmp_path / "run")
    [record] = [path for path in (copy / "rounds").iterdir() if path.name == "0002.json"]
    record.write_text(record.read_text().replace(smoke_run.records[1].corpus_digest, "0" * 64))
    weights = next((copy / "weights" / "round-0001" / "encoder").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert set(compare(copy, smoke_run.run_dir).different) == {
        "corpus_digest of round 2", "the weights of round 1 on disk"}


def test_status_of_a_run_that_died_and_went_on(struck):
    from orchestrator.now import read_now

    assert read_now(struck.run_dir).phase == "ended"
