"""What people decided, through the steps of a round: not asked again, weighed, committed, a target of training.

The shuffle needs a cluster; here it hands back the rows that it is given.
"""

import shutil

import numpy as np
import pytest
from rich.console import Console

from actors.scorer.pool import Scores
from corpus.annotations import AnnotationStore
from hcot_llm.aggregation.people import PERSON
from hcot_llm.aggregation.workers import THIS_PROCESS
from model.known_tiles import KnownTiles
from orchestrator.data import annotation_history, training_sets
from orchestrator.data.annotation_history import next_corpus, open_corpus
from orchestrator.data.training_targets import TrainingTargets
from orchestrator.decisions.store import Answer, append
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.policies.schedule import Schedule
from orchestrator.run.phases import Phases
from orchestrator.run.round import Round
from orchestrator.run.steps import aggregate, find_flagged
from orchestrator.state.evidence import read_evidence
from orchestrator.state.records import PhaseClock, read_records
from support.made_run import made_findings
from support.unguarded import unguarded


@pytest.fixture
def directory(made, tmp_path, monkeypatch):
    """A copy of the run whose last round left its targets, without the images and the shuffle of a cluster."""
    directory = unguarded(shutil.copytree(made.path, tmp_path / "run"))
    training = made.prepared.tiles["split"].to_pylist().count("train")
    nothing = np.zeros((training, len(made.config.annotation_schema)), dtype=bool)
    hints = [[""] * nothing.shape[1]] * training
    everything_but = TrainingTargets(~nothing, ~nothing, hints)
    everything_but.loss_mask[:, 6] = False  # road is no target of anything
    everything_but.write(directory.feedback(2), directory.writer)
    monkeypatch.setattr(annotation_history, "read_images", lambda *_: None)
    monkeypatch.setattr(annotation_history.ImageIndex, "of", lambda _: None)
    monkeypatch.setattr(training_sets, "shuffle_round", lambda _, table, **__: table)
    return directory


def decide(directory, made, truth_row=0, clause="road"):
    """Have anna say of a training tile what nobody has said; returns the tile's id and the value's index."""
    schema = made.config.annotation_schema
    tile = [row["tile_id"] for row in made.prepared.tiles.to_pylist() if row["split"] == "train"][truth_row]
    store = AnnotationStore(directory.annotations)
    said = {
        row["value"]
        for version in range(3)
        for row in store.read(version).to_pylist()
        if (row["tile_id"], row["clause"]) == (tile, clause)
    }
    value = next(word for word in schema.vocabulary[clause] if word not in said)
    append(directory.path, schema, "import", "a.csv", [Answer(tile, clause, value, "anna", "expert")])
    return tile, schema.value_index[clause][value]


def round_of(made, directory, number=3):
    config = made.config
    phases = Phases(directory, Progress(Console(quiet=True)), Watchdog(config.watchdog, list, print), number, number)
    plan = Schedule(config.schedule, config.train, config.acceptance).plan(number)
    return Round(number, plan, config, directory, phases, PhaseClock())


def test_a_run_that_goes_on_begins_with_what_people_decided_meanwhile(made, directory):
    tile, index = decide(directory, made)
    corpus = open_corpus(made.config, directory, made.prepared, read_records(directory.path))
    column = made.config.annotation_schema.column["road"]
    row = corpus.annotations.tile_ids.index(tile)
    assert corpus.annotations.values[row, column] == index
    assert corpus.annotations.source[row, column] == PERSON
    assert corpus.initial.source[row, column] == "seed"
    [table] = corpus.training_set(3).rows
    shown = {each["tile_id"]: each for each in table.to_pylist()}
    assert shown[tile]["values"][column] == index
    assert shown[tile]["loss_mask"][column]
    assert sum(each["loss_mask"][column] for each in shown.values()) == 1


def test_a_round_weighs_commits_and_remembers_what_people_decided_and_asks_nobody_about_it(made, directory):
    tile, index = decide(directory, made)
    corpus = open_corpus(made.config, directory, made.prepared, read_records(directory.path))
    schema, row = made.config.annotation_schema, corpus.annotations.tile_ids.index(tile)
    column = schema.column["road"]
    findings = made_findings(made.config, corpus.initial, corpus.annotations, made.truth, corpus.in_training, 3)
    round_ = round_of(made, directory)
    [fold] = corpus.folds
    everything = round_.config.model_copy(
        update={"flag": made.config.flag.model_copy(update={"minimum_confidence": 1})}
    )
    asked = Round(3, round_.plan, everything, directory, round_.phases, round_.clock)
    scores = Scores(findings.feedback, np.zeros((len(corpus.initial), 2)))
    flagged, queried = find_flagged(asked, corpus, fold, scores, THIS_PROCESS)
    assert not flagged[row, column]
    assert not queried[row, column]
    assert flagged.sum() == flagged.size - 1
    update = aggregate(round_, corpus, findings, THIS_PROCESS)
    after = next_corpus(made.config, directory, corpus, update, findings, 3)
    assert after.annotations.values[row, column] == index
    assert after.annotations.source[row, column] == PERSON
    evidence = read_evidence(directory.evidence(3), schema)
    assert evidence.decided[row, column] == index
    assert (evidence.decided >= 0).sum() == 1
    stored = AnnotationStore(directory.annotations).read(after.version).to_pylist()
    assert [each["value"] for each in stored if each["source"] == PERSON] == [schema.vocabulary["road"][index]]


def test_without_decisions_a_round_has_no_word_of_people(made, directory):
    corpus = open_corpus(made.config, directory, made.prepared, read_records(directory.path))
    assert corpus.people is None
    findings = made_findings(made.config, corpus.initial, corpus.annotations, made.truth, corpus.in_training, 3)
    update = aggregate(round_of(made, directory), corpus, findings, THIS_PROCESS)
    assert not (update.matrix.source == PERSON).any()
    assert (read_evidence(directory.evidence(3), made.config.annotation_schema).decided < 0).all()


def test_a_decision_made_while_a_round_is_under_way_is_in_what_the_round_commits(made, directory):
    corpus = open_corpus(made.config, directory, made.prepared, read_records(directory.path))
    findings = made_findings(made.config, corpus.initial, corpus.annotations, made.truth, corpus.in_training, 3)
    update = aggregate(round_of(made, directory), corpus, findings, THIS_PROCESS)
    tile, index = decide(directory, made)
    after = next_corpus(made.config, directory, corpus, update, findings, 3)
    row = after.annotations.tile_ids.index(tile)
    assert after.annotations.values[row, made.config.annotation_schema.column["road"]] == index
    assert after.people is not None


def test_tiles_are_read_at_the_extent_that_the_start_weights_were_trained_at(made, directory, monkeypatch, tmp_path):
    """Named in the configuration before the run has a copy of them, and from the copy afterwards."""
    shown = []
    monkeypatch.setattr(annotation_history, "read_images", lambda *arguments: shown.append(arguments[-3:]))
    schema = made.config.annotation_schema
    known = KnownTiles.of(
        np.random.default_rng(0).normal(0, 1, (64, 20)).astype(np.float32),
        np.zeros((64, len(schema)), int),
        [len(values) for values in schema.vocabulary.values()],
        image_size_px=128,
        gsd_m=[2.0] * 64,
        levels=["absolute"] * 64,
    )
    (tmp_path / "start").mkdir()
    known.save(tmp_path / "start")
    started = made.config.model_copy(update={"start_weights": tmp_path / "start"})
    records = read_records(directory.path)
    whole = open_corpus(made.config, directory, made.prepared, records)
    crops = open_corpus(started, directory, made.prepared, records)
    shutil.rmtree(directory.weights(0), ignore_errors=True)
    shutil.move(tmp_path / "start", directory.weights(0))
    again = open_corpus(started, directory, made.prepared, records)
    assert [each[:2] for each in shown] == [(128, None), (128, known.input.sampling), (128, known.input.sampling)]
    assert set(shown[0][2]) == {(1.0, 1.0)}
    assert shown[1][2] == shown[2][2] != shown[0][2], "the contrast of a product is matched to the start weights'"
    own = made.prepared.gsd_m
    assert whole.image_gsd_m == pytest.approx(own)
    assert crops.image_gsd_m == again.image_gsd_m
    assert {round(crops.image_gsd_m[tile] / own[tile], 2) for tile in own if own[tile] == 10} == {0.5}
