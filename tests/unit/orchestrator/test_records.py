"""Round records: round trip, one-step writing, and refusal of what is damaged or leads elsewhere."""

import io
import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console

from corpus.storage.state_files import RecordError
from corpus.storage.yaml import dump_yaml, load_yaml
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaMismatch
from orchestrator.config.load import load_config
from orchestrator.run.actors import started_from
from orchestrator.start import resume_run
from orchestrator.state.records import (
    Counts,
    InitialSummary,
    PhaseClock,
    Timings,
    check_recorded_schema,
    read_initial_summary,
    read_records,
    record_path,
    write_initial_summary,
    write_record,
)
from orchestrator.state.run_directory import RunDirectory
from support.hcot import HCOT
from support.paths import ROOT
from support.records import record, timings
from support.toy_schemas import LANDSCAPE
from support.unguarded import unguarded

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=40, deadline=None)
@given(
    metrics=st.dictionaries(st.text(min_size=1, max_size=20), st.none() | FINITE, max_size=5),
    counts=st.lists(st.integers(0, 10**9), min_size=6, max_size=6),
)
def test_what_is_written_is_read(tmp_path_factory, metrics, counts):
    run_dir = tmp_path_factory.mktemp("run")
    written = record(metrics=metrics, counts=Counts(**dict(zip(Counts.model_fields, counts, strict=True))))
    write_record(unguarded(run_dir), written)
    assert read_records(run_dir) == [written]


def test_records_come_in_order_of_rounds_past_ten_thousand_names(tmp_path):
    for round_ in (2, 1, 3):
        write_record(unguarded(tmp_path), record(round_))
    assert [each.round for each in read_records(tmp_path)] == [1, 2, 3]
    assert record_path(tmp_path, 12345).name == "12345.json"


def test_a_run_without_a_round_has_no_records(tmp_path):
    assert read_records(tmp_path) == []
    assert read_initial_summary(tmp_path) is None


def test_half_written_files_are_not_records(tmp_path):
    write_record(unguarded(tmp_path), record(1))
    (tmp_path / "rounds" / ".0002.json.abc.partial").write_text('{"round": 2')
    assert len(read_records(tmp_path)) == 1


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("corpus.storage.writer.os.replace", fail)
    with pytest.raises(OSError, match="The disk is full: 0001.json"):
        write_record(unguarded(tmp_path), record(1))
    assert list((tmp_path / "rounds").iterdir()) == []


def test_a_recorded_round_is_not_written_again(tmp_path):
    write_record(unguarded(tmp_path), record(1))
    with pytest.raises(RecordError, match="exists already"):
        write_record(unguarded(tmp_path), record(1))


@pytest.mark.parametrize("text", ["", "{", "null", '{"round": 1}', "\x00\xff"])
def test_a_damaged_record_is_named(tmp_path, text):
    path = write_record(unguarded(tmp_path), record(1))
    path.write_text(text)
    with pytest.raises(RecordError, match=r"0001\.json is damaged"):
        read_records(tmp_path)


def test_an_unknown_key_is_damage(tmp_path):
    path = write_record(unguarded(tmp_path), record(1))
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(RecordError, match="extra"):
        read_records(tmp_path)


def test_gaps_and_renamed_records_are_refused(tmp_path):
    write_record(unguarded(tmp_path), record(2))
    with pytest.raises(RecordError, match="no record of round 1"):
        read_records(tmp_path)
    record_path(tmp_path, 2).rename(record_path(tmp_path, 1))
    with pytest.raises(RecordError, match="renamed or copied"):
        read_records(tmp_path)


def test_links_out_of_the_run_directory_are_not_followed(tmp_path):
    run_dir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run_dir.mkdir()
    elsewhere.mkdir()
    (run_dir / "rounds").symlink_to(elsewhere)
    with pytest.raises(RecordError, match="outside the run directory"):
        write_record(unguarded(run_dir), record(1))
    assert list(elsewhere.iterdir()) == []
    (elsewhere / "0001.json").write_text(record(1).model_dump_json())
    with pytest.raises(RecordError, match="outside the run directory"):
        read_records(run_dir)


@pytest.mark.parametrize("changes", [{"weights_sha256": "no"}, {"metrics": {"loss": float("nan")}}, {"round": 0}])
def test_values_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValidationError):
        record(**changes)


def test_timings_must_add_up():
    with pytest.raises(ValidationError, match="unaccounted_s"):
        Timings(**{**timings().model_dump(), "unaccounted_s": 0.0})


def test_the_clock_accounts_for_all_time():
    clock = PhaseClock(startup_s=2.0)
    with clock.phase("train"):
        time.sleep(0.02)
    time.sleep(0.03)
    with pytest.raises(RuntimeError), clock.phase("score"):
        time.sleep(0.01)
        raise RuntimeError
    with clock.phase("train"):
        time.sleep(0.02)
    result = clock.timings()
    assert result.train_s >= 0.04
    assert result.score_s >= 0.01
    assert result.startup_s == 2.0
    assert result.unaccounted_s >= 0.03 - 0.002
    assert result.total_s == pytest.approx(2 + result.train_s + result.score_s + result.unaccounted_s, abs=0.002)


def test_the_clock_gives_cpu_time_to_the_phase_in_which_it_was_used():
    used = iter([10.0, 11.0, 14.0, 20.0, 20.5, 21.0])  # at the start, around train, around score, now
    clock = PhaseClock(startup_s=2.0, startup_cpu_s=9.0, cpu_s=lambda: next(used))
    with clock.phase("train"):
        pass
    with clock.phase("score"):
        pass
    nothing = dict.fromkeys(("publish", "label", "refresh", "evaluate"), 0.0)
    assert clock.cpu_times() == {"startup": 9.0, "train": 3.0, "score": 0.5, **nothing, "unaccounted": 7.5}
    assert PhaseClock().cpu_times() is None


def test_phases_neither_overlap_nor_are_invented():
    clock = PhaseClock()
    with pytest.raises(ValueError, match="do not overlap"), clock.phase("train"), clock.phase("score"):
        pass
    with pytest.raises(ValueError, match="unknown phase"), clock.phase("lunch"):
        pass


def test_the_summary_of_the_initial_annotations_is_read_as_it_was_written(tmp_path):
    summary = InitialSummary(annotation_accuracy=None, tiles=6, quarantined=1, simulated=False)
    write_initial_summary(unguarded(tmp_path), summary)
    write_initial_summary(unguarded(tmp_path), summary)
    assert read_initial_summary(tmp_path) == summary


def test_what_towers_started_from_is_recorded_and_outlives_the_first_weights(tmp_path):
    directory = unguarded(tmp_path)
    assert started_from(directory) == {}
    directory.weights(0).mkdir(parents=True)
    (directory.weights(0) / "pretrained.json").write_text('{"encoder.vision": "ab"}')
    found = started_from(directory)
    summary = InitialSummary(annotation_accuracy=None, tiles=6, quarantined=1, simulated=False, pretrained=found)
    write_initial_summary(directory, summary)
    shutil.rmtree(directory.weights(0))
    assert started_from(directory) == {"encoder.vision": "ab"}


def resumed_with_another_schema(tmp_path) -> Path:
    """A run of one recorded round whose config.yaml names another schema since then."""
    directory = RunDirectory.create(load_config(ROOT / "configs" / "smoke.yaml", ["rounds=2"]), tmp_path / "run")
    write_record(unguarded(directory.path), record(1))
    content = load_yaml(directory.config.read_text())
    directory.config.write_text(dump_yaml({**content, "schema": LANDSCAPE}))
    return directory.path


def test_a_resume_with_another_schema_is_refused_by_both_names_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = resumed_with_another_schema(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    landscape = AnnotationSchema.model_validate(LANDSCAPE)
    with pytest.raises(SchemaMismatch) as error:
        resume_run(path, Console(file=io.StringIO()))
    said = str(error.value)
    assert f"Round 1 of {path} was recorded with the annotation schema {HCOT.digest[:12]}" in said
    assert f"now has the schema {landscape.label}" in said
    assert "restore `schema` in config.yaml from a copy, or start a new run" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_finished_run_whose_schema_was_changed_is_refused_too(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = resumed_with_another_schema(tmp_path)
    write_record(unguarded(path), record(2))
    status, _, said = call("resume", path)
    assert status == 2
    assert "Round 1" in said
    assert "Traceback" not in said


def test_records_of_the_schema_of_their_run_are_accepted(tmp_path):
    check_recorded_schema(tmp_path, [record(1), record(2)], HCOT)
    check_recorded_schema(tmp_path, [], HCOT)
