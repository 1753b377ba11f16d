"""BigEarthNet-S1, EuroSAT-S1 and TerraMesh: small files in their public formats, what is refused, and the real ones."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.transform import from_origin

from benchmark.baselines.trivial import Majority, NearestPixels
from benchmark.datasets.base import DataSetError
from benchmark.datasets.bigearthnet import read_bigearthnet, read_bigearthnet_sample
from benchmark.datasets.eurosat import read_eurosat
from benchmark.datasets.terramesh import read_terramesh
from benchmark.suite.base import MethodInputs
from benchmark.suite.tasks.classification_land_cover import CLASSIFICATION_LAND_COVER
from benchmark.suite.tasks.several_labels import judge_several, rows_of_shots
from support.paths import SHARED

GRID = "33UUP"


def write_raster(path, bands):
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype}
    profile |= {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)


def patch_name(time, number):
    return f"S1A_IW_GRDH_1SDV_2017{time}T165043_{GRID}_{number}_1"


def write_patch(folder, name, labels=None, level=-12.0, side=8):
    """A patch of the first release: VV, VH and, unless there are none, its labels."""
    noise = np.random.default_rng(len(name)).normal(0, 0.5, (side, side))
    for polarisation, shift in (("VV", 0), ("VH", -7)):
        write_raster(folder / f"{name}_{polarisation}.tif", (level + shift + noise)[None].astype(np.float32))
    if labels is not None:
        (folder / f"{name}_labels_metadata.json").write_text(json.dumps({"labels": labels}))


@pytest.fixture
def first_release(tmp_path):
    """Ten patches of five acquisitions; water is dark."""
    for day in range(5):
        for number in (1, 2):
            labels = ["Water bodies"] if number == 1 else ["Pastures", "Mixed forest"]
            write_patch(tmp_path / "in", patch_name(f"060{day}", number), labels, -22 if number == 1 else -8)
    write_patch(tmp_path, patch_name("0609", 1))  # some of the public set have no labels
    return tmp_path


def test_without_a_split_whole_acquisitions_are_held_out_and_both_bands_are_read(first_release):
    data = read_bigearthnet(first_release)
    assert data.classes == ("Mixed forest", "Pastures", "Water bodies")
    assert (len(data.train), len(data.test)) == (6, 4)
    assert not set(data.train.groups) & set(data.test.groups)
    image = data.train.images[0]
    assert (image.array.shape, image.polarisations, image.calibrated) == ((2, 8, 8), ("VV", "VH"), True)
    assert data.test_has.sum() == 6


def test_the_lists_of_the_first_release_name_the_split(first_release):
    lines = {"train": [("0600", 1), ("0600", 2), ("0601", 1)], "test": [("0602", 1), ("0602", 2)]}
    for split, patches in lines.items():
        rows = [f"S2A_MSIL2A_x,{patch_name(*patch)}" for patch in patches]
        (first_release / f"{split}.csv").write_text("\n".join(rows))
    data = read_bigearthnet(first_release)
    assert (len(data.train), len(data.test)) == (3, 2)
    (first_release / "train.csv").write_text("S2A_MSIL2A_x,S1A_nowhere\n")
    with pytest.raises(DataSetError, match=r"train\.csv, line 1: there is no S1A_nowhere_VV\.tif"):
        read_bigearthnet(first_release)


def test_the_table_of_the_second_release_has_labels_and_split(first_release):
    names = [patch_name("0600", 1), patch_name("0600", 2), patch_name("0601", 1), patch_name("0603", 2)]
    labels = [["Marine waters"], ["Pastures"], ["Marine waters", "Arable land"], ["Pastures", "Marine waters"]]
    split = ["train", "train", "test", "test"]
    pq.write_table(pa.table({"s1_name": names, "labels": labels, "split": split}), first_release / "metadata.parquet")
    data = read_bigearthnet(first_release)
    assert data.classes == ("Marine waters", "Pastures")
    assert "1 labels that one split alone has are left out" in data.note
    assert data.train_has.sum() == 2
    pq.write_table(pa.table({"s1_name": names}), first_release / "metadata.parquet")
    with pytest.raises(DataSetError, match="must be Parquet with the columns s1_name, labels, split"):
        read_bigearthnet(first_release)


def test_wrong_files_are_refused_with_their_names(first_release):
    (first_release / "in" / f"{patch_name('0600', 1)}_labels_metadata.json").write_text("{}")
    with pytest.raises(DataSetError, match="labels_metadata.json has no list of labels"):
        read_bigearthnet(first_release)
    with pytest.raises(DataSetError, match=r"neither metadata\.parquet nor a patch"):
        read_bigearthnet(first_release / "nowhere")


def test_several_labels_are_judged_by_average_precision_of_each(first_release):
    data = read_bigearthnet_sample(first_release)
    probe = CLASSIFICATION_LAND_COVER.run(data, "knn5", NearestPixels().open(MethodInputs()), 0).scores
    trivial = CLASSIFICATION_LAND_COVER.run(data, "all_labels", Majority().open(MethodInputs()), 0).scores
    assert next(iter(probe)) == "mean_average_precision"
    assert probe["mean_average_precision"].value == 1
    assert trivial["mean_average_precision"].value == pytest.approx(data.test_has.mean(0).mean())
    assert probe["mean_average_precision"].low is None  # a sample has no interval


def test_average_precision_is_that_worked_out_by_hand(first_release):
    data = read_bigearthnet(first_release)
    said = np.zeros(data.test_has.shape)
    said[:, 0] = [0.9, 0.8, 0.7, 0.6]
    has = np.zeros(data.test_has.shape, bool)
    has[[0, 2], 0] = True
    has[0, 1:] = True
    scores = judge_several(said, type(data)(data.classes, data.train, data.test, data.train_has, has))
    assert scores["mean_average_precision"].value == pytest.approx(((1 + 2 / 3) / 2 + 0.25 + 0.25) / 3)


def test_shots_are_drawn_of_each_label():
    has = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0]], bool)
    rows = rows_of_shots(has, 1, np.random.default_rng(0))
    assert 1 <= len(rows) <= 2
    assert has[rows].any(axis=0).all()


def write_eurosat(root):
    generator = np.random.default_rng(0)
    for split, numbers in (("train", (1, 2, 3)), ("test", (4, 5))):
        names = [f"{label}_{number}" for label in ("Forest", "SeaLake") for number in numbers]
        (root / f"eurosat-{split}.txt").write_text("\n".join(f"{name}.jpg" for name in names) + "\n")
        for name in names:
            level = -8 if name.startswith("Forest") else -22
            bands = generator.normal(level, 1, (2, 8, 8)).astype(np.float32)
            write_raster(root / "all_imgs" / name.split("_")[0] / f"{name}.tif", bands)


def test_eurosat_is_read_by_its_lists(tmp_path):
    write_eurosat(tmp_path)
    data = read_eurosat(tmp_path)
    assert data.classes == ("Forest", "SeaLake")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.images[0].polarisations == ("VV", "VH")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Forest_9.jpg", r"eurosat-test\.txt, line 5: there is no image"),
        ("Forest", r"line 5: 'Forest' is not of the form CLASS_NUMBER\.jpg"),
        ("../Forest_1.jpg", "is not of the form"),
        ("Forest_1.jpg", r"Forest_1\.tif is in eurosat-train\.txt and in eurosat-test\.txt"),
    ],
)
def test_a_wrong_list_of_eurosat_is_refused_with_its_line(tmp_path, line, message):
    write_eurosat(tmp_path)
    with open(tmp_path / "eurosat-test.txt", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataSetError, match=message):
        read_eurosat(tmp_path)


def write_tile(root, name="a", side=160):
    """The northern half is water, the southern half crops; some pixels have no data."""
    cover = np.ones((1, side, side), np.uint8)
    cover[:, side // 2 :] = 4
    cover[:, :16, :16] = 0
    level = np.where(cover == 1, -22.0, -9.0)
    write_raster(root / "S1RTC" / f"{name}.tif", np.concatenate([level, level - 7]))
    write_raster(root / "LULC" / f"{name}.tif", cover)


def test_a_tile_is_a_chessboard_with_gaps_and_patches_of_no_data_are_left_out(tmp_path):
    write_tile(tmp_path)
    data = read_terramesh(tmp_path)
    assert data.classes == ("crops", "water")
    # Ten patches across: blocks of three, three and two. One patch of the first black block has no data.
    assert (len(data.train), len(data.test)) == (9 + 9 + 4 + 2 * 6 - 1, 2 * 9 + 2 * 6)
    assert data.train.images[0].array.shape == (2, 16, 16)
    assert "160 m apart" in data.note
    assert set(data.test.groups) == {"a/0/1", "a/1/0", "a/1/2", "a/2/1"}


def test_a_tile_without_its_land_cover_is_refused(tmp_path):
    write_tile(tmp_path)
    write_raster(tmp_path / "LULC" / "a.tif", np.ones((1, 8, 8), np.uint8))
    with pytest.raises(DataSetError, match="has another size than"):
        read_terramesh(tmp_path)
    (tmp_path / "LULC" / "a.tif").unlink()
    with pytest.raises(DataSetError, match=r"a\.tif: there is no image .*LULC"):
        read_terramesh(tmp_path)


def shared(name):
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"the real data set is not at {path}")
    return path


def test_the_real_patches_of_bigearthnet_are_read():
    data = read_bigearthnet_sample(shared("sar/bigearthnet_s1"))
    assert len(data.train) + len(data.test) == 9
    assert data.train.images[0].array.shape == (2, 120, 120)


def test_on_real_tiles_of_terramesh_neighbours_by_pixels_know_the_rare_classes_better_than_the_usual_class():
    data = read_terramesh(shared("real/terramesh_s1_lulc"))
    assert {"crops", "trees", "water"} <= set(data.classes)
    probe = CLASSIFICATION_LAND_COVER.run(data, "knn5", NearestPixels().open(MethodInputs()), 0).scores
    trivial = CLASSIFICATION_LAND_COVER.run(data, "all_labels", Majority().open(MethodInputs()), 0).scores
    assert probe["balanced_accuracy"].value > trivial["balanced_accuracy"].value + 0.1
