"""What happens to the scenes of a run between interruption and resume is found before anything is cut, by file name."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from corpus.ingest.ingest import IngestError
from corpus.tiles import CorpusError
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import PreparedCorpus, prepare_corpus
from orchestrator.open_corpus import make_data, same_data
from orchestrator.start import resume_run
from orchestrator.state.run_directory import RunDirectory
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import HCOT
from support.paths import ROOT

NAMES = ("north/a.tif", "north/b.TIF", "c.tiff", "d.tif")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=1000)


def config_of(source: Path, data_dir: Path, *settings: str) -> RunConfig:
    return load_config(
        ROOT / "configs" / "smoke.yaml",
        [
            "corpus.kind=geotiff",
            f"corpus.tiles={source}",
            f"corpus.data_dir={data_dir}",
            "corpus.ingest.held_out_share=0",
            "corpus.ingest.max_quarantined_share=0.5",
            # Nothing here comes so far that it would need them.
            "cluster.memory_gib=0.1",
            "cluster.free_disk_gib=0.001",
            *settings,
        ],
    )


def begin(config: RunConfig, path: Path) -> tuple[RunDirectory, PreparedCorpus]:
    """A run that has started on its corpus and was interrupted then."""
    directory, prepared = RunDirectory.create(config, path, path.parent), make_data(config, quiet())
    keep_or_check_inputs(directory.path, prepared)
    return directory, prepared


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "scenes"
    for seed, name in enumerate(NAMES):
        write_geotiff(folder / name, speckled_dn(seed=seed))
    return folder


@pytest.fixture
def config(source, tmp_path) -> RunConfig:
    return config_of(source, tmp_path / "data")


@pytest.fixture
def begun(config, tmp_path) -> tuple[RunDirectory, PreparedCorpus]:
    return begin(config, tmp_path / "run")


def state_of(*folders: Path) -> dict[Path, int]:
    """Everything below them with its time."""
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}


def refused(directory: RunDirectory, data_dir: Path) -> str:
    """The error with which `knowlip resume` refuses; neither the run nor a corpus may have changed."""
    before = state_of(directory.path, data_dir)
    with pytest.raises(CorpusError) as error:
        resume_run(directory.path, quiet())
    assert state_of(directory.path, data_dir) == before
    return str(error.value)


def goes_on(config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus) -> str:
    """What is said as the run goes on with the tiles that it began with; none is cut."""
    before, console = state_of(prepared.corpus_dir / "tiles"), quiet()
    again = same_data(config, directory, console)
    keep_or_check_inputs(directory.path, again)
    assert again.corpus_dir == prepared.corpus_dir
    assert again.tiles.equals(prepared.tiles)
    assert state_of(prepared.corpus_dir / "tiles") == before
    assert len(list(config.corpus.data_dir.glob("smoke-*"))) == 1
    return console.file.getvalue()


def test_a_scene_with_other_pixels_of_the_same_size_is_named(source, config, begun):
    directory, _ = begun
    size = (source / "c.tiff").stat().st_size
    write_geotiff(source / "c.tiff", speckled_dn(seed=9))
    assert (source / "c.tiff").stat().st_size == size
    said = refused(directory, config.corpus.data_dir)
    assert "1 scene(s) have changed: c.tiff. A run" in said
    assert str(source) in said
    assert str(directory.path) in said
    assert "start a new run" in said


def test_a_scene_that_is_gone_and_one_that_is_new_are_named(source, config, begun):
    directory, prepared = begun
    (source / "north/b.TIF").rename(source / "north/e.tif")
    said = refused(directory, config.corpus.data_dir)
    assert "1 scene(s) are gone: north/b.TIF; 1 scene(s) are new: north/e.tif." in said
    (source / "north/e.tif").rename(source / "north/b.TIF")
    goes_on(config, directory, prepared)


def test_of_many_scenes_the_first_are_named(source, config, begun):
    directory, _ = begun
    for number in range(7):
        write_geotiff(source / f"new{number}.tif", speckled_dn(seed=20 + number))
    assert "7 scene(s) are new: new0.tif, new1.tif, new2.tif, new3.tif, new4.tif and 2 more." in refused(
        directory, config.corpus.data_dir
    )


def test_scenes_that_were_copied_anew_are_not_cut_again(source, config, begun):
    for name in NAMES:
        os.utime(source / name, (1, 1))
    goes_on(config, *begun)


def test_a_corpus_that_was_removed_is_made_again_though_its_scenes_were_copied_anew(source, config, begun):
    directory, prepared = begun
    shutil.rmtree(config.corpus.data_dir)
    (source / "d.tif").touch()
    keep_or_check_inputs(directory.path, same_data(config, directory, quiet()))
    goes_on(config, directory, prepared)


def test_a_source_that_is_no_longer_there_tells_of_no_change_and_the_run_goes_on_with_its_tiles(source, config, begun):
    source.rename(source.with_name("elsewhere"))
    assert f"There is no scene at {source} any more" in goes_on(config, *begun)
    source.mkdir()  # where a disk is not mounted
    assert f"There is no scene at {source} any more" in goes_on(config, *begun)


def test_without_source_and_tiles_a_run_cannot_go_on(source, config, begun):
    directory, _ = begun
    shutil.rmtree(source)
    shutil.rmtree(config.corpus.data_dir)
    with pytest.raises(IngestError, match=f"no folder or list of GeoTIFFs at {source}"):
        resume_run(directory.path, quiet())


def test_a_refused_scene_may_be_copied_anew_but_not_mended(source, tmp_path):
    whole = (source / "d.tif").read_bytes()
    (source / "d.tif").write_bytes(whole[:-9000])
    config = config_of(source, tmp_path / "data")
    directory, prepared = begin(config, tmp_path / "run")
    assert prepared.quarantined == 1
    (source / "d.tif").touch()
    goes_on(config, directory, prepared)
    (source / "d.tif").write_bytes(whole)
    assert "1 scene(s) have changed: d.tif." in refused(directory, config.corpus.data_dir)


def test_a_list_is_compared_by_the_files_that_it_names(source, tmp_path):
    """One of them is not there at all."""
    listed = tmp_path / "list.txt"
    listed.write_text("scenes/c.tiff\nscenes/d.tif\nscenes/none.tif\n")
    config = config_of(listed, tmp_path / "data")
    directory, prepared = begin(config, tmp_path / "run")
    goes_on(config, directory, prepared)
    listed.write_text("scenes/d.tif\nscenes/none.tif\nscenes/north/a.tif\n")
    said = refused(directory, config.corpus.data_dir)
    assert "1 scene(s) are gone: scenes/c.tiff; 1 scene(s) are new: scenes/north/a.tif." in said
    listed.write_text("scenes/none.tif\nscenes/c.tiff\nscenes/d.tif\n")
    goes_on(config, directory, prepared)
    source.rename(source.with_name("elsewhere"))
    assert "There is no scene" in goes_on(config, directory, prepared)


def test_a_virtual_scene_is_known_by_its_name_only(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(source / "c.tiff", "c.tif")
    listed = tmp_path / "list.txt"
    listed.write_text(f"/vsizip/{tmp_path}/scenes.zip/c.tif\nscenes/d.tif\n")
    config = config_of(listed, tmp_path / "data", "corpus.ingest.allow_virtual=true")
    directory, prepared = begin(config, tmp_path / "run")
    (source / "d.tif").touch()
    goes_on(config, directory, prepared)
    listed.write_text("scenes/d.tif\n")
    assert "1 scene(s) are gone: /vsizip/" in refused(directory, config.corpus.data_dir)


def test_a_run_of_before_scenes_were_written_down_goes_on_as_it_did(source, config, begun):
    """Its tiles are compared, once they are cut."""
    directory, prepared = begun
    path = directory.path / "corpus.json"
    content = json.loads(path.read_text())
    del content["scenes"]
    path.write_text(json.dumps(content))
    goes_on(config, directory, prepared)
    (source / "c.tiff").touch()
    keep_or_check_inputs(directory.path, same_data(config, directory, quiet()))
    write_geotiff(source / "c.tiff", speckled_dn(seed=9))
    with pytest.raises(CorpusError, match=r"tile\(s\) can no longer be used"):
        resume_run(directory.path, quiet())


def test_a_corpus_of_before_scenes_were_written_down_can_be_used(config, begun):
    _, prepared = begun
    (prepared.corpus_dir / "scenes.parquet").unlink()
    again = prepare_corpus(config.corpus, HCOT, run_seed=0)
    assert again.corpus_dir == prepared.corpus_dir
    assert again.scenes == {}
