"""Two real runs of the loop: labelling out of fold, and the paper's phases until the schedule ends the run."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from actors.trainer.checkpoint import latest_checkpoint
from corpus.annotations import AnnotationStore
from model.checkpoint import weights_sha256
from orchestrator.data.training_targets import TrainingTargets
from orchestrator.policies.folds import make_folds
from orchestrator.state.run_directory import RunDirectory
from support.hcot import CLAUSES
from support.paths import ROOT
from support.shared_run import run_loop_once

SHARE = 0.2
SMALL = ("corpus.simulated.tiles=96", "corpus.simulated.cities=12", "train.max_workers=1", "score.max_workers=1")
"""Settings of a run that takes little more than its start: half of its training tiles make two steps."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def out_of_fold(data_dir, tmp_path_factory):
    """Two rounds of two folds, with all that a schedule can do to a round's rows and clauses."""
    return run_loop_once(
        tmp_path_factory.mktemp("folds"),
        data_dir,
        f"schedule={ROOT}/configs/schedule/out_of_fold.yaml",
        *SMALL,
        f"schedule.regenerated_share={SHARE}",
        "schedule.initial_caption_share=0.2",
        "schedule.rare_landform_factor=1.5",
    )


@pytest.fixture(scope="module")
def paper(out_of_fold, data_dir, tmp_path_factory):
    """The paper's phases. Nobody accepts everything, so that the run ends with the first round that writes."""
    return run_loop_once(
        tmp_path_factory.mktemp("paper"),
        data_dir,
        f"schedule={ROOT}/configs/schedule/paper.yaml",
        *SMALL,
        "rounds=5",
        "schedule.epochs=1",
        "schedule.acceptance_floor=1",
        "acceptance.rule=proposal",
        "acceptance.minimum_trust=0",
        "flag.leave_one_out=true",
        "flag.minimum_confidence=0",
    )


@pytest.fixture(scope="module")
def folds(out_of_fold):
    tiles = pq.read_table(out_of_fold.corpus_dir / "tiles.parquet").sort_by("tile_id")
    in_training = np.asarray([split == "train" for split in tiles["split"].to_pylist()])
    return tiles["tile_id"].to_pylist(), make_folds(tiles["tile_id"].to_pylist(), in_training, 2, 0)


def words(called) -> str:
    """What a command that ended well has printed, whatever the width of the terminal."""
    status, out, error = called
    assert status == 0, error
    return " ".join(out.split())


def test_every_fold_has_a_model_of_its_own_in_every_round(out_of_fold):
    directory = RunDirectory(out_of_fold.run_dir)
    hashes = []
    assert len(out_of_fold.records) == 2
    for record in out_of_fold.records:
        own = [weights_sha256(directory.weights(record.round, fold)) for fold in (0, 1)]
        assert own == [record.weights_sha256, *record.fold_weights_sha256]
        hashes += own
    assert len(set(hashes)) == 4
    for name in ("trainer", "trainer-fold-1"):
        _, position = latest_checkpoint(out_of_fold.run_dir / "checkpoints" / name)
        assert position.round == 2
        assert position.round_finished


def test_every_tile_was_judged_by_the_model_that_had_not_seen_it(out_of_fold, folds):
    tile_ids, [_, second] = folds
    store = AnnotationStore(RunDirectory(out_of_fold.run_dir).annotations)
    for record in out_of_fold.records:
        table = store.read(record.corpus_version)
        found = dict(zip(table["tile_id"].to_pylist(), table["weights_sha256"].to_pylist(), strict=True))
        expected = [record.fold_weights_sha256[0] if speaks else record.weights_sha256 for speaks in second.speaks]
        assert [found[tile_id] for tile_id in tile_ids] == expected


def test_every_clause_was_answered_once_and_those_held_out_by_all_models(out_of_fold, folds):
    tile_ids, [first, _] = folds
    held_out = {tile_ids[row] for row in np.flatnonzero(first.scored & ~first.labels)}
    for record in out_of_fold.records:
        shards = RunDirectory(out_of_fold.run_dir).shards(record.round).glob("shard-*.parquet")
        answers = [
            (row["tile_id"], row["clause"], row["candidate"])
            for path in shards
            for row in pq.read_table(path).to_pylist()
            if row["value"] is not None
        ]
        of_training = [answer for answer in answers if answer[0] not in held_out]
        assert len(set(of_training)) == len(of_training)
        assert len({answer[:2] for answer in of_training}) == record.counts.regenerated > 0
        assert len(answers) - len(of_training) > len(set(answers)) - len(of_training) > 0


def test_no_more_is_written_again_than_the_share(out_of_fold):
    for record in out_of_fold.records:
        assert record.counts.regenerated <= SHARE * record.counts.scored < record.counts.flagged
        assert 0 < record.metrics["annotation_accuracy"] < 1
        assert record.metrics["held_out_slot_accuracy"] > 0


def test_the_papers_phases_follow_each_other(paper):
    first, second, third = paper.records
    assert first.counts.flagged == first.counts.regenerated == 0
    assert second.counts.flagged > 0
    assert second.counts.regenerated == 0
    assert third.counts.regenerated > 0
    assert third.counts.accepted > 0
    assert third.counts.rejected == 0
    all_targets = [
        TrainingTargets.read(paper.run_dir / "feedback" / f"round-{number:04d}.parquet") for number in (2, 3)
    ]
    assert [int((~targets.loss_mask).sum()) for targets in all_targets] == [second.counts.flagged, 0]
    assert all(targets.caption_mask.all() and targets.caption_mask.shape[1] == len(CLAUSES) for targets in all_targets)
    # Nothing was written before phase 3.
    assert first.metrics["annotation_accuracy"] == second.metrics["annotation_accuracy"]


def test_what_an_old_round_left_goes_unless_it_is_the_champion(paper):
    directory = RunDirectory(paper.run_dir)
    best = max(paper.records, key=lambda record: (record.metrics["held_out_log_likelihood"], record.round)).round
    kept = [number for number in (1, 2, 3) if number in (2, 3, best)]
    weights = sorted(path.name for path in (paper.run_dir / "weights").iterdir() if not path.name.startswith("."))
    assert weights == [f"round-{number:04d}" for number in (0, *kept)]
    assert [number for number in (1, 2, 3) if directory.feedback(number).exists()] == kept
    # The annotations of all rounds stay, and so do the records.
    assert len({record.corpus_version for record in paper.records}) == 3
    store = AnnotationStore(directory.annotations)
    assert all(store.read(record.corpus_version).num_rows for record in paper.records)


def test_a_run_that_the_schedule_ended_is_over(paper, call):
    assert [record.end is None for record in paper.records] == [True, True, False]
    assert "the run ends here: round 3 accepted" in paper.stdout
    assert "3 of 5 recorded" in (status := words(call("status", paper.run_dir)))
    assert "ended early round 3 accepted" in status
    assert "knowlip resume" not in status
    assert "nothing is left to do" in words(call("resume", paper.run_dir))
    assert len(paper.records) == 3
    assert "Ended early: round 3 accepted" in words(call("report", paper.run_dir))
