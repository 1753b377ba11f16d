"""What a resume finds where the annotations of the last recorded round should be."""

import shutil

import pytest

from corpus.annotation_rows import AnnotationError
from corpus.annotations import AnnotationStore
from orchestrator.data.annotation_history import open_corpus
from orchestrator.data.prepare import prepare_corpus
from orchestrator.state.records import read_records, record_path
from orchestrator.state.run_directory import RunDirectory
from support.hcot import HCOT

# A round whose record is taken away finds what it committed, and takes it as it is: that is no way out of damage.
ADVICE = "Restore the table from a copy, or start a new run.$"


@pytest.fixture
def moved(smoke_run, tmp_path):
    """A finished run under another name, and its prepared corpus."""
    directory, config = RunDirectory.open(shutil.copytree(smoke_run.run_dir, tmp_path / "moved"))
    return directory, config, prepare_corpus(config.corpus, HCOT, run_seed=config.seed)


def test_a_run_that_is_renamed_stays_the_same_run(moved, smoke_run):
    directory, _, _ = moved
    assert directory.path.name == "moved"
    assert directory.run_id == smoke_run.records[0].run_id == "run"
    assert AnnotationStore(directory.annotations).version_of(directory.run_id, 2) is not None


@pytest.mark.parametrize("damage", ["another run", "no table"])
def test_annotations_of_a_recorded_round_are_never_replaced_by_initial_ones(moved, damage):
    directory, config, prepared = moved
    if damage == "no table":
        shutil.rmtree(directory.annotations)
    else:
        first = record_path(directory.path, 1)
        first.write_text(first.read_text().replace('"run_id": "run"', '"run_id": "stranger"'))
    run_id = directory.run_id
    before = AnnotationStore(directory.annotations).history()
    with pytest.raises(AnnotationError, match=f"no annotations of round 2 of {run_id}, which is recorded. {ADVICE}"):
        open_corpus(config, directory, prepared, read_records(directory.path))
    assert AnnotationStore(directory.annotations).history() == before


def test_other_annotations_than_were_recorded_are_named(moved):
    directory, config, prepared = moved
    recorded = read_records(directory.path)[0].model_copy(update={"corpus_digest": "0" * 64})
    said = rf"is not what round 1 of run recorded \(digest .* instead of 0000.*{ADVICE}"
    with pytest.raises(AnnotationError, match=said):
        open_corpus(config, directory, prepared, [recorded])
