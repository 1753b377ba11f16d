"""Boxes in the formats of public sets, and what is refused with file and line."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.base import DataSetError
from benchmark.datasets.boxes_coco import read_coco
from benchmark.datasets.boxes_table import read_box_table
from benchmark.datasets.boxes_voc import read_voc, read_voc_objects
from support.paths import SHARED

FILES = {"train": "train.json", "test": "test.json"}


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(path)


def write_coco(root, box=(5, 6, 20, 10), category=1, test_category=1, file_name="", crowd=0):
    for split, kind in (("train", category), ("test", test_category)):
        picture(root / "images" / f"{split}.png")
        content = {
            "images": [{"id": 7, "file_name": file_name or f"{split}.png"}],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "barge"}],
            "annotations": [{"image_id": 7, "category_id": kind, "bbox": list(box), "iscrowd": crowd}],
        }
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def voc(name="ship", box=(1, 2, 30, 20)):
    sides = "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<annotation>\n<object>\n<name>{name}</name><bndbox>{sides}</bndbox>\n</object>\n</annotation>"


def write_voc(root, content=None):
    for split in ("train", "test"):
        picture(root / "JPEGImages" / f"{split}.jpg")
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}\n")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{split}.xml").write_text(content or voc())
    return root


def test_coco_boxes_are_left_top_width_height(tmp_path):
    data = read_coco(write_coco(tmp_path), FILES)
    assert data.classes == ("ship",)
    assert data.test[0].boxes.tolist() == [[5, 6, 25, 16]]


def test_voc_boxes_are_their_four_sides(tmp_path):
    data = read_voc(write_voc(tmp_path))
    assert data.train[0].boxes.tolist() == [[1, 2, 30, 20]]
    assert data.train[0].labels == ("ship",)


def test_a_table_of_boxes_is_read(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / f"{split}.png")
    lines = [f"{split}.png,{split},ship,1,2,30,20" for split in ("train", "train", "test")]
    (tmp_path / "boxes.csv").write_text("\n".join(["file,split,class,xmin,ymin,xmax,ymax", *lines]))
    data = read_box_table(tmp_path)
    assert [len(image.boxes) for image in (*data.train, *data.test)] == [2, 1]
    (tmp_path / "boxes.csv").write_text(
        "\n".join(["file,split,class,xmin,ymin,xmax,ymax", *lines, "x.png,test,a,1,1,2,2"])
    )
    with pytest.raises(DataSetError, match="boxes.csv, line 5: there is no image"):
        read_box_table(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"box": (50, 6, 20, 10)}, r"train.json, annotations\[0\]: the box 50, 6, 70, 16 is empty or leaves its image"),
        ({"box": (5, 6, 0, 10)}, "is empty or leaves"),
        ({"box": (5, 6, "x", 1)}, r"annotations\[0\]: its bbox"),
        ({"category": 3}, r"annotations\[0\]: its bbox, image_id or category_id"),
        ({"test_category": 2}, r"test.json, annotations\[0\]: the class barge is in test only"),
        ({"file_name": "../secret.png"}, r"train.json, images\[0\]: .*secret.png leads out of"),
        ({"file_name": "gone.png"}, r"train.json, images\[0\]: there is no image .*gone.png"),
        ({"file_name": 7.5}, r"train.json, images\[0\]: its file_name is missing"),
        ({"crowd": 1}, r"annotations\[0\]: it marks a crowd"),
    ],
)
def test_a_wrong_coco_file_is_refused_at_its_place(tmp_path, wrong, message):
    with pytest.raises(DataSetError, match=message):
        read_coco(write_coco(tmp_path, **wrong), FILES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (voc(box=(1, 2, 90, 20)), "train.xml, line 2: the box 1, 2, 90, 20 is empty or leaves its image of 60 x 40"),
        (voc(box=(1, 2, "x", 20)), "train.xml, line 2: the object has no name or no whole box"),
        ("<annotation>\n<object>", "train.xml, line 2: it is no XML"),
        ("<annotation></annotation>", "has no train image with an object"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation></annotation>', "declares entities"),
    ],
)
def test_a_wrong_voc_file_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(DataSetError, match=message):
        read_voc(write_voc(tmp_path, content))


def test_a_listed_image_that_is_missing_is_refused_with_its_line(tmp_path):
    root = write_voc(tmp_path)
    (root / "JPEGImages" / "test.jpg").unlink()
    with pytest.raises(DataSetError, match=r"test.txt, line 1: there is no image"):
        read_voc(root)


def test_an_image_of_both_splits_is_refused_with_both_places(tmp_path):
    root = write_voc(tmp_path)
    (root / "ImageSets" / "Main" / "test.txt").write_text("\ntrain -1\n")
    with pytest.raises(
        DataSetError, match=r"test.txt, line 2: the image .* is there twice, first in .*train.txt, line 1"
    ):
        read_voc(root)


def test_a_class_that_nothing_judges_is_refused_at_its_first_object(tmp_path):
    root = write_voc(tmp_path)
    (root / "Annotations" / "train.xml").write_text(voc("barge"))
    (root / "Annotations" / "test.xml").write_text(voc("barge"))
    assert read_voc(root).classes == ("barge",)
    both = voc("barge").replace("<annotation>", voc().removesuffix("</annotation>"))
    (root / "Annotations" / "train.xml").write_text(both)
    with pytest.raises(DataSetError, match="train.xml, line 2: the class ship is in train only; nothing judges it"):
        read_voc(root)


def test_a_name_that_leads_out_of_the_folder_is_refused_with_its_line(tmp_path):
    root = write_voc(tmp_path / "set")
    picture(tmp_path / "set2" / "x.jpg")
    (root / "ImageSets" / "Main" / "test.txt").write_text("../../set2/x\n")
    with pytest.raises(DataSetError, match=r"test.txt, line 1: .*set2/x.png leads out of"):
        read_voc(root)
    lines = ["file,split,class,xmin,ymin,xmax,ymax", "../set2/x.jpg,train,ship,1,2,3,4"]
    (root / "boxes.csv").write_text("\n".join(lines))
    with pytest.raises(DataSetError, match=r"boxes.csv, line 2: .*x.jpg leads out of"):
        read_box_table(root)


def test_an_image_without_objects_is_kept_and_a_test_set_of_such_images_is_refused(tmp_path):
    root = write_coco(tmp_path)
    content = json.loads((root / "train.json").read_text())
    picture(root / "images" / "empty.png")
    content["images"].append({"id": 8, "file_name": "empty.png"})
    (root / "train.json").write_text(json.dumps(content))
    assert [len(image.boxes) for image in read_coco(root, FILES).train] == [1, 0]
    content = json.loads((root / "test.json").read_text())
    (root / "test.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(DataSetError, match="has no test image with an object"):
        read_coco(root, FILES)


def test_two_images_of_one_id_are_refused(tmp_path):
    root = write_coco(tmp_path)
    content = json.loads((root / "train.json").read_text())
    (root / "train.json").write_text(json.dumps({**content, "images": content["images"] * 2}))
    with pytest.raises(DataSetError, match=r"train.json, images\[1\]: the id 7 is that of .*images\[0\] too"):
        read_coco(root, FILES)


def test_a_last_pixel_beyond_the_image_is_clipped(tmp_path):
    data = read_voc(write_voc(tmp_path, voc(box=(0, 0, 61, 40))))
    assert data.train[0].boxes.tolist() == [[0, 0, 60, 40]]
    assert data.train[0].shape == (40, 60)


SAMPLE = SHARED / "real" / "sar_aircraft10_sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the SAR-AIRcraft-1.0 sample is not at {SAMPLE}")
def test_annotations_of_sar_aircraft_are_read_as_their_table_says():
    found = [o.label for path in sorted((SAMPLE / "annotations").glob("*.xml")) for o in read_voc_objects(path)]
    table = [line.split(",")[1] for line in (SAMPLE / "boxes.csv").read_text().splitlines()[1:]]
    assert sorted(found) == sorted(table)
    assert len(found) == 18


COMPOSITE = SHARED / "real" / "mstar_scenes_composite"


@pytest.mark.skipif(not COMPOSITE.is_dir(), reason=f"the composite scenes are not at {COMPOSITE}")
def test_boxes_of_the_composite_scenes_are_read():
    data = read_box_table(COMPOSITE)
    assert (len(data.train), len(data.test), len(data.classes)) == (48, 24, 10)
