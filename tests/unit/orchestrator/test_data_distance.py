"""`knowlip data distance CONFIG --real DIR` measures how far a corpus is from real scenes, without any label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.data.distance import half_of
from support.delivered import decibels, put, sigma0
from support.paths import ROOT

SMOKE = ROOT / "configs" / "smoke.yaml"
SMALL = (
    "corpus.simulated.tiles=6",
    "corpus.simulated.cities=4",
    "corpus.simulated.tile_size_pixels=64",
    "corpus.simulated.sensors={sentinel1_iw: 1.0}",
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def measured(call, real: Path, *more: str, settings: tuple[str, ...] = SMALL):
    setting = [part for each in settings for part in ("--set", each)]
    status, out, error = call("data", "distance", SMOKE, "--real", real, "--window", "48", *setting, "--json", *more)
    assert status == 0, error
    return json.loads(out)


def test_a_corpus_is_at_no_distance_from_itself(call, tmp_path):
    settings = [part for each in SMALL for part in ("--set", each)]
    assert call("data", "make", SMOKE, *settings)[0] == 0
    (corpus,) = (tmp_path / "data").glob("*/corpus")
    found = measured(call, corpus)
    assert set(found["distances"]) == {"VV", "VH", "both"}
    for values in found["distances"].values():
        assert values == pytest.approx(dict.fromkeys(values, 0.0), abs=1e-12)


def test_scenes_that_are_six_decibels_brighter_are_further_away_in_level_and_not_in_shape(call, tmp_path):
    for name, gain in (("dim", 0.0), ("bright", 6.0)):
        for seed in range(2):
            put(tmp_path / name / f"{seed}.tif", (decibels(sigma0(seed)) + gain).astype(np.float32))
    dim, bright = (measured(call, tmp_path / name) for name in ("dim", "bright"))
    for band in ("VV", "VH"):
        assert bright["real"][band]["mean_db"] - dim["real"][band]["mean_db"] == pytest.approx(6.0, abs=1e-3)
        assert bright["distances"][band]["level_db"] > dim["distances"][band]["level_db"] + 3
        assert bright["distances"][band]["shape_db"] == pytest.approx(dim["distances"][band]["shape_db"], abs=1e-4)


def test_the_table_shows_both_sides_and_every_distance(call, tmp_path):
    put(tmp_path / "in" / "a.tif", decibels(sigma0()).astype(np.float32))
    setting = [part for each in SMALL for part in ("--set", each)]
    status, out, _ = call("data", "distance", SMOKE, "--real", tmp_path / "in", "--window", "48", *setting)
    assert status == 0
    for words in ("deviation_in_window_db", "real VV", "histogram", "autocorrelation", "correlation of VV and VH"):
        assert words in out


def test_scenes_of_other_polarisations_are_refused_by_name(call, tmp_path):
    put(tmp_path / "in" / "a.tif", decibels(sigma0()).astype(np.float32), ("HH", "HV"))
    setting = [part for each in SMALL for part in ("--set", each)]
    status, _, error = call("data", "distance", SMOKE, "--real", tmp_path / "in", "--window", "48", *setting)
    assert status != 0
    assert "HH, HV" in error
    assert "VV, VH" in error


def test_halves_share_no_scene_and_lose_none():
    names = {f"scene {k}.tif" for k in range(7)}
    first, second = half_of(names, 0), half_of(names, 1)
    assert first | second == names
    assert not first & second
    assert {len(first), len(second)} == {3, 4}
