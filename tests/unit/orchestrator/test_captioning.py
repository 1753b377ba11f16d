"""`knowlip caption`: clauses that contradict one another, and foreign tiles; test_loop.py has the whole command."""

import io

import numpy as np
import pytest
from rich.console import Console

from actors.scorer.stored_models import ImagesRead, read_images
from actors.weights import create_weights
from model.known_tiles import KnownTiles
from orchestrator.config.schema import RunConfig
from orchestrator.experiments import caption_tile as captioning
from orchestrator.experiments.caption_tile import (
    Familiarity,
    _familiar,
    _said,
    _summary,
    caption_tile,
    most_probable,
    print_caption,
    weighed,
)
from orchestrator.state.run_directory import RunDirectory
from support.consistent import STARTS
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import ABSENT, CLAUSES, HCOT, VOCABULARY
from support.training_job import SIDE, toy_model
from support.unguarded import unguarded

PORT = STARTS[0]


def sure_of(values: dict) -> dict:
    return {clause: np.eye(len(words))[words.index(values[clause])] for clause, words in VOCABULARY.items()}


def familiarity(distances: list[float]) -> Familiarity:
    features = np.random.default_rng(0).normal(0, 1, (64, 20)).astype(np.float32)
    known = KnownTiles.of(
        features,
        np.zeros((64, len(CLAUSES)), int),
        [len(words) for words in VOCABULARY.values()],
        image_size_px=128,
        gsd_m=[10.0] * 64,
        levels=["absolute"] * 64,
    )
    return Familiarity(known, np.array(distances))


def annotation(distances: list[float], values: list[dict]) -> dict:
    """As `caption_tile` makes it of tiles that the captioner is sure of."""
    seen = familiarity(distances)
    said = [seen.tempered(sure_of(each), HCOT, number) for number, each in enumerate(values)]
    tiles = [
        {**_familiar(seen.of(number)), **_said(HCOT, each, said[number], 10.0)} for number, each in enumerate(values)
    ]
    place = {"tile": "a.tif", "lon": 1.0, "lat": 2.0, "crs": "EPSG:32631"}
    foreign = any(tile["foreign"] for tile in tiles)
    return {**place, "foreign": foreign, **_summary(HCOT, tiles, said, 10.0), "tiles": tiles}


def printed(said: dict) -> str:
    text = io.StringIO()
    print_caption(said, Console(file=text, width=200))
    return text.getvalue()


def confidence(said: dict) -> dict[str, float]:
    return {clause["clause"]: clause["confidence"] for clause in said["clauses"]}


def test_of_a_known_tile_the_confidence_is_the_captioner_s_own():
    said = annotation([0.9], [PORT])
    assert set(confidence(said).values()) == {1.0}
    assert said["tiles"][0]["foreign"] is False
    assert "foreign" not in printed(said)


def test_a_foreign_tile_is_said_to_be_foreign_and_is_believed_in_by_half_at_most():
    said = annotation([3.0], [PORT])
    assert (said["foreign"], said["tiles"][0]["distance"]) == (True, 3.0)
    rare = {clause for clause, value in PORT.items() if value != VOCABULARY[clause][0]}
    assert max(confidence(said)[clause] for clause in rare) < 0.1
    assert "This tile is foreign" in printed(said)
    assert "3.0 times" in printed(said)


def test_of_several_tiles_the_most_probable_value_by_their_mean_is_said():
    other = PORT | {"water": ABSENT}
    said = annotation([0.5, 0.5, 2.0], [PORT, PORT, other])
    values = {clause["clause"]: clause["value"] for clause in said["clauses"]}
    assert values == PORT
    assert confidence(said)["water"] == pytest.approx(0.67, abs=0.05)
    assert [tile["foreign"] for tile in said["tiles"]] == [False, False, True]
    assert "1 of 3 tiles are foreign" in printed(said)


def test_weights_that_do_not_say_what_they_know_are_said_not_to():
    seen = Familiarity(None, None)
    assert seen.tempered(sure_of(PORT), HCOT, 0).keys() == PORT.keys()
    said = {**annotation([0.5], [PORT]), "foreign": None}
    assert "do not say what they were trained on" in printed(said)
    assert _familiar(seen.of(0)) == {"foreign": None, "distance": None}


def test_values_that_contradict_one_another_are_weighed_against_each_other():
    """Nearly nobody doubts the harbour; the water is a little more probably absent."""
    doubtful = {clause: 0.97 * each + 0.03 / len(each) for clause, each in sure_of(PORT).items()}
    there, absent = HCOT.value_index["water"][PORT["water"]], HCOT.value_index["water"][ABSENT]
    doubtful["water"] = np.full(len(VOCABULARY["water"]), 0.01)
    doubtful["water"][[there, absent]] = 0.4, 0.5
    together = weighed(HCOT, {clause: each[None] for clause, each in doubtful.items()}, None)
    assert most_probable(HCOT, doubtful)["water"] == ABSENT
    assert most_probable(HCOT, {clause: each[0] for clause, each in together.items()}) == PORT


def sure_of_port(weights_dir, known, images, views) -> ImagesRead:
    """Both models are sure of PORT; the distance is the real one."""
    assert images.shape[1:] == (2, SIDE, SIDE)
    said = {clause: np.repeat(each[None], len(images), axis=0) for clause, each in sure_of(PORT).items()}
    return ImagesRead(said, read_images(weights_dir, known, images, 1).distance)


def test_a_scene_is_cut_into_tiles_of_the_trained_extent_each_with_its_distance(tmp_path, monkeypatch):
    config = RunConfig(name="test", model=toy_model())
    run = unguarded(RunDirectory.create(config, tmp_path / "run", tmp_path / "runs").path)
    for round_ in (0, 1):
        create_weights(HCOT, run.weights(round_), config.model, seed=0)
    features = np.random.default_rng(0).normal(0, 1e-3, (64, 16 + 7)).astype(np.float32)  # nothing is like these
    known = KnownTiles.of(
        features,
        np.zeros((64, len(CLAUSES)), int),
        [len(words) for words in VOCABULARY.values()],
        image_size_px=SIDE,
        gsd_m=[10.0] * 64,
        levels=["absolute"] * 64,
    )
    known.save(run.weights(1))
    monkeypatch.setattr(captioning, "read_images", sure_of_port)
    scene = write_geotiff(tmp_path / "scene.tif", speckled_dn(size=4 * SIDE), tags={"CALIBRATION_DB": "60"})
    said = caption_tile(scene, run.path)
    assert len(said["tiles"]) == 16
    assert {tile["window"]["side"] for tile in said["tiles"]} == {SIDE}
    assert len({(tile["lon"], tile["lat"]) for tile in said["tiles"]}) == 16
    assert all(tile["foreign"] and tile["distance"] > 1 for tile in said["tiles"])
    assert (said["foreign"], said["radiometry"]) == (True, "absolute")
    assert said["gsd_m"] == pytest.approx(10, rel=0.01)
    assert {clause["clause"]: clause["value"] for clause in said["clauses"]}.keys() == PORT.keys()
    rare = {clause for clause, value in PORT.items() if value != VOCABULARY[clause][0]}
    assert max(confidence(said["tiles"][0])[clause] for clause in rare) < 0.5
    text = printed(said)
    assert "Cut into 16 tiles" in text
    assert "16 of 16 tiles are foreign" in text
