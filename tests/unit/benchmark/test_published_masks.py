"""FUSAR-Map and AIR-PolSAR-Seg in the folders in which they are published."""

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.air_polsar_seg import read_air_polsar_seg
from benchmark.datasets.base import DATA_SETS, IGNORED, DataSetError
from benchmark.datasets.fusar_map import read_fusar_map
from support.labelled_images import write_chip

RED, GREEN, BLUE, YELLOW, CYAN, WHITE = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (0, 255, 255),
    (255, 255, 255),
)


def write_colours(path, colours, side=24):
    """A mask with a stripe of equal width for each colour, its first two rows black."""
    pixels = np.zeros((side, side, 3), np.uint8)
    for index, colour in enumerate(colours):
        pixels[2:, index * side // len(colours) :] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_tile(root, name, number, colours=(RED, GREEN, BLUE, YELLOW)):
    write_chip(root / "SAR_1024" / f"{name}_SAR_{number:03d}.tif", number)
    write_chip(root / "OPT_1024" / f"{name}_Optical_{number:03d}.tif", number)
    write_colours(root / "LAB_1024" / f"{name}_Label_{number:03d}.tif", colours)


@pytest.fixture
def fusar_map(tmp_path):
    number = 0
    for scene in ("JiuJiang_01", "XiaMen_02", "XiaMen_03"):
        for column in range(2):
            number += 1
            write_tile(tmp_path, f"{scene}_01_03_{column:02d}", number)
    return tmp_path


def test_fusar_map_holds_out_whole_scenes_where_no_lists_came_with_it(fusar_map):
    data = read_fusar_map(fusar_map)
    assert data.classes == ("building", "vegetation", "water", "road")
    train, test = set(data.train.groups), set(data.test.groups)
    assert train | test == {"JiuJiang_01", "XiaMen_02", "XiaMen_03"}
    assert train
    assert test
    assert not train & test
    assert "scenes are held out" in data.note
    mask = data.test.masks[0]
    assert [mask[12, column] for column in (1, 8, 14, 22)] == [0, 1, 2, 3]
    assert set(mask[:2].ravel().tolist()) == {IGNORED}


def test_fusar_map_keeps_the_split_of_its_lists(fusar_map):
    names = sorted(path.name for path in (fusar_map / "SAR_1024").iterdir())
    (fusar_map / "train.txt").write_text("\n".join(names[:2]))
    (fusar_map / "test.txt").write_text("\n".join(names[2:5]))
    data = read_fusar_map(fusar_map)
    assert (len(data.train), len(data.test)) == (2, 3)
    (fusar_map / "test.txt").write_text(f"{names[3]}\n{names[0]}\n")
    with pytest.raises(DataSetError, match=rf"test\.txt: {names[0]} is in train\.txt too"):
        read_fusar_map(fusar_map)
    (fusar_map / "test.txt").write_text(f"{names[3]}\nother.tif\n")
    with pytest.raises(DataSetError, match=r"test\.txt, line 2: there is no image other\.tif in SAR_1024"):
        read_fusar_map(fusar_map)
    (fusar_map / "test.txt").write_text("\n")
    with pytest.raises(DataSetError, match=r"test\.txt lists no image"):
        read_fusar_map(fusar_map)


def test_what_is_wrong_with_fusar_map_is_named(fusar_map):
    mask = next((fusar_map / "LAB_1024").iterdir())
    write_colours(mask, ((1, 2, 3),))
    with pytest.raises(DataSetError, match=rf"{mask.name} has the colour #010203"):
        read_fusar_map(fusar_map)
    mask.unlink()
    with pytest.raises(DataSetError, match=rf"has no mask .*{mask.name}"):
        read_fusar_map(fusar_map)
    write_chip(fusar_map / "SAR_1024" / "0001.tif", 1)
    with pytest.raises(DataSetError, match=r"0001\.tif is not named PLACE_SCENE"):
        read_fusar_map(fusar_map)


def test_fusar_map_of_one_scene_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(DataSetError, match="has no image in SAR_1024"):
        read_fusar_map(tmp_path)
    write_tile(tmp_path, "XiaMen_02_01_03_01", 1)
    with pytest.raises(DataSetError, match="tiles of one scene"):
        read_fusar_map(tmp_path)


def test_a_class_of_one_split_only_is_refused_with_its_mask(fusar_map):
    held = read_fusar_map(fusar_map).test.groups[0]
    for path in (fusar_map / "LAB_1024").glob(f"{held}_*"):
        write_colours(path, (RED, GREEN, BLUE))
    with pytest.raises(DataSetError, match=r"_Label_\d+\.tif has the class road, which no test mask has"):
        read_fusar_map(fusar_map)
    for path in (fusar_map / "LAB_1024").glob(f"{held}_*"):
        write_colours(path, ((0, 0, 0),))
    with pytest.raises(DataSetError, match="The test masks in .* have no pixel of a class"):
        read_fusar_map(fusar_map)


def write_place(folder, name, sorted_out=False, colours=(BLUE, GREEN, RED, CYAN, WHITE, YELLOW)):
    for number, kind in enumerate(("HH", "HV", "VH", "VV")):
        own = folder / "images" / kind if sorted_out else folder
        write_chip(own / f"{name}_{kind}.tiff", number)
    write_colours((folder / "labels" if sorted_out else folder) / f"{name}_gt.png", colours)


@pytest.mark.parametrize("sorted_out", [False, True])
def test_air_polsar_seg_is_read_flat_or_sorted_into_folders(tmp_path, sorted_out):
    for number in range(2):
        write_place(tmp_path / "train_set", f"AIR-PolarSAR-Seg-{number}", sorted_out)
    write_place(tmp_path / "test_set", "AIR-PolarSAR-Seg-7", sorted_out)
    data = DATA_SETS.find("air_polsar_seg").open(tmp_path)
    assert (len(data.train), len(data.test)) == (2, 1)
    assert data.classes[0] == "industrial area"
    [view] = data.test.views[0]
    assert view.polarisations == ("HH", "HV", "VH", "VV")
    assert [data.test.masks[0][12, column] for column in (1, 5, 9, 13, 17, 22)] == [0, 1, 2, 3, 4, 5]


def test_air_polsar_seg_without_a_polarisation_a_mask_or_a_split_is_refused(tmp_path):
    with pytest.raises(DataSetError, match=r"train_set has no NAME_HH\.tiff"):
        read_air_polsar_seg(tmp_path)
    for split in ("train_set", "test_set"):
        write_place(tmp_path / split, "AIR-PolarSAR-Seg-1")
    (tmp_path / "test_set" / "AIR-PolarSAR-Seg-1_VH.tiff").unlink()
    with pytest.raises(DataSetError, match="there is no AIR-PolarSAR-Seg-1_VH of the same place"):
        read_air_polsar_seg(tmp_path)
    write_place(tmp_path / "test_set", "AIR-PolarSAR-Seg-1")
    (tmp_path / "train_set" / "AIR-PolarSAR-Seg-1_gt.png").unlink()
    with pytest.raises(DataSetError, match="there is no AIR-PolarSAR-Seg-1_gt of the same place"):
        read_air_polsar_seg(tmp_path)
