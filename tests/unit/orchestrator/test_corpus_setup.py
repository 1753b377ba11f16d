"""Preparing a corpus: made once, reused, bad tiles set aside by name, errors of initial annotations reproducible."""

import dataclasses
import fcntl
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.simulate.config import SceneConfig
from corpus.storage.errors import ConfigError
from corpus.tiles import CorpusError
from orchestrator.config.schema import CorpusConfig
from orchestrator.data import make_corpus as corpus_setup
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import open_corpus, prepare_corpus
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import HCOT

TILES = 24


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return CorpusConfig(
        data_dir=tmp_path_factory.mktemp("data"), name="tiny", simulated=SceneConfig(tiles=TILES, cities=6)
    )


@pytest.fixture(scope="module")
def prepared(config):
    return prepare_corpus(config, HCOT, run_seed=0)


def test_a_corpus_is_whole_and_its_truth_lies_apart(prepared):
    assert prepared.tiles.num_rows == TILES
    assert prepared.initial.num_rows == 16 * TILES
    assert set(prepared.knowledge) == set(prepared.tiles["tile_id"].to_pylist())
    assert prepared.simulated
    assert prepared.quarantined == 0
    assert prepared.truth_dir.parent == prepared.corpus_dir.parent
    assert not list(prepared.corpus_dir.rglob("*truth*"))


def test_a_second_call_reuses_it_and_another_seed_makes_other_errors(config, prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.corpus_dir.rglob("*") if path.is_file()}
    again = prepare_corpus(config, HCOT, run_seed=0)
    assert {path: path.stat().st_mtime_ns for path in before if "quarantine" not in path.name} == {
        path: time for path, time in before.items() if "quarantine" not in path.name
    }
    assert again.initial.equals(prepared.initial)
    other = prepare_corpus(config, HCOT, run_seed=1)
    assert other.corpus_dir != prepared.corpus_dir
    assert not other.initial.equals(prepared.initial)


def test_a_changed_and_a_missing_tile_are_set_aside_by_name(config):
    prepared = prepare_corpus(config, HCOT, run_seed=2)
    changed, missing = (prepared.corpus_dir / path for path in prepared.tiles["path"].to_pylist()[:2])
    whole = {path: path.read_bytes() for path in (changed, missing)}
    changed.write_bytes(whole[changed][:-40])
    missing.unlink()
    reopened = prepare_corpus(config, HCOT, run_seed=2)
    assert reopened.tiles.num_rows == TILES - 2
    assert reopened.quarantined == 2
    assert set(reopened.initial["tile_id"].to_pylist()) == set(reopened.tiles["tile_id"].to_pylist())
    reasons = (prepared.corpus_dir / "quarantine.jsonl").read_text()
    assert changed.name in reasons
    assert missing.name in reasons
    for path, content in whole.items():
        path.write_bytes(content)
    mended = prepare_corpus(config, HCOT, run_seed=2)
    assert mended.tiles.num_rows == TILES
    assert mended.quarantined == 0


def test_runs_that_make_one_corpus_at_once_wait_for_one_another(config):
    root = prepare_corpus(config, HCOT, run_seed=4).corpus_dir.parent
    shutil.rmtree(root)
    root.with_name(f"{root.name}.unfinished-1").mkdir()  # as a killed one leaves it
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: prepare_corpus(config, HCOT, run_seed=4), range(2)))
    assert made[0].initial.equals(made[1].initial)
    assert made[0].tiles.equals(made[1].tiles)
    assert not list(config.data_dir.glob("*.unfinished-*"))


def test_too_many_bad_tiles_end_the_run_before_it_starts(config):
    prepared = prepare_corpus(config, HCOT, run_seed=3)
    for path in prepared.tiles["path"].to_pylist()[:5]:
        (prepared.corpus_dir / path).write_bytes(b"II*\0")
    with pytest.raises(CorpusError, match=f"5 of the {TILES} tiles"):
        open_corpus(prepared.corpus_dir, None, HCOT, simulated=True, max_quarantined_share=0.1)


def test_without_truth_the_corpus_opens_the_same(config):
    prepared = prepare_corpus(config, HCOT, run_seed=4)
    (prepared.truth_dir / "truth.parquet").unlink()
    prepared.truth_dir.rmdir()
    again = prepare_corpus(config, HCOT, run_seed=4)
    assert again.truth_dir is None
    assert again.initial.equals(pq.read_table(prepared.corpus_dir / "seed.parquet"))


def test_real_input_without_tiles_says_what_to_give(tmp_path):
    with pytest.raises(ConfigError, match="--tiles"):
        prepare_corpus(CorpusConfig(kind="geotiff", data_dir=tmp_path), HCOT, run_seed=0)


@pytest.fixture
def begun(config, tmp_path):
    """A run directory that knows its corpus, and that corpus."""
    prepared = prepare_corpus(config, HCOT, run_seed=4)
    keep_or_check_inputs(tmp_path, prepared)
    return tmp_path, prepared


def test_a_run_goes_on_with_the_corpus_it_began_with(config, begun):
    run_dir, _ = begun
    before = (run_dir / "corpus.json").read_text()
    keep_or_check_inputs(run_dir, prepare_corpus(config, HCOT, run_seed=4))
    assert (run_dir / "corpus.json").read_text() == before


def test_a_tile_that_changed_under_its_name_is_named_and_the_run_can_go_on_when_it_is_back(config, begun):
    run_dir, prepared = begun
    tile = prepared.tiles.slice(3, 1).to_pylist()[0]
    path = prepared.corpus_dir / tile["path"]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(CorpusError, match=rf"1 tile\(s\) can no longer be used: {tile['tile_id']}"):
            keep_or_check_inputs(run_dir, prepare_corpus(config, HCOT, run_seed=4))
    finally:
        path.write_bytes(content)
    keep_or_check_inputs(run_dir, prepare_corpus(config, HCOT, run_seed=4))


def test_an_initial_annotation_that_changed_is_named(config, begun):
    run_dir, prepared = begun
    path = prepared.corpus_dir / "seed.parquet"
    content = path.read_bytes()
    rows = pq.read_table(path).to_pylist()
    rows[0]["value"] = next(value for value in ("plain", "coast") if value != rows[0]["value"])
    try:
        pq.write_table(pa.Table.from_pylist(rows, schema=prepared.initial.schema), path)
        with pytest.raises(CorpusError, match="the initial annotations have changed"):
            keep_or_check_inputs(run_dir, prepare_corpus(config, HCOT, run_seed=4))
    finally:
        path.write_bytes(content)


def test_a_corpus_made_anew_is_another_one(begun):
    run_dir, prepared = begun
    other = dataclasses.replace(
        prepared,
        tiles=prepared.tiles.set_column(
            prepared.tiles.column_names.index("sha256"), "sha256", pa.array(["0" * 64] * TILES)
        ),
    )
    with pytest.raises(CorpusError, match=rf"{TILES} tile\(s\) have changed: .* and {TILES - 5} more"):
        keep_or_check_inputs(run_dir, other)


@pytest.fixture
def scenes(tmp_path):
    """Four scenes of one tile each, and the configuration that cuts them."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(4):
        write_geotiff(folder / f"{number}.{'TIF' if number else 'tif'}", speckled_dn(seed=number))
    return CorpusConfig(
        kind="geotiff",
        tiles=folder,
        data_dir=tmp_path / "data",
        name="scenes",
        ingest={"tile_px": 64, "held_out_share": 0},
    )


def test_only_refused_files_are_counted_as_quarantined(scenes):
    """Beside one without a coordinate system: a copy, and a scene of which one window is empty."""
    (scenes.tiles / "copy.tif").write_bytes((scenes.tiles / "0.tif").read_bytes())
    partly_empty = speckled_dn(seed=7)
    partly_empty[:, :64, :64] = 0
    write_geotiff(scenes.tiles / "swath#1,2.tif", partly_empty, nodata=0)
    write_geotiff(scenes.tiles / "lost#3,4.tif", speckled_dn(seed=8), crs=None)
    prepared = prepare_corpus(
        scenes.model_copy(update={"ingest": scenes.ingest.model_copy(update={"max_quarantined_share": 0.5})}),
        HCOT,
        run_seed=0,
    )
    assert len((prepared.corpus_dir / "quarantine.jsonl").read_text().splitlines()) == 3
    assert prepared.quarantined == 1


def test_a_scene_with_other_pixels_of_the_same_size_makes_another_corpus(scenes, tmp_path):
    """With it a run does not go on; that it is not even made then, see test_corpus_scenes.py."""
    prepared = prepare_corpus(scenes, HCOT, run_seed=0)
    keep_or_check_inputs(tmp_path, prepared)
    changed = scenes.tiles / "2.TIF"
    size = changed.stat().st_size
    write_geotiff(changed, speckled_dn(seed=9))
    assert changed.stat().st_size == size
    again = prepare_corpus(scenes, HCOT, run_seed=0)
    with pytest.raises(CorpusError, match=r"4 tile\(s\) can no longer be used: .*4 tile\(s\) are new"):
        keep_or_check_inputs(tmp_path, again)


@pytest.mark.parametrize("killed_before", ["scenes.parquet", "seed.parquet", "knowledge.parquet"])
def test_scenes_can_be_compared_wherever_the_first_attempt_was_killed(scenes, monkeypatch, killed_before):
    def die(table: pa.Table, path: Path) -> None:
        if path.name == killed_before:
            raise SystemExit
        write(table, path)

    write = corpus_setup._write
    monkeypatch.setattr(corpus_setup, "_write", die)
    with pytest.raises(SystemExit):
        prepare_corpus(scenes, HCOT, run_seed=0)
    monkeypatch.undo()
    prepared = prepare_corpus(scenes, HCOT, run_seed=0)
    assert len(prepared.scenes) == 4
    assert all(scene.sha256 for scene in prepared.scenes.values())
    assert prepared.tiles.num_rows == 16
    assert prepared.quarantined == 0


def test_who_waits_for_another_process_says_so(scenes, capsys):
    root = prepare_corpus(scenes, HCOT, run_seed=0).corpus_dir.parent
    assert capsys.readouterr().err == ""
    shutil.rmtree(root)
    with ThreadPoolExecutor(1) as pool:
        with open(root.with_name(f".{root.name}.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made, said, deadline = pool.submit(prepare_corpus, scenes, HCOT, run_seed=0), "", time.monotonic() + 20
            while not said.endswith("\n") and time.monotonic() < deadline:
                time.sleep(0.05)
                said += capsys.readouterr().err
            assert not root.exists()
        assert made.result().tiles.num_rows == 16
    assert said == f"waiting for another process that prepares this corpus, {root}\n"


def test_a_scene_copied_anew_is_the_same_corpus(scenes, tmp_path):
    keep_or_check_inputs(tmp_path, prepare_corpus(scenes, HCOT, run_seed=0))
    (scenes.tiles / "1.TIF").touch()
    keep_or_check_inputs(tmp_path, prepare_corpus(scenes, HCOT, run_seed=0))
