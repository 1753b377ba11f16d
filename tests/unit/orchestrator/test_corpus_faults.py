"""What happens to a corpus behind a run's back is found when the run starts or goes on, and named."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from rich.console import Console

from corpus.tiles import CorpusError, file_sha256
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.open_corpus import make_data
from orchestrator.start import resume_run
from orchestrator.state.run_directory import RunDirectory
from support.paths import ROOT

TILES = 100


def config_of(data_dir) -> RunConfig:
    return load_config(
        ROOT / "configs" / "smoke.yaml",
        [
            f"corpus.data_dir={data_dir}",
            f"corpus.simulated.tiles={TILES}",
            "corpus.simulated.cities=10",
            # Nothing here comes so far that it would need them.
            "cluster.memory_gib=0.1",
            "cluster.free_disk_gib=0.001",
        ],
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> RunConfig:
    return config_of(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def prepared(config):
    return make_data(config, Console(file=io.StringIO()))


@pytest.fixture
def begun(config, prepared, tmp_path, monkeypatch) -> RunDirectory:
    """A run that has started on the corpus."""
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory.create(config, tmp_path / "run")
    keep_or_check_inputs(directory.path, prepared)
    return directory


@pytest.fixture
def tile(prepared):
    """One tile's id and path; its content is put back afterwards."""
    row = prepared.tiles.slice(7, 1).to_pylist()[0]
    path = prepared.corpus_dir / row["path"]
    content = path.read_bytes()
    yield row["tile_id"], path
    path.write_bytes(content)
    (prepared.corpus_dir / "quarantine.jsonl").unlink(missing_ok=True)


def said_by_resume(directory: RunDirectory) -> str:
    """The error with which `knowlip resume` refuses; nothing of the run may have changed."""

    def contents() -> dict:
        return {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}

    before = contents()
    with pytest.raises(CorpusError) as error:
        resume_run(directory.path, Console(file=io.StringIO()))
    assert contents() == before
    return str(error.value)


def test_one_percent_of_cut_tiles_is_set_aside_by_name_and_the_rest_starts(config, prepared, tile):
    tile_id, path = tile
    path.write_bytes(path.read_bytes()[:-100])
    said = io.StringIO()
    opened = make_data(config, Console(file=said, width=300))
    assert opened.tiles.num_rows == TILES - 1
    assert opened.quarantined == TILES // 100
    assert f"{TILES - 1} simulated tiles, 1 quarantined" in said.getvalue()
    [line] = (prepared.corpus_dir / "quarantine.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["path"] == str(path.relative_to(prepared.corpus_dir))
    assert tile_id in entry["hint"]
    assert tile_id not in opened.tiles["tile_id"].to_pylist()
    assert tile_id not in opened.initial["tile_id"].to_pylist()


def test_a_tile_cut_after_the_start_is_named_when_the_run_goes_on(begun, tile):
    tile_id, path = tile
    path.write_bytes(path.read_bytes()[:-100])
    assert f"1 tile(s) can no longer be used: {tile_id}" in said_by_resume(begun)


def test_a_tile_with_other_pixels_under_its_name_is_named_though_it_is_a_good_geotiff(begun, prepared, tile):
    tile_id, path = tile
    with rasterio.open(path) as source:
        pixels, profile = source.read(), source.profile
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.flip(pixels, axis=2))
    with rasterio.open(path) as again:
        assert again.read().shape == pixels.shape
    assert f"1 tile(s) can no longer be used: {tile_id}" in said_by_resume(begun)
    entries = [json.loads(line) for line in (prepared.corpus_dir / "quarantine.jsonl").read_text().splitlines()]
    assert "has changed since it was recorded: SHA-256" in entries[-1]["hint"]


def test_a_corpus_made_anew_with_other_pixels_is_named(begun, prepared, tile):
    """Its own list agrees with its tiles, so that only the run can know."""
    tile_id, path = tile
    listed = prepared.corpus_dir / "tiles.parquet"
    content = listed.read_bytes()
    with rasterio.open(path) as source:
        pixels, profile = source.read(), source.profile
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.flip(pixels, axis=1))
    rows = pq.read_table(listed)
    hashes = [
        file_sha256(path) if name == tile_id else known
        for name, known in zip(rows["tile_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
    ]
    pq.write_table(rows.set_column(rows.column_names.index("sha256"), "sha256", pa.array(hashes)), listed)
    try:
        assert f"1 tile(s) have changed: {tile_id}" in said_by_resume(begun)
    finally:
        listed.write_bytes(content)


def test_initial_annotations_that_changed_between_interruption_and_resume_are_named(begun, prepared):
    path = prepared.corpus_dir / "seed.parquet"
    content = path.read_bytes()
    rows = pq.read_table(path).to_pylist()
    rows[0]["confidence"] = 0.123
    pq.write_table(pa.Table.from_pylist(rows, schema=prepared.initial.schema), path)
    try:
        assert "the initial annotations have changed" in said_by_resume(begun)
    finally:
        path.write_bytes(content)
