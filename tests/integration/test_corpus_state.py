"""What a resume finds where the annotations of the last recorded round should be."""

import shutil

import pytest

from corpus.annotations import AnnotationError, AnnotationStore
from orchestrator.data.annotation_history import CorpusKeeper
from orchestrator.data.prepare import prepare_corpus
from orchestrator.state.run_directory import RunDirectory

# A round whose record is taken away finds what it committed, and takes it as it is: that is no way out of damage.
ADVICE = "Restore the table from a copy, or start a new run.$"


@pytest.fixture
def moved(smoke_run, tmp_path):
    """A finished run under another name, and its prepared corpus."""
    directory, config = RunDirectory.open(shutil.copytree(smoke_run.run_dir, tmp_path / "moved"))
    return directory, config, prepare_corpus(config.corpus, run_seed=config.seed)


def test_a_run_that_is_renamed_stays_the_same_run(moved, smoke_run):
    directory, _, _ = moved
    assert directory.path.name == "moved"
    assert directory.run_id == smoke_run.records[0].run_id == "run"
    assert AnnotationStore(directory.annotations).version_of(directory.run_id, 2) is not None


@pytest.mark.parametrize("damage", ["another run", "no table"])
def test_annotations_of_a_recorded_round_are_never_replaced_by_the_seed(moved, damage, monkeypatch):
    directory, config, prepared = moved
    run_id = "stranger" if damage == "another run" else directory.run_id
    monkeypatch.setattr(RunDirectory, "run_id", run_id)
    if damage == "no table":
        shutil.rmtree(directory.annotations)
    before = AnnotationStore(directory.annotations).history()
    with pytest.raises(AnnotationError, match=f"no annotations of round 2 of {run_id}, which is recorded. {ADVICE}"):
        CorpusKeeper(config, directory).open(prepared, 2)
    assert AnnotationStore(directory.annotations).history() == before


def test_other_annotations_than_were_recorded_are_named(moved):
    directory, config, prepared = moved
    said = rf"is not what round 1 of run recorded \(digest .* instead of 0000.*{ADVICE}"
    with pytest.raises(AnnotationError, match=said):
        CorpusKeeper(config, directory).open(prepared, 1, "0" * 64)
