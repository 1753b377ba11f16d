"""Croissant: mlcroissant validates the metadata and reads records, pictures of 16 bits among them."""

import json

import numpy as np
import pytest
import rasterio

from orchestrator.data.exported import open_source

mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is of the extra export")


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request, export):
    """(data set, source) of a run."""
    run_dir = request.getfixturevalue(request.param)
    return mlcroissant.Dataset(jsonld=export(run_dir, "croissant") / "croissant.json"), open_source(run_dir)


def text(value) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_the_metadata_are_valid_without_a_warning(made):
    data, source = made
    assert not data.metadata.ctx.issues.errors
    assert not data.metadata.ctx.issues.warnings
    assert [each.name for each in data.metadata.record_sets] == ["tiles", "annotations", "bands"]
    assert str(source.version) in json.dumps(data.metadata.to_json()["version"])


def test_tiles_are_read_with_captions(made):
    data, source = made
    records = {text(record["tiles/tile_id"]): record for record in data.records("tiles")}
    assert set(records) == set(source.tile_sha256)
    for sample in source.samples():
        record = records[sample.tile.tile_id]
        assert text(record["tiles/caption"]) == sample.caption
        assert text(record["tiles/split"]) == sample.tile.split


def test_bands_give_the_values_of_the_tiles_back(made):
    data, source = made
    samples = {sample.tile.tile_id: sample for sample in source.samples()}
    for record in data.records("bands"):
        sample = samples[text(record["bands/tile_id"])]
        band = sample.tile.polarisations.index(text(record["bands/polarisation"])) + 1
        with rasterio.open(sample.file) as src:
            wanted = src.read(band, masked=True).astype(float).filled(np.nan)
        stored = np.asarray(record["bands/picture"]).astype(float)
        assert text(record["bands/caption"]) == sample.caption
        found = np.where(stored == 0, np.nan, stored * record["bands/scale"] + record["bands/offset"])
        np.testing.assert_allclose(found, wanted, atol=0.002)


def test_annotations_have_a_record_for_each_clause(made):
    data, source = made
    found = {
        (text(record["annotations/tile_id"]), text(record["annotations/clause"])): text(record["annotations/value"])
        for record in data.records("annotations")
    }
    assert found == {
        (sample.tile.tile_id, clause): value for sample in source.samples() for clause, value in sample.values.items()
    }
