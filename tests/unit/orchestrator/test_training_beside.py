"""What a round is trained on where trainings go on beside labels, and what a driver that takes over finds of them."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from actors.trainer.channel import RoundResult
from corpus.annotations import AnnotationStore
from corpus.storage.state_files import RecordError
from hcot_llm.aggregation.workers import THIS_PROCESS
from orchestrator.data import annotation_history, training_sets
from orchestrator.data.annotation_history import next_corpus, open_corpus
from orchestrator.data.training_sets import schedule_of
from orchestrator.data.training_targets import TrainingTargets
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.run.phases import Phases
from orchestrator.run.round import Round
from orchestrator.run.steps import aggregate, train, train_beside
from orchestrator.state.records import PhaseClock, read_records
from support.made_run import made_findings
from support.unguarded import unguarded

NOTHING_YET = RoundResult(1, 0, "weights", "a" * 64, 2, [{"step": 1, "total": 0.5}], 3.0)


@pytest.fixture
def config(made):
    schedule = made.config.schedule.model_copy(update={"staleness": 1})
    return made.config.model_copy(update={"rounds": 4, "schedule": schedule})


@pytest.fixture
def directory(made, tmp_path, monkeypatch):
    """A copy of the run whose rounds left other targets each, without the images and the shuffle of a cluster."""
    directory = unguarded(shutil.copytree(made.path, tmp_path / "run"))
    training = made.prepared.tiles["split"].to_pylist().count("train")
    for round_ in (1, 2):
        mask = np.ones((training, len(made.config.annotation_schema)), dtype=bool)
        mask[:, round_] = False
        targets = TrainingTargets(mask, mask, [[f"of round {round_}"] * mask.shape[1]] * training)
        targets.write(directory.feedback(round_), directory.writer)
    monkeypatch.setattr(annotation_history, "read_images", lambda *_: None)
    monkeypatch.setattr(annotation_history.ImageIndex, "of", lambda _: None)
    monkeypatch.setattr(training_sets, "shuffle_round", lambda _, table, **drawn: (drawn["round_"], table))
    return directory


class Trainer:
    """A training group that notes what it is asked to do."""

    def __init__(self) -> None:
        self.begun: list[tuple] = []
        self.trained: list[int] = []

    def begin(self, round_, rows, weights_dir, **settings) -> None:
        self.begun.append((round_, rows, weights_dir.name, settings["fold"], settings["epochs"]))

    def train(self, round_, rows, weights_dir, **settings) -> RoundResult:
        self.trained.append(round_)
        return RoundResult(round_, settings["fold"], str(weights_dir), "b" * 64, 2, [])


def opened(config, directory, made, recorded):
    return open_corpus(config, directory, made.prepared, read_records(directory.path)[:recorded])


def round_of(config, directory, number):
    phases = Phases(directory, Progress(Console(quiet=True)), Watchdog(config.watchdog, list, print), number, number)
    return Round(number, schedule_of(config).plan(number), config, directory, phases, PhaseClock())


def test_a_round_is_trained_on_the_annotations_of_the_round_before_the_last(made, config, directory):
    store = AnnotationStore(directory.annotations)
    found = {
        recorded: [
            (each.round, each.version - store.version_of(directory.run_id, 0))
            for each in opened(config, directory, made, recorded).training_sets
        ]
        for recorded in (0, 1, 2)
    }
    assert found == {0: [(1, 0), (2, 0)], 1: [(2, 0), (3, 1)], 2: [(3, 1), (4, 2)]}


def test_a_driver_that_takes_over_trains_a_round_on_the_same_rows(made, config, directory):
    """The rows of round 3: made ahead, after round 1, and made again after round 2."""
    ahead = opened(config, directory, made, 1).training_set(3)
    again = opened(config, directory, made, 2).training_set(3)
    assert (ahead.version, ahead.digest, ahead.label_accuracy) == (again.version, again.digest, again.label_accuracy)
    [(drawn, table)], [(drawn_again, table_again)] = ahead.rows, again.rows
    assert drawn == drawn_again == 3
    assert table.equals(table_again)
    assert "of round 1" in str(table["hints"][0])


def test_what_a_round_commits_is_trained_on_by_the_round_after_the_next(made, config, directory):
    corpus = opened(config, directory, made, 2)
    findings = made_findings(config, corpus.initial, corpus.annotations, made.truth, corpus.in_training, 3)
    update = aggregate(round_of(config, directory, 3), corpus, findings, THIS_PROCESS)
    after = next_corpus(config, directory, corpus, update, findings, 3)
    assert [(each.round, each.version) for each in after.training_sets] == [(4, corpus.version), (5, after.version)]
    assert after.training_set(4) is corpus.training_set(4)


def test_without_overlap_a_round_is_trained_on_the_newest_annotations(made, directory):
    corpus = opened(made.config, directory, made, 2)
    assert [(each.round, each.version) for each in corpus.training_sets] == [(3, corpus.version)]


def test_the_next_round_is_begun_once_what_was_trained_is_written_down(made, config, directory):
    corpus, trainer = opened(config, directory, made, 0), Trainer()
    round_, [fold] = round_of(config, directory, 1), corpus.folds
    train_beside(round_, corpus, fold, NOTHING_YET, trainer)
    assert trainer.begun == [(2, corpus.training_set(2).rows[0], "round-0002", 0, config.train.round_epochs)]
    # Another driver takes over before the round is recorded: the trainer's own state is in round 2.
    kept = train(round_, corpus, fold, trainer)
    assert (kept.weights_sha256, kept.losses, kept.world_size, kept.ahead_s) == ("a" * 64, NOTHING_YET.losses, 2, 3.0)
    assert kept.weights_dir == str(directory.weights(1))
    assert trainer.trained == []
    assert train(round_of(config, directory, 2), corpus, fold, trainer).round == 2
    assert trainer.trained == [2]


@pytest.mark.parametrize(("staleness", "number"), [(0, 1), (1, 4)])
def test_nothing_is_begun_without_overlap_nor_beside_the_last_round(made, config, directory, staleness, number):
    schedule = config.schedule.model_copy(update={"staleness": staleness})
    config, trainer = config.model_copy(update={"schedule": schedule}), Trainer()
    train_beside(
        round_of(config, directory, number), SimpleNamespace(), SimpleNamespace(number=0), NOTHING_YET, trainer
    )
    assert trainer.begun == []
    assert not directory.trained(0).exists()


def test_a_damaged_note_of_what_was_trained_is_named(made, config, directory):
    corpus = opened(config, directory, made, 0)
    directory.trained(0).parent.mkdir()
    directory.trained(0).write_text("{}")
    with pytest.raises(RecordError, match=r"trained/fold-0\.json is damaged"):
        train(round_of(config, directory, 1), corpus, corpus.folds[0], Trainer())
