"""Detection sets: folders as SSDD, HRSID and SAR-AIRcraft-1.0 are published, and boxes of simulated scenes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from benchmark.baselines.cfar import Cfar
from benchmark.datasets import simulated
from benchmark.datasets.base import DATA_SETS, DataSetError
from benchmark.datasets.detection_sets import read_aircraft_sample, read_detection_folder
from benchmark.datasets.simulated_boxes import read_boxes, target_boxes
from benchmark.suite.tasks.detection import DetectionTask
from corpus.simulate.config import SceneConfig
from support.bright_boxes import bright_scene, write_box_table, write_coco_folder
from support.paths import SHARED


def write_voc_folder(root, train=3, test=2, labels="Annotations", images="JPEGImages"):
    for folder in (root / labels, root / images, root / "ImageSets" / "Main"):
        folder.mkdir(parents=True)
    for split, indices in (("train", range(train)), ("test", range(train, train + test))):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{index}\n" for index in indices))
        for index in indices:
            amplitude, boxes, kinds = bright_scene(index)
            Image.fromarray(amplitude).save(root / images / f"{index}.jpg")
            objects = "".join(
                f"<object><name>{'ab'[kind]}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
                f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>\n"
                for box, kind in zip(boxes, kinds, strict=True)
            )
            (root / labels / f"{index}.xml").write_text(f"<annotation>\n{objects}</annotation>")
    return root


def as_hrsid(root):
    write_coco_folder(root)
    for split in ("train", "test"):
        (root / "annotations" / f"{split}.json").rename(root / "annotations" / f"{split}2017.json")
        shutil.copytree(root / "images" / split, root / "JPEGImages", dirs_exist_ok=True)
    shutil.rmtree(root / "images")
    return root


@pytest.mark.parametrize("write", [write_box_table, write_voc_folder, write_coco_folder, as_hrsid])
def test_a_folder_is_read_in_the_format_that_it_has(tmp_path, write):
    data = read_detection_folder(write(tmp_path / "set"), "a note")
    assert (data.classes, len(data.train), len(data.test), data.note) == (("a", "b"), 3, 2, "a note")
    amplitude, boxes, labels = bright_scene(0)
    assert data.train.shapes[0] == data.train.images[0].array.shape[1:] == amplitude.shape
    assert data.train.boxes[0].tolist() == boxes.tolist()
    assert data.train.labels[0].tolist() == labels.tolist()


def test_a_folder_without_boxes_says_what_it_takes(tmp_path):
    with pytest.raises(DataSetError, match=r"it takes boxes.csv, ImageSets/Main/train.txt .*, annotations/train.json"):
        read_detection_folder(tmp_path)


def test_a_sample_without_splits_has_one_class_and_no_interval(tmp_path):
    root = write_voc_folder(tmp_path, labels="annotations", images="images")
    data = read_aircraft_sample(root)
    assert (data.classes, len(data.train), len(data.test)) == (("aircraft",), 2, 3)
    scores = DetectionTask("", ()).run(data, "all_labels", Cfar(), 0).scores
    assert all(score.low is None for score in scores.values())


SAMPLE = SHARED / "real" / "sar_aircraft10_sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the SAR-AIRcraft-1.0 sample is not at {SAMPLE}")
def test_the_sample_of_sar_aircraft_is_read():
    data = DATA_SETS["sar_aircraft10_sample"].open(SAMPLE)
    assert sum(len(boxes) for part in (data.train, data.test) for boxes in part.boxes) == 18


@pytest.mark.parametrize(
    ("heading", "expected"),
    [(0, [17.5, 6, 23.5, 16]), (90, [15.5, 8, 25.5, 14]), (45, [20.5 - 5.657, 11 - 5.657, 20.5 + 5.657, 11 + 5.657])],
)
def test_a_box_stands_upright_round_a_turned_target(heading, expected):
    target = {"category": "ship", "row": 10.5, "col": 20.0, "length_m": 100.0, "width_m": 60.0, "heading_deg": heading}
    row = {"gsd_m": 10.0, "targets": [target, {**target, "category": "aircraft"}]}
    assert target_boxes(row, "ship", 64)[0] == pytest.approx(expected, abs=1e-3)
    assert target_boxes(row, "ship", 12)[0][2:].max() <= 12
    assert target_boxes({**row, "targets": []}, "ship", 64).shape == (0, 4)


def test_targets_of_simulated_scenes_are_bright_where_their_boxes_are(tmp_path):
    recipe = SceneConfig(tiles=10, tile_size_pixels=64, seed=3, cities=6, share_with_targets=1.0)
    simulated.make(tmp_path, recipe)
    data = read_boxes(tmp_path, "ship")
    assert data.classes == ("ship",)
    assert data.test_again.boxes is not data.test.boxes
    ratios = []
    for image, boxes in zip(data.train.images, data.train.boxes, strict=True):
        power = 10 ** (image.array[image.co_polarised] / 10)
        for left, top, right, bottom in np.round(boxes).astype(int):
            ratios.append(power[top:bottom, left:right].max() / np.median(power))
    assert np.median(ratios) > 10
