"""Segmentation sets in folders: coloured masks, and several polarisations of a place."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmark.baselines.trivial import Trees
from benchmark.datasets.base import IGNORED, DataSetError
from benchmark.datasets.segmentation_folder import read_segmentation_folder
from benchmark.suite.base import MethodInputs
from benchmark.suite.tasks.segmentation import SegmentationTask
from support.labelled_images import write_chip

COLOURS = "value,class\n#ff0000,building\n#0000ff,water\n#000000,\n"


def write_mask(path, left, right, ignored):
    pixels = np.zeros((24, 24, len(left)), np.uint8)
    pixels[:, :12], pixels[:, 12:], pixels[:2] = left, right, ignored
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)


@pytest.fixture
def coloured(tmp_path):
    (tmp_path / "classes.csv").write_text(COLOURS)
    for split in ("train", "test"):
        write_chip(tmp_path / split / "images" / "a.png", 1)
        write_mask(tmp_path / split / "masks" / "a.png", (255, 0, 0), (0, 0, 255), (0, 0, 0))
    return tmp_path


def test_colours_of_a_mask_are_classes(coloured):
    data = read_segmentation_folder(coloured)
    assert data.classes == ("building", "water")
    assert np.unique(data.train.masks[0][2:, :12]).tolist() == [0]
    assert np.unique(data.train.masks[0][2:, 12:]).tolist() == [1]
    assert np.unique(data.train.masks[0][:2]).tolist() == [IGNORED]


def test_a_colour_without_a_meaning_is_named(coloured):
    write_mask(coloured / "test" / "masks" / "a.png", (255, 255, 0), (0, 0, 255), (0, 0, 0))
    with pytest.raises(DataSetError, match=r"masks/a\.png has the colour #ffff00; it takes #ff0000, #0000ff, #000000"):
        read_segmentation_folder(coloured)


def test_a_grey_mask_where_colours_are_expected_and_mixed_values_are_refused(coloured):
    write_mask(coloured / "test" / "masks" / "a.png", (1,), (2,), (0,))
    with pytest.raises(DataSetError, match="has no colours"):
        read_segmentation_folder(coloured)
    (coloured / "classes.csv").write_text(f"{COLOURS}3,road\n")
    with pytest.raises(DataSetError, match="has numbers and colours"):
        read_segmentation_folder(coloured)


def test_the_polarisations_of_a_place_are_bands_of_one_image_with_one_mask(tmp_path):
    (tmp_path / "classes.csv").write_text("value,class\n1,water\n2,urban\n0,\n")
    for split in ("train", "test"):
        for number, polarisation in enumerate(("HH", "HV", "VH", "VV")):
            write_chip(tmp_path / split / "images" / f"scene_1_{polarisation}.tiff", number)
        write_mask(tmp_path / split / "masks" / "scene_1.png", (1,), (2,), (0,))
    data = read_segmentation_folder(tmp_path)
    assert data.train.groups == ["scene_1"]
    [place] = data.train.views[0]
    assert place.polarisations == ("HH", "HV", "VH", "VV")
    assert place.array.shape == (4, 24, 24)
    write_chip(tmp_path / "test" / "images" / "scene_1_HV.tiff", 1, side=20)
    with pytest.raises(DataSetError, match=r"scene_1_HH\.tiff, scene_1_HV\.tiff.* have different sizes"):
        read_segmentation_folder(tmp_path)


def test_another_draw_of_speckle_is_judged_beside_the_first(coloured):
    data = read_segmentation_folder(coloured)
    data = replace(data, test_again=data.test.views)
    scores = SegmentationTask("", ()).run(data, "all_labels", Trees().open(MethodInputs()), 0).scores
    headline = next(iter(scores))
    assert scores[f"{headline}_other_speckle"] == scores[headline]
    assert [name for name in scores if name.endswith("_speckle")] == [f"{headline}_other_speckle"]
