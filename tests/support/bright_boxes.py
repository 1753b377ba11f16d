"""Scenes with bright rectangles in speckle, which a detector finds, in the formats of public sets."""

import json

import numpy as np
from PIL import Image

from benchmark.datasets.detection import LabelledBoxes
from benchmark.datasets.pictures import as_backscatter


def bright_scene(seed, shape=(150, 200), objects=2, side=14):
    """Amplitude uint8 [H, W], boxes float64 [n, 4] and labels int64 [n]: class 1 is twice as wide as class 0."""
    generator = np.random.default_rng(seed)
    amplitude = generator.gamma(4, 5, shape)
    boxes, labels = [], []
    for index in range(objects):
        label = (seed + index) % 2
        width = side * (1 + label)
        top = generator.integers(4, shape[0] - side - 4)
        # Each in a part of its own, so that none touch.
        part = shape[1] // objects
        left = index * part + generator.integers(4, part - width - 4)
        amplitude[top : top + side, left : left + width] += 150
        boxes.append([left, top, left + width, top + side])
        labels.append(label)
    return np.clip(amplitude, 0, 255).astype(np.uint8), np.array(boxes, float), np.array(labels)


def bright_scenes(count, seed=0, **traits):
    """So many scenes as the benchmark takes them, each a group of its own."""
    scenes = [bright_scene(seed + index, **traits) for index in range(count)]
    return LabelledBoxes(
        [as_backscatter(amplitude) for amplitude, _, _ in scenes],
        [amplitude.shape for amplitude, _, _ in scenes],
        [boxes for _, boxes, _ in scenes],
        [labels for _, _, labels in scenes],
        [str(index) for index in range(count)],
    )


def write_box_table(root, train=3, test=2, **traits):
    """A folder with boxes.csv."""
    lines = ["file,split,class,xmin,ymin,xmax,ymax"]
    for index in range(train + test):
        split = "train" if index < train else "test"
        amplitude, boxes, labels = bright_scene(index, **traits)
        (root / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(amplitude).save(root / split / f"{index}.png")
        for box, label in zip(boxes, labels, strict=True):
            lines.append(f"{split}/{index}.png,{split},{'ab'[label]},{','.join(f'{side:g}' for side in box)}")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root


def write_coco_folder(root, train=3, test=2, **traits):
    """A folder as SSDD is published: annotations/SPLIT.json and images/SPLIT."""
    for split, indices in (("train", range(train)), ("test", range(train, train + test))):
        content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 5, "name": "b"}]}
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations").mkdir(exist_ok=True)
        for index in indices:
            amplitude, boxes, labels = bright_scene(index, **traits)
            Image.fromarray(amplitude).save(root / "images" / split / f"{index}.jpg")
            content["images"].append({"id": index, "file_name": f"{index}.jpg"})
            for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
                bbox = [left, top, right - left, bottom - top]
                content["annotations"].append({"image_id": index, "category_id": (1, 5)[label], "bbox": bbox})
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root
