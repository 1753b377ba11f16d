"""Classification sets as folders: what is read, and what is refused before anything is trained."""

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.base import DATA_SETS, DataSetError, DataSetMissing
from benchmark.datasets.image_folder import read_image_folder
from benchmark.datasets.pictures import read_picture
from benchmark.datasets.target_chips import RIM, read_mstar, read_mstar_rim
from support.labelled_images import write_chip, write_folders, write_labels


def test_folders_of_splits_and_classes_are_read(tmp_path):
    data = read_image_folder(write_folders(tmp_path))
    assert data.classes == ("c0", "c1")
    assert (len(data.train), len(data.test)) == (16, 8)
    assert np.bincount(data.train.labels).tolist() == [8, 8]
    assert not data.train.images[0].calibrated


def test_a_label_file_says_split_class_and_group(tmp_path):
    for index in range(4):
        write_chip(tmp_path / f"{index}.png", index)
    write_labels(tmp_path, ["0.png,train,a,g", "1.png,train,b,g", "2.png,test,a,h", "3.png,test,b,h"])
    data = read_image_folder(tmp_path, group_column="group")
    assert data.test.groups == ["h", "h"]
    assert data.test.labels.tolist() == [0, 1]


def test_files_of_equal_content_come_to_one_side_where_no_split_is_given(tmp_path):
    for name in ("a", "b"):
        for index in range(20):
            for copy in ("x", "y"):
                write_chip(tmp_path / name / f"{index}{copy}.png", index)
    data = read_image_folder(tmp_path)
    keys = [{image.array.tobytes() for image in part.images} for part in (data.train, data.test)]
    assert not keys[0] & keys[1]
    assert "hash" in data.note


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["0.png,train,a"], "file,split,label", "labels.csv, line 1: the column(s) class are missing"),
        (["0.png,train,a,g", "0.png,val,a,g"], "file,split,class,group", "line 3: split is 'val'"),
        (["9.png,train,a,g"], "file,split,class,group", "line 2: there is no image"),
        (["../0.png,train,a,g"], "file,split,class,group", "leads out of"),
        (["0.png,train,,g"], "file,split,class,group", "line 2: class is empty"),
        (["0.png,train,a,g"], "file,split,class,group", "has no test images"),
        (["0.png,train,a,g", "1.png,test,b,h"], "file,split,class,group", "differ between its splits: a, b"),
        (["0.png,train,a,g", "1.png,test,a,g"], "file,split,class,group", "line 3: group g is in test, and in train"),
    ],
)
def test_a_wrong_label_file_is_refused_with_its_line(tmp_path, lines, header, message):
    root = tmp_path / "set"
    for index in range(2):
        write_chip(root / f"{index}.png", index)
    write_chip(tmp_path / "0.png", 0)
    write_labels(root, lines, header)
    with pytest.raises(DataSetError) as refused:
        read_image_folder(root, group_column="group" if "group" in header else "")
    assert message in str(refused.value)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataSetError, match="line 7: .*broken.png is no picture"):
        read_picture(tmp_path / "broken.png", "labels.csv, line 7")


def test_a_set_that_is_absent_says_where_it_comes_from(tmp_path):
    with pytest.raises(DataSetMissing, match=r"not found at .*nowhere, get it from https://github.com/AICyberTeam"):
        DATA_SETS["sar_acd"].open(tmp_path / "nowhere")


def test_a_picture_keeps_its_level_up_to_a_constant(tmp_path):
    Image.fromarray(np.array([[0, 9], [99, 255]], np.uint8)).save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png").array[0] == pytest.approx(np.array([[0, 20], [40, 48.165]]), abs=1e-3)


def test_the_masked_control_shows_no_pixel_of_the_middle(tmp_path):
    for split in ("train", "test"):
        write_chip(tmp_path / split / "a" / "0.png", 1, side=128)
        write_chip(tmp_path / split / "b" / "0.png", 2, side=128)
    whole = read_image_folder(tmp_path).train.images[0].array
    rim, middle = read_mstar_rim(tmp_path).train.images[0].array, read_mstar(tmp_path).train.images[0].array
    assert np.array_equal(rim, np.concatenate([whole[:, :RIM], whole[:, -RIM:]], axis=1))
    assert np.array_equal(middle, whole[:, 32:96, 32:96])


def write_ships(root, line_ends=","):
    """Two classes of 12 ships with two chips each, a class of one chip, and meta.csv."""
    lines = [line_ends.join(("id", "mmsi", "length"))]
    for label, name in enumerate(("Cargo", "Tanker")):
        for index in range(24):
            chip = f"Ship_C0{label}S01N{index:04d}"
            write_chip(root / name / "Plain" / f"{chip}.tiff", 100 * label + index, label)
            lines.append(line_ends.join((chip, str(1000 * label + index // 2), "100")))
    write_chip(root / "Dredger" / "Plain" / "Ship_C09S01N0001.tiff", 7)
    (root / "meta.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("between", [",", "\t"])
def test_a_ship_of_fusar_ship_is_in_one_split_only(tmp_path, between):
    data = DATA_SETS.find("fusar_ship").open(write_ships(tmp_path, between))
    train, test = set(data.train.groups), set(data.test.groups)
    assert not train & test
    assert len(train | test) == 24
    assert len(data.train) + len(data.test) == 48
    assert "30 % of the ships" in data.note


def test_a_class_that_a_drawn_split_gives_one_side_is_left_out_and_named(tmp_path):
    data = DATA_SETS.find("fusar_ship").open(write_ships(tmp_path))
    assert data.classes == ("Cargo", "Tanker")
    assert "left out, as one side alone had them: Dredger" in data.note


def test_a_table_of_ships_without_its_columns_is_refused(tmp_path):
    (write_ships(tmp_path) / "meta.csv").write_text("id,ship\nShip_C00S01N0000,1\n")
    with pytest.raises(DataSetError, match=r"meta\.csv, line 1: the column\(s\) mmsi are missing"):
        DATA_SETS.find("fusar_ship").open(tmp_path)
