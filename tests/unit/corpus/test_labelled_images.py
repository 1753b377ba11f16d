"""Sets of labelled images become tiles without a place on Earth; what cannot be used is named by its line."""

import numpy as np
import pytest
from PIL import Image

from corpus.geotiff.read import model_image, read_backscatter
from corpus.integrity import check_tiles
from corpus.labelled.config import LabelledConfig
from corpus.labelled.labels import LabelError, read_labels
from corpus.labelled.write import write_labelled
from corpus.tiles import path_of, read_tiles, tile_path

VOCABULARY = {"vehicle": ("truck", "tank")}
HEADER = "file,split,vehicle"
ROWS = ("a/1.png,train,truck", "a/2.png,train,tank", "b/1.png,test,tank")


@pytest.fixture
def labels(tmp_path):
    """labels(*rows, header=...): a table and an image for each file that its rows name."""

    def write(*rows: str, header: str = HEADER, side: int = 20):
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        for number, row in enumerate(rows):
            path = folder / row.split(",")[0]
            if path.suffix == ".png" and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(number).rayleigh(40, (side, side + 4)).clip(1, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
        (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
        return LabelledConfig(labels=folder / "labels.csv", tile_px=16, polarisation="HH")

    return write


def test_each_image_becomes_a_tile_that_is_read_in_decibels_and_has_no_place(labels, tmp_path):
    config = labels(*ROWS)
    images = read_labels(config, VOCABULARY)
    write_labelled(images, tmp_path / "corpus", config)
    tiles = read_tiles(tmp_path / "corpus")
    assert tiles["tile_id"].to_pylist() == ["a-1", "a-2", "b-1"]
    assert tiles["split"].to_pylist() == ["train", "train", "held_out"]
    assert tiles["lon"].null_count == tiles["lat"].null_count == 3
    assert check_tiles(tmp_path / "corpus") == []
    stored = np.asarray(Image.open(config.labels.parent / "a/1.png"), np.float64)[2:18, 4:20]
    read = read_backscatter(tile_path(tmp_path / "corpus", tiles["path"][0].as_py()))
    assert read.polarisations == ("HH",)
    assert not read.calibrated
    np.testing.assert_allclose(read.array[0], 20 * np.log10(stored), atol=1e-4)


def test_the_level_is_that_of_each_image_or_of_the_training_images_together(labels, tmp_path):
    for level in ("image", "set"):
        config = labels(*ROWS).model_copy(update={"level": level})
        write_labelled(read_labels(config, VOCABULARY), tmp_path / level, config)
    own, shared = (read_tiles(tmp_path / level)["level_db"].to_pylist() for level in ("image", "set"))
    assert len({tuple(each) for each in own}) == 3
    assert len({tuple(each) for each in shared}) == 1
    image = model_image(tmp_path / "image" / path_of("a-1"), level_db=own[0])
    assert abs(float(np.median(image.astype(np.float32)))) < 0.01


def test_a_smaller_image_is_mirrored_at_its_borders_and_resize_shows_all_of_it(labels, tmp_path):
    small = labels(*ROWS, side=10)
    write_labelled(read_labels(small, VOCABULARY), tmp_path / "crop", small)
    resized = small.model_copy(update={"fit": "resize", "gsd_m": 2.0})
    write_labelled(read_labels(resized, VOCABULARY), tmp_path / "resize", resized)
    assert read_tiles(tmp_path / "crop")["gsd_m"].to_pylist() == [1.0] * 3
    assert read_tiles(tmp_path / "resize")["gsd_m"].to_pylist() == [2.0 * 14 / 16] * 3
    cropped = read_backscatter(tmp_path / "crop" / path_of("a-1")).array[0]
    np.testing.assert_array_equal(cropped[:3], cropped[5:2:-1])


def test_windows_of_one_image_are_tiles_of_their_own(labels, tmp_path):
    path = tmp_path / "scene.png"
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) + 1).save(path)
    config = labels("0,0,16,train,truck", "16,32,16,test,tank", header="x,y,size,split,vehicle")
    images = read_labels(config.model_copy(update={"image": path}), VOCABULARY)
    assert [image.tile_id for image in images] == ["scene-x0-y0", "scene-x16-y32"]
    outside = labels("0,0,16,train,truck", "60,0,16,test,tank", header="x,y,size,split,vehicle")
    outside = outside.model_copy(update={"image": path})
    with pytest.raises(LabelError, match=r"line 3: the window leads out of"):
        write_labelled(read_labels(outside, VOCABULARY), tmp_path / "out", outside)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("c/3.png,train,boat", r"line 5: vehicle is 'boat', which is none of truck, tank"),
        ("c/3.tif,train,tank", r"line 5: there is no image"),
        ("../3.png,train,tank", r"line 5: file '\.\./3\.png' does not lie in the folder"),
        ("a/1.png,train,tank", r"line 5: the same image as line 2"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(labels, row, said):
    config = labels(*ROWS, row)
    with pytest.raises(LabelError, match=said):
        read_labels(config, VOCABULARY)


def test_a_table_without_a_column_or_a_split_says_which(labels):
    with pytest.raises(LabelError, match="has no column 'vehicle'; it has: file, split, kind"):
        read_labels(labels(*ROWS, header="file,split,kind"), VOCABULARY)
    with pytest.raises(LabelError, match="no row whose split is test"):
        read_labels(labels(*ROWS[:2]), VOCABULARY)
    with pytest.raises(LabelError, match=r"cannot be read: No such file"):
        read_labels(LabelledConfig(labels="nowhere.csv"), VOCABULARY)
    with pytest.raises(LabelError, match=r"Set corpus\.labelled\.labels"):
        read_labels(LabelledConfig(), VOCABULARY)


def test_a_file_that_is_no_picture_is_refused_by_its_line(labels, tmp_path):
    config = labels(*ROWS)
    (config.labels.parent / "a/2.png").write_bytes(b"no picture")
    with pytest.raises(LabelError, match=r"line 3: .*2\.png is no image that can be read"):
        write_labelled(read_labels(config, VOCABULARY), tmp_path / "out", config)
