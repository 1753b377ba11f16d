"""Detection sets that the benchmark knows, in the formats in which they are published."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.datasets.base import DATA_SETS, DataSet, DataSetError
from benchmark.datasets.boxes import MarkedImage, as_detection, checked, image_file
from benchmark.datasets.boxes_coco import FILES, coco_files, read_coco
from benchmark.datasets.boxes_table import TABLE, read_box_table
from benchmark.datasets.boxes_voc import LISTS, read_voc, read_voc_objects
from benchmark.datasets.detection import Detection

FORMATS = (
    (TABLE, lambda root: (root / TABLE).is_file(), read_box_table),
    (f"{LISTS}/train.txt (Pascal VOC)", lambda root: (root / LISTS).is_dir(), read_voc),
    (f"{FILES[0].format(split='train')} (COCO)", coco_files, read_coco),
)
"""What a folder of a format has, whether one has it, and its reader."""


def read_detection_folder(root: Path, note: str = "") -> Detection:
    """A folder in one of FORMATS, the first that it has.

    Raises:
        DataSetError: it has none of them, or as `benchmark.datasets.boxes` says.
    """
    for _, has, read in FORMATS:
        if has(root):
            return as_detection(read(root), note)
    raise DataSetError(f"{root} has no boxes: it takes {', '.join(name for name, _, _ in FORMATS)}.")


def read_aircraft_sample(root: Path) -> Detection:
    """The few images of SAR-AIRcraft-1.0 that its authors show: the first half to learn from, one class, no interval.

    Raises:
        DataSetError: as `benchmark.datasets.boxes` says.
    """
    marked = []
    for labels in sorted((root / "annotations").glob("*.xml")):
        objects = [replace(o, label="aircraft") for o in read_voc_objects(labels)]
        picture = image_file(root, root / "images" / f"{labels.stem}.jpg", str(labels))
        marked.append(MarkedImage(picture, objects, str(labels)))
    half = len(marked) // 2
    data = as_detection(checked(root, {"train": marked[:half], "test": marked[half:]}), "format only: too few images")
    return replace(data, test=replace(data.test, groups=["all"] * len(data.test)))


DATA_SETS.add(
    "mstar_scenes_composite",
    DataSet(
        "mstar_scenes_composite",
        "https://github.com/hunterlew/mstar_deeplearning_project, with a boxes.csv (file, split, class, sides)",
        partial(
            read_detection_folder,
            note="composite: real chips pasted into real clutter; a detector can learn the seam of the paste, which is "
            "the box",
        ),
        "semi-real: real pixels, composed scenes",
    ),
)
DATA_SETS.add(
    "ssdd",
    DataSet("SSDD", "https://github.com/TianwenZhang0825/Official-SSDD (BBox_SSDD/coco_style)", read_detection_folder),
)
DATA_SETS.add(
    "hrsid", DataSet("HRSID_JPG", "https://github.com/chaozhong2010/HRSID (HRSID_JPG)", read_detection_folder)
)
DATA_SETS.add(
    "sar_aircraft",
    DataSet(
        "SAR-AIRcraft-1.0",
        "https://radars.ac.cn/web/data/getData?dataType=SARDataset_en (SAR-AIRcraft-1.0)",
        read_detection_folder,
    ),
)
DATA_SETS.add(
    "sar_aircraft10_sample",
    DataSet(
        "sar_aircraft10_sample",
        "https://github.com/wangjuec/SAR-AIRcraft (images, and annotations/*.xml)",
        read_aircraft_sample,
        "real, 6 images: format only",
    ),
)
