"""Retrieval among captioned images in JSON."""

import json

import numpy as np
import pytest

from benchmark.datasets.base import DATA_SETS, DataSetError, Pairs
from benchmark.datasets.image_text import read_image_text
from benchmark.suite.base import METHODS, MethodInputs, NothingToJudge
from benchmark.suite.cells import Job, run_job
from benchmark.suite.tasks.retrieval import RETRIEVAL
from support.labelled_images import write_chip


class Numbered:
    """Knows each picture and each caption by heart."""

    about = "a test"

    def open(self, inputs):
        return self

    def embed(self, images):
        return np.zeros((len(images), 1), np.float32)

    def embed_pairs(self, images, texts):
        return np.eye(len(images), dtype=np.float32), np.eye(len(texts), dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        write_chip(tmp_path / "images" / f"{number}.png", number)
    return tmp_path


def write(folder, content):
    (folder / "captions.json").write_text(json.dumps(content))
    return folder


def coco(folder):
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(3)]
    captions = [{"image_id": number % 3, "caption": f" caption {number} "} for number in range(4)]
    return write(folder, {"images": images, "annotations": captions})


def test_every_caption_of_an_image_in_coco_is_kept_with_it(folder):
    data = read_image_text(coco(folder))
    assert data.captions == [("caption 0", "caption 3"), ("caption 1",), ("caption 2",)]
    assert data.note == "3 images; 1 further captions of them count for captioning alone"
    assert data.train is None


def test_karpathys_form_keeps_its_split(folder):
    sides = ("train", "test", "test")
    images = [
        {"filename": f"{n}.png", "split": side, "sentences": [{"raw": f"a {n}"}, {"raw": f"b {n}"}]}
        for n, side in enumerate(sides)
    ]
    data = read_image_text(write(folder, {"images": images}))
    assert data.captions == [("a 1", "b 1"), ("a 2", "b 2")]
    assert data.train is not None
    assert data.train.captions == [("a 0", "b 0")]


def test_images_of_the_validation_split_are_neither_learned_nor_judged(folder):
    write_chip(folder / "3.png", 3)
    splits = ("train", "val", "test", "test")
    records = [{"image": f"{n}.png", "caption": str(n), "split": split} for n, split in enumerate(splits)]
    data = read_image_text(write(folder, records))
    assert data.train is not None
    assert (data.train.captions, data.captions) == ([("0",)], [("2",), ("3",)])


def test_a_list_of_records_is_read_too(folder):
    data = read_image_text(write(folder, [{"image": f"images/{n}.png", "caption": str(n)} for n in range(2)]))
    assert (len(data.images), data.captions) == (2, [("0",), ("1",)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image": "9.png", "caption": "a"}], r"captions\.json, record 1: there is no image .*9\.png"),
        ([{"image": "0.png", "caption": " "}], "record 1: it has no caption"),
        ([{"image": "0.png", "caption": "水"}], "record 1: its caption has no word of Latin letters"),
        ([{"caption": "a"}], "record 1: it names no image"),
        ([{"image": "../x.png", "caption": "a"}], "leads out of"),
        ([{"image": "0.png", "caption": "a"}], "has 1 images with a caption to judge"),
        ({"images": [], "annotations": [{"image_id": 1}]}, "annotation 1: there is no image with the id 1"),
        ({"images": [{"id": 1}]}, "not of COCO's form: it lacks 'annotations'"),
        ({"images": [{"filename": "0.png", "sentences": [{"raw": ""}]}]}, "image 1: it has no caption"),
        ({"images": []}, "has 0 images with a caption to judge"),
        (
            [{"image": "0.png", "caption": "a", "split": "new"}],
            "record 1: split is 'new'; it takes train, restval, val",
        ),
        (
            [{"image": "0.png", "caption": "a", "split": side} for side in ("train", "test")],
            r"record 2: the image .*0\.png is in test, and in the other split too \(.*record 1\)",
        ),
        ("text", "neither COCO captions nor a list"),
    ],
)
def test_wrong_captions_are_refused_with_their_record(folder, content, message):
    with pytest.raises(DataSetError, match=message):
        read_image_text(write(folder, content))


def test_pairs_are_judged_zero_shot_and_have_no_cell_by_clauses(folder, monkeypatch):
    data = read_image_text(coco(folder))
    assert isinstance(data, Pairs)
    assert RETRIEVAL.run(data, "zero_shot", Numbered(), 0).scores["mean_recall"].value == 1
    with pytest.raises(NothingToJudge):
        RETRIEVAL.run(data, "by_clauses", Numbered(), 0)
    monkeypatch.setitem(METHODS._members, "numbered", Numbered())
    assert DATA_SETS["image_text"].real == "real"
    job = Job("retrieval", "image_text", "numbered", folder, MethodInputs(), 1, {})
    assert [cell.setting for cell in run_job(job)] == ["zero_shot"]
