"""`knowlip data check CONFIG --tiles DIR` says what a run does with each scene, in words, as JSON and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus.ingest.record import read_records
from orchestrator.config.load import load_config
from orchestrator.data.prepare import prepare_corpus
from support.delivered import decibels, hyp3_product, power, put, sigma0
from support.hcot import HCOT
from support.paths import ROOT

SMOKE = str(ROOT / "configs" / "smoke.yaml")
KEYS = [
    "file",
    "status",
    "reason",
    "polarisations",
    "unit",
    "median_db",
    "std_db",
    "tiles",
    "used_share",
    "acquired",
    "platform",
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path) -> Path:
    hyp3_product(tmp_path / "in")
    put(tmp_path / "in" / "unclear.tif", np.sqrt(power(1)))
    return tmp_path / "in"


def test_the_json_has_the_form_that_programs_read(call, folder):
    status, out, error = call("data", "check", SMOKE, "--tiles", folder, "--json")
    found = json.loads(out)
    assert (status, error) == (1, "")
    assert list(found) == ["scenes", "refused", "tiles"]
    assert all(list(scene) == KEYS for scene in found["scenes"])
    assert (found["refused"], found["tiles"]) == (1, sum(scene["tiles"] for scene in found["scenes"]))
    assert sorted(scene["status"] for scene in found["scenes"]) == ["not_backscatter"] * 5 + ["ok", "refused"]
    [used] = [scene for scene in found["scenes"] if scene["status"] == "ok"]
    truth = dict(zip(("VV", "VH"), decibels(sigma0()), strict=True))
    assert used["polarisations"] == ["VV", "VH"]
    assert used["unit"] == {"VV": "power", "VH": "power"}
    assert used["median_db"] == pytest.approx({name: np.median(values) for name, values in truth.items()}, abs=0.01)
    assert used["std_db"] == pytest.approx({name: values.std() for name, values in truth.items()}, abs=0.01)
    assert (used["acquired"], used["platform"]) == ("2020-06-07T02:15:00", "Sentinel-1A")


def test_every_scene_is_a_line_and_the_contact_sheet_is_a_picture(call, folder, tmp_path):
    status, out, _ = call("data", "check", SMOKE, "--tiles", folder, "--picture", "sheet.png")
    assert status == 1
    lines = [line for line in out.splitlines() if line.startswith(("ok ", "refused ", "not_backscatter "))]
    assert len(lines) == 7
    assert "unclear.tif does not say in which unit its values are" in out
    assert "A run would end here" in out
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 20


def test_the_whole_reasoning_on_one_file(call, folder):
    status, out, _ = call("data", "check", SMOKE, "--tiles", folder, "--explain", "unclear.tif")
    assert "speckle looks like an amplitude" in out
    assert "corpus.ingest.units" in out
    status, out, _ = call(
        "data", "check", SMOKE, "--tiles", folder, "--explain", "unclear.tif", "--set", "corpus.ingest.units=amplitude"
    )
    assert "amplitude: corpus.ingest.units says so" in out
    assert status == 0
    status, _, error = call("data", "check", SMOKE, "--tiles", folder, "--explain", "absent.tif")
    assert status == 2
    assert "No scene of" in error


def test_a_configuration_that_names_no_scenes_is_told(call):
    status, _, error = call("data", "check", SMOKE)
    assert status == 2
    assert "--tiles" in error


def test_what_check_says_is_what_a_run_does(call, folder, tmp_path):
    settings = ["corpus.ingest.units=amplitude", f"corpus.data_dir={tmp_path}/data"]
    pairs = [text for each in settings for text in ("--set", each)]
    _, out, _ = call("data", "check", SMOKE, "--tiles", folder, "--json", *pairs)
    checked = json.loads(out)
    config = load_config(Path(SMOKE), [*settings, "corpus.kind=geotiff", f"corpus.tiles={folder}"])
    prepared = prepare_corpus(config.corpus, HCOT, run_seed=0)
    assert checked["tiles"] == prepared.tiles.num_rows
    assert checked["scenes"] == [record.as_checked() for record in read_records(prepared.corpus_dir)]
    assert "5 files are not backscatter" in prepared.scenes_summary
    assert prepared.quarantined == 0
