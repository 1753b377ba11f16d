"""The command line: its commands, and one clear paragraph for every bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from orchestrator.config.load import load_config
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import write_record
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.mlflow_store import local_uri
from support.geotiffs import speckled_dn, write_geotiff, write_vrt, write_zero_band_tiff
from support.paths import ROOT
from support.records import record
from support.trackers import tracker_in
from support.unguarded import unguarded

SMOKE = ROOT / "configs" / "smoke.yaml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(call, tmp_path):
    """Call with bad input: one paragraph on stderr, status 2 or 1, no traceback, nothing left behind."""

    def refused(*arguments, expected=2):
        before = sorted(tmp_path.rglob("*"))
        status, _, error = call(*arguments)
        assert status == expected
        assert error.startswith("Error: ")
        assert "Traceback" not in error
        assert "  File " not in error
        assert not re.search(r"\n\s*\n", error.strip()), "more than one paragraph"
        assert sorted(path for path in tmp_path.rglob("*") if "data" not in path.parts) == before
        return " ".join(error.split())

    return refused


def test_help_names_every_command(call):
    status, out, _ = call("--help")
    assert status == 0
    for command in ("run", "resume", "status", "report", "caption", "data", "throughput", "config", "ablate", "hcot"):
        assert re.search(rf"^\W*{command} ", out, re.MULTILINE), command


def test_the_old_name_of_throughput_is_answered_with_the_new_one(refused, call):
    assert "`knowlip bench` is called `knowlip throughput` now" in refused("bench", "--run", "runs/latest")
    assert not re.search(r"^\W*bench ", call("--help")[1], re.MULTILINE)


def test_a_missing_configuration_is_named(refused):
    assert (
        f"There is no configuration nowhere.yaml. The ones that come with the project lie in {SMOKE.parent}/"
        in refused("run", "nowhere.yaml")
    )


@pytest.mark.parametrize("name", ["nowhere.yaml", "model/tiny.yaml", "../configs/smoke.yaml"])
def test_only_below_configs_a_path_is_looked_for_among_what_comes_with_the_project(refused, name):
    assert f"There is no configuration {name}." in refused("config", name)


def test_a_file_of_ones_own_stands_before_the_one_that_comes_with_the_project(call, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "smoke.yaml").write_text("rounds: 7\nmodel: model/tiny.yaml\n")
    assert "\nrounds: 7\n" in call("config", "configs/smoke.yaml")[1]


def test_a_mistyped_key_in_the_file_is_answered_with_the_nearest(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text("roudns: 3\n")
    assert "mine.yaml cannot be used: roudns: no such key. Did you mean 'rounds'?" in refused("run", "mine.yaml")


def test_a_mistyped_key_on_the_command_line_is_named(refused):
    assert "train.epoch: no such key" in refused("run", SMOKE, "--set", "train.epoch=1")
    assert "rounds: Input should be a valid integer" in refused("run", SMOKE, "--set", "rounds=three")
    assert "write it as key=value" in refused("run", SMOKE, "--set", "rounds")


def test_a_run_directory_that_is_not_empty_is_refused(refused, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    error = refused("run", SMOKE, "--run-dir", "taken")
    assert "taken exists and is not empty" in error
    assert "knowlip resume taken" in error


def test_too_many_cpus_are_named_with_their_keys(refused):
    error = refused("run", SMOKE, "--set", "train.min_workers=500", "--set", "train.max_workers=500", expected=1)
    assert "503 CPUs are needed" in error
    assert "6 are there" in error
    assert "cluster.local_cpus" in error


def test_too_much_memory_is_named_with_its_key(refused):
    assert "9999 GiB of memory are needed (cluster.memory_gib)" in refused(
        "run", SMOKE, "--set", "cluster.memory_gib=9999", expected=1
    )


def test_real_input_without_tiles_is_told_what_to_give(refused):
    assert "Give a folder or a list of GeoTIFFs with --tiles" in refused("run", SMOKE, "--set", "corpus.kind=geotiff")


def test_an_absent_folder_of_tiles_is_named(refused, tmp_path):
    assert f"There is no folder or list of GeoTIFFs at {tmp_path}/absent" in refused("run", SMOKE, "--tiles", "absent")


def test_an_empty_folder_of_tiles_is_named(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty holds no GeoTIFF (*.tif, *.tiff)" in refused("run", SMOKE, "--tiles", "empty")


def test_a_folder_in_which_nothing_can_be_used_is_refused_with_its_quarantine(refused, tmp_path):
    folder = tmp_path / "bad"
    write_geotiff(folder / "constant.tif", np.full((2, 128, 128), 7, np.uint16))
    (folder / "text.tif").write_text("not a tiff")
    error = refused("run", SMOKE, "--tiles", "bad")
    assert "2 of 2 files of" in error
    assert "quarantine.jsonl" in error


@pytest.mark.parametrize("command", ["resume", "status", "report", "caption"])
def test_what_is_no_run_directory_is_refused_by_every_command(refused, tmp_path, command):
    (tmp_path / "tile.tif").touch()
    arguments = ("caption", "tile.tif", "--run", ".") if command == "caption" else (command, ".")
    assert "is not a run directory: it has no config.yaml" in refused(*arguments)


BAD_TILES = {
    "absent": (lambda path: None, "cannot be read"),
    "text": (lambda path: path.write_text("hello"), "is not a GeoTIFF"),
    "truncated": (lambda path: _truncate(write_geotiff(path, speckled_dn())), "is truncated"),
    "no_crs": (lambda path: write_geotiff(path, speckled_dn(), crs=None), "has no coordinate reference system"),
    "no_bands": (write_zero_band_tiff, "has no bands"),
    "vrt": (lambda path: write_vrt(path, "other.tif"), "is a virtual or remote dataset"),
    "constant": (lambda path: write_geotiff(path, np.full((2, 128, 128), 7, np.uint16)), "has the same value"),
    "nan": (lambda path: write_geotiff(path, np.full((2, 128, 128), np.nan, np.float32)), "pixels without a value"),
}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize("kind", BAD_TILES)
def test_a_tile_that_cannot_be_captioned_is_refused_with_its_reason(call, tmp_path, kind):
    RunDirectory.create(load_config(SMOKE), tmp_path / "run")
    make, why = BAD_TILES[kind]
    make(tmp_path / "tile.tif")
    status, _, error = call("caption", tmp_path / "tile.tif", "--run", "run")
    assert status == 2
    assert "Traceback" not in error
    assert "tile.tif" in error
    assert why in " ".join(error.split())


def test_a_run_without_weights_captions_nothing(call, tmp_path):
    RunDirectory.create(load_config(SMOKE), tmp_path / "run")
    status, _, error = call("caption", write_geotiff(tmp_path / "tile.tif", speckled_dn()), "--run", "run")
    assert status == 2
    assert "has no trained weights yet" in error


def test_a_url_is_no_tile(call, tmp_path):
    RunDirectory.create(load_config(SMOKE), tmp_path / "run")
    status, _, error = call("caption", "https://example.com/tile.tif", "--run", "run")
    assert status == 2
    assert "virtual or remote" in " ".join(error.split())


def test_a_run_without_a_round_can_be_asked_about(call, tmp_path):
    RunDirectory.create(load_config(SMOKE), tmp_path / "run")
    status, out, _ = call("report", "run", "--json")
    report = json.loads(out)
    assert status == 0
    assert report["rounds"] == []
    assert report["final_accuracy"] is None
    status, out, _ = call("status", "run")
    assert status == 0
    assert "0 of 2 recorded" in out
    assert f"knowlip resume {tmp_path / 'run'}" in out


def test_the_configuration_can_be_shown(call):
    status, out, _ = call("config", SMOKE, "--set", "rounds=9")
    assert status == 0
    assert "rounds: 9" in out
    status, out, _ = call("config")
    assert status == 0
    assert "train.round_epochs" in out


def test_data_check_names_what_cannot_be_used(call, tmp_path):
    write_geotiff(tmp_path / "tiles" / "good.tif", speckled_dn())
    write_geotiff(tmp_path / "tiles" / "lost.tif", speckled_dn(), crs=None)
    status, out, _ = call("data", "check", "tiles")
    assert status == 1
    assert "lost.tif has no coordinate reference system" in out
    assert "2 files checked, 1 cannot be used" in out
    (tmp_path / "tiles" / "lost.tif").unlink()
    assert call("data", "check", "tiles")[0] == 0


def test_a_finished_run_delivers_what_mlflow_lacks(call, tmp_path, monkeypatch):
    """The driver was killed after its last record, and no server listened."""
    directory = RunDirectory.create(load_config(SMOKE, ["rounds=1"]), tmp_path / "run")
    write_record(unguarded(directory.path), record(1))
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens there
        keeper = LeaseKeeper(directory)
        keeper.acquire()
        tracker_in(directory.path, "smoke", "run").start({"rounds": 1})
        keeper.release()
        _, said, _ = call("status", directory.path)
        assert "2 entries for mlflow" in said
        assert f"knowlip resume {directory.path}" in said
        status, said, error = call("resume", directory.path)
        assert status == 0, error
        assert re.search(r"cannot be told, so \d+ entries wait", said)
        assert f"knowlip resume {directory.path}" in said
    error = call("resume", directory.path)[2]
    assert "This run is tracked at http://127.0.0.1:9" in error

    runs = json.loads((directory.path / "mlflow_runs.json").read_text())
    (directory.path / "mlflow_runs.json").write_text(json.dumps({**runs, "tracking_uri": "the run directory"}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    status, said, error = call("resume", directory.path)
    assert status == 0, error
    assert "nothing is left to do" in said
    assert "wait in" not in said
    parent = json.loads((directory.path / "mlflow_runs.json").read_text())["parent"]
    run = MlflowClient(local_uri(directory.path)).get_run(parent)
    assert run.info.status == "FINISHED"
    assert run.data.tags["knowlip.champion_round"] == "1"
    assert (directory.figures / "time_per_phase.png").exists()
    assert "waiting" not in call("status", directory.path)[1]


RECORD = {
    "image_id": 0,
    "Terrain": "Plain",
    "Functionality": "Farmland",
    "Distribution": "Forest covers the image",
    "Layout": "Irregular",
    "Boundary": "Gradual",
    "Buildings": "No buildings",
    "Roads": "Possibly a few narrow tracks",
    "Water": "A wide river",
}


def test_free_text_records_are_counted_by_clause(call, tmp_path):
    (tmp_path / "records.json").write_text(json.dumps([RECORD, RECORD | {"Roads": "A highway", "Water": "Moist soil"}]))
    status, out, _ = call("hcot", "records.json")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert status == 0
    assert rows["road"] == ["2", "100.0%", "50.0%"]
    assert rows["water"] == ["2", "50.0%", "0.0%"]
    assert rows["distribution"] == ["2", "0.0%", "0.0%"]
    status, out, _ = call("hcot", "records.json", "--json")
    clauses = json.loads(out)["clauses"]
    assert len(clauses) == 8
    assert clauses["road"] == {"records": 2, "mapped": 1.0, "hedged": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "records.json cannot be read: No such file"),
        ("{not json", "is not JSON"),
        ("{}", "list of annotation records, not a dict"),
        ("[]", "There are no records"),
        ("[3]", "is a JSON object, not a int"),
        ("[" * 100_000, "is not JSON"),
        (
            json.dumps([RECORD, {key: text for key, text in RECORD.items() if key != "Water"}]),
            "record 0 has no text under 'Water'",
        ),
        (json.dumps([RECORD | {"Roads": 3}]), "no text under 'Roads'"),
    ],
)
def test_a_file_of_records_that_does_not_fit_is_refused_with_its_reason(refused, tmp_path, content, message):
    if content is not None:
        (tmp_path / "records.json").write_text(content)
    assert message in refused("hcot", "records.json")


@pytest.mark.parametrize("option", ["--rows", "--seeds"])
@pytest.mark.parametrize("value", ["", ","])
def test_an_ablation_of_nothing_is_not_one_of_all(call, option, value, tmp_path):
    status, _, error = call("ablate", SMOKE.with_name("ablation_small.yaml"), option, value)
    assert status == 2
    assert option in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a [b] [/c]", "[bold red]x[/]", "[link=file]:smile:", "back\\[slash"])
def test_names_with_brackets_are_printed_as_they_are(call, tmp_path, name):
    status, _, error = call("run", f"{name}.yaml")
    assert status == 2
    assert f"Error: There is no configuration {name}.yaml." in error
    directory = RunDirectory.create(load_config(SMOKE), tmp_path / name.replace("/", "-"))
    status, out, _ = call("status", directory.path)
    assert status == 0
    assert str(directory.path) in out.replace("\n", "")
