"""COCO: pycocotools reads captions, images and boxes."""

import json

import numpy as np
import pytest
import rasterio

from export.sample import SOMETHING, Annotation, Sample, box_categories
from orchestrator.data.exported import open_source
from support.hcot import HCOT

coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is of the extra export")


@pytest.fixture(scope="module")
def folder(simulated, export):
    return export(simulated, "coco")


def test_pycocotools_reads_each_tile_with_its_caption(folder, simulated):
    source = open_source(simulated)
    captions = {sample.tile.tile_id: sample.caption for sample in source.samples()}
    found = {}
    for split in ("train", "test"):
        read = coco.COCO(folder / "annotations" / f"captions_{split}.json")
        for image in read.loadImgs(read.getImgIds()):
            [annotation] = read.loadAnns(read.getAnnIds(image["id"]))
            found[image["tile_id"]] = annotation["caption"]
            with rasterio.open(folder / split / image["file_name"]) as src:
                assert (src.width, src.height) == (image["width"], image["height"])
    assert found == captions


def test_boxes_stand_where_annotations_say_that_targets_are(folder, simulated):
    found = {}
    for split in ("train", "test"):
        read = coco.COCO(folder / "annotations" / f"instances_{split}.json")
        for annotation in read.loadAnns(read.getAnnIds()):
            image = read.loadImgs(annotation["image_id"])[0]
            found[image["tile_id"]] = (annotation["bbox"], read.loadCats(annotation["category_id"])[0]["name"])
            mask = read.annToMask(annotation)
            assert mask.sum() == annotation["area"]
            left, top, width, height = annotation["bbox"]
            assert mask[top : top + height, left : left + width].all()
    says = {sample.tile.tile_id: sample.values for sample in open_source(simulated).samples()}
    assert set(found) == {tile_id for tile_id, values in says.items() if values["target_location"] != "none"}
    assert found
    for tile_id, (box, category) in found.items():
        said = says[tile_id]["target_category"]
        assert category == (SOMETHING if said == "none" else said)
        north = says[tile_id]["target_location"].startswith("north")
        assert (box[1] == 0) == north


def test_the_upper_right_ninth_is_northeast(simulated):
    sample = next(open_source(simulated).samples())
    said = [Annotation(name, "none", "", 4, "kept", 0.7, 1) for name in HCOT.names if name != "target_location"]
    there = Annotation("target_location", "northeast", "", 4, "kept", 0.7, 1)
    [box] = Sample(sample.tile, sample.file, (*said, there), sample.licence).boxes(HCOT)
    side = sample.tile.width
    np.testing.assert_allclose((box.x, box.y, box.width, box.height), (2 * side / 3, 0, side / 3, side / 3))
    assert box.category == SOMETHING
    assert box_categories(HCOT) == ["ship", "aircraft", SOMETHING]


def test_a_schema_without_places_has_captions_alone(real, export):
    folder = export(real, "coco")
    assert sorted(path.name for path in (folder / "annotations").iterdir()) == [
        f"captions_{split}.json" for split in ("test", "train")
    ]
    content = json.loads((folder / "annotations" / "captions_train.json").read_text())
    assert {"CC-BY-4.0: CC-BY-4.0", "other: not known: ask whoever gave you the imagery"} >= {
        licence["name"] for licence in content["licenses"]
    }
