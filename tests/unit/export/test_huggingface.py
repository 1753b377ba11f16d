"""The Hugging Face folder: `load_dataset` reads images, captions and splits; the Hub's library reads the card."""

import numpy as np
import pytest
import rasterio

from orchestrator.data.exported import open_source

datasets = pytest.importorskip("datasets", reason="datasets is of the extra export")


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request, export):
    """(folder, source) of a run."""
    run_dir = request.getfixturevalue(request.param)
    return export(run_dir, "huggingface"), open_source(run_dir)


@pytest.fixture(scope="module")
def loaded(made, tmp_path_factory):
    folder, _ = made
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_splits_are_those_of_the_corpus(made, loaded):
    _, source = made
    names = {"train": "train", "held_out": "test"}
    assert {name: len(rows) for name, rows in loaded.items()} == {
        names[split]: count for split, count in source.splits.items()
    }


def test_each_row_has_the_tiles_values_caption_and_annotations(made, loaded):
    _, source = made
    rows = {row["tile_id"]: row for split in loaded.values() for row in split}
    for sample in source.samples():
        row = rows[sample.tile.tile_id]
        assert row["caption"] == sample.caption
        assert {each["clause"]: each["value"] for each in row["annotations"]} == sample.values
        assert row["polarisations"] == list(sample.tile.polarisations)
        with rasterio.open(sample.file) as src:
            wanted = src.read(masked=True).astype(float).filled(np.nan)
        assert len(row["bands"]) == len(wanted)
        for picture, band in zip(row["bands"], wanted, strict=True):
            stored = np.asarray(picture).astype(float)
            found = np.where(stored == 0, np.nan, stored * row["scale"] + row["offset"])
            np.testing.assert_allclose(found, band, atol=0.002)
        np.testing.assert_array_equal(np.asarray(row["image"]), np.asarray(row["bands"][0]))


def test_the_card_says_licence_splits_and_clauses(made):
    from huggingface_hub import DatasetCard

    folder, source = made
    card = DatasetCard.load(folder / "README.md")
    content = card.data.to_dict()
    assert content["license"] == ("apache-2.0" if source.simulated else "other")
    assert content["configs"][0]["data_files"][0]["split"] == "train"
    for name in source.schema.names:
        assert f"| {name} |" in card.text
    for licence in source.licences():
        assert licence.title in card.text


def test_the_licence_that_a_scene_says_is_carried_to_its_tiles(real, loaded, made):
    _, source = made
    if source.simulated:
        pytest.skip("of the real corpus")
    rows = [row for split in loaded.values() for row in split]
    said = {source.scene_of(row["tile_id"]): row["license"] for row in rows}
    assert said["scene1.tif"] == "CC-BY-4.0: CC-BY-4.0"
    assert said["scene0.tif"].startswith("other: not known")
