"""`knowlip export`: which version, what is refused before work starts, and that a folder is there whole or not."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from corpus.annotations import AnnotationStore
from export.base import ExportError
from export.registry import EXPORTERS
from export.write import write_export
from orchestrator.config.load import load_saved_config
from orchestrator.data.exported import open_source
from support.exported_run import commit
from support.plugins import forgotten_afterwards
from support.toy_schemas import VEHICLES


@pytest.fixture
def plugin():
    """The module of the toy format, forgotten afterwards."""
    with forgotten_afterwards("support.toy_export", EXPORTERS) as module:
        yield module


def facts(out: Path) -> dict:
    return json.loads((out / "knowlip_export.json").read_text())


@pytest.mark.parametrize(
    ("options", "round_"),
    [
        ([], 3),
        (["--version", "1"], 1),
        (["--version", "0"], 0),
        (["--round", "0"], 0),
        (["--round", "2"], 2),
        (["--champion"], 2),
    ],
)
def test_the_version_is_the_last_one_or_the_one_that_is_asked_for(options, round_, simulated, tmp_path, call, plugin):
    status, said, _ = call("export", simulated, tmp_path / "o", "--format", "csv", "--plugin", plugin, *options)
    assert status == 0
    assert f"round {round_} of run" in said
    assert (facts(tmp_path / "o")["round"], facts(tmp_path / "o")["version"]) == (round_, round_)
    table = AnnotationStore(simulated / "annotations").read(round_)
    with open(tmp_path / "o" / "captions.csv", encoding="utf-8") as file:
        captions = {row["tile_id"]: row["caption"] for row in csv.DictReader(file)}
    texts = {}
    for row in table.to_pylist():
        texts.setdefault(row["tile_id"], []).append(row["text"])
    assert captions == {tile_id: " ".join(said) for tile_id, said in texts.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--version", "9"], "has no version 9 of a recorded round. There are: 0 (round 0), 1 (round 1)"),
        (["--version", "-1"], "has no version -1"),
        (["--round", "4"], "has no round 4: its recorded rounds are 0 (the initial annotations) to 3"),
        (["--round", "1", "--champion"], "--round and --champion ask for one version each"),
        (["--format", "cocoa"], "There is no export format 'cocoa'; registered: coco"),
        (["--plugin", "no_such_module"], "the plugin 'no_such_module' cannot be imported"),
    ],
)
def test_a_bad_wish_is_refused_before_work_starts(options, message, simulated, tmp_path, call):
    given = options if "--format" in options else [*options, "--format", "coco"]
    status, _, said = call("export", simulated, tmp_path / "o", *given)
    assert status == 2
    assert message in " ".join(said.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_as_it_is(simulated, tmp_path, call):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine").write_text("mine")
    status, _, said = call("export", simulated, tmp_path / "o", "--format", "coco")
    assert status == 2
    assert "is not empty" in said
    assert (tmp_path / "o" / "mine").read_text() == "mine"
    status, _, said = call("export", simulated, tmp_path / "o" / "mine", "--format", "coco")
    assert status == 2
    assert "is a file" in said


def test_what_is_no_run_is_refused(tmp_path, call):
    status, _, said = call("export", tmp_path, tmp_path / "o", "--format", "coco")
    assert status == 2
    assert "is not a run directory" in said


@pytest.fixture
def copied(simulated, tmp_path) -> Path:
    """A copy of the run and its corpus that a test may harm."""
    shutil.copytree(simulated.parent, tmp_path / "copy")
    run_dir = tmp_path / "copy" / "run"
    path = run_dir / "corpus.json"
    path.write_text(path.read_text().replace(str(simulated.parent), str(tmp_path / "copy")))
    return run_dir


def test_a_run_of_another_schema_is_refused(copied, tmp_path, call):
    import yaml

    content = yaml.safe_load((copied / "config.yaml").read_text())
    content["schema"] = VEHICLES
    (copied / "config.yaml").write_text(yaml.safe_dump(content))
    status, _, said = call("export", copied, tmp_path / "o", "--format", "coco")
    assert status == 2
    assert "recorded with the annotation schema" in " ".join(said.split())
    assert not (tmp_path / "o").exists()


def test_a_round_that_was_committed_and_not_recorded_did_not_happen(copied, tmp_path, call):
    store = AnnotationStore(copied / "annotations")
    version = commit(load_saved_config(copied / "config.yaml"), store, store.read(), 4)
    assert open_source(copied).version == version - 1
    status, _, said = call("export", copied, tmp_path / "o", "--format", "coco", "--version", version)
    assert status == 2
    assert f"no version {version} of a recorded round" in " ".join(said.split())


def test_decisions_that_were_committed_after_the_last_round_are_what_is_exported(copied):
    store = AnnotationStore(copied / "annotations")
    version = store.commit(store.read(), run_id="people", round_=0)
    source = open_source(copied)
    assert (source.version, source.round) == (version, 3)
    assert open_source(copied, round_=3).version == version - 1


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_tile_that_is_not_what_it_was_ends_an_export_that_leaves_nothing(harm, copied, tmp_path, call):
    tile = sorted((copied.parent / "data").glob("*/corpus/tiles/*/*.tif"))[-1]
    tile.write_bytes(tile.read_bytes() + b"x") if harm == "changed" else tile.unlink()
    before = set(tmp_path.iterdir())
    status, _, said = call("export", copied, tmp_path / "o", "--format", "coco")
    assert status == 2
    assert tile.stem in said
    assert "has changed since the run" in said or "cannot be read" in said
    assert set(tmp_path.iterdir()) == before


def test_a_corpus_that_is_gone_is_named(copied, tmp_path, call):
    shutil.rmtree(copied.parent / "data")
    status, _, said = call("export", copied, tmp_path / "o", "--format", "coco")
    assert status == 2
    assert "is not a corpus" in said


class Failing:
    """A format that writes a file, and fails."""

    reads = ""

    def __init__(self, error: Exception, **needs: str) -> None:
        self.error, self.needs = error, needs

    def check(self, source): ...

    def write(self, source, out, progress):
        (out / "half").write_text("half")
        raise self.error


@pytest.mark.parametrize(
    ("exporter", "kind", "message"),
    [
        (Failing(ZeroDivisionError("half way")), ZeroDivisionError, "half way"),
        (Failing(OSError(28, "No space left on device")), ExportError, r"The disk is full: .* Nothing of it is left"),
        (Failing(ValueError(), no_such="no-such-library"), ExportError, r"no-such-library.*knowlip\[export\]"),
    ],
)
def test_an_export_that_fails_leaves_nothing(exporter, kind, message, simulated, tmp_path):
    with pytest.raises(kind, match=message):
        write_export("failing", exporter, open_source(simulated), tmp_path / "o", lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_annotations_are_read_some_tiles_at_a_time_in_order(simulated, monkeypatch):
    whole = [sample.tile.tile_id for sample in open_source(simulated).samples()]
    sizes = []
    read = AnnotationStore.batches

    def seen(self, *arguments):
        for rows in read(self, *arguments):
            sizes.append(rows.num_rows)
            yield rows

    monkeypatch.setattr(AnnotationStore, "batches", seen)
    monkeypatch.setattr("export.source.READ_AT_ONCE", 5)
    source = open_source(simulated)
    assert [sample.tile.tile_id for sample in source.samples()] == whole == sorted(whole)
    assert sizes == [5 * 16, 5 * 16, 2 * 16]


def test_tiles_that_changed_between_two_versions_are_those_whose_values_did(simulated):
    source = open_source(simulated)
    before, after = ({sample.tile.tile_id: sample.values for sample in source.samples(n)} for n in (1, 2))
    changed = {now.tile.tile_id: now.values for _, now in source.changed(1, 2)}
    assert changed == {tile_id: values for tile_id, values in after.items() if values != before[tile_id]}
    assert changed
