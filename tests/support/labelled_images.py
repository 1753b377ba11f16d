"""Small labelled data sets in the folder formats that the benchmark reads."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_chip(path: Path, seed: int, stripes: int = 0, side: int = 24) -> None:
    """An 8-bit speckled picture with so many bright columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).gamma(2, 20, (side, side))
    pixels[:, : 2 * stripes] += 150
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def write_folders(root: Path, classes: int = 2, train: int = 8, test: int = 4) -> Path:
    """train/CLASS and test/CLASS with PNG files; classes differ in their number of bright columns."""
    for split, count in (("train", train), ("test", test)):
        for label in range(classes):
            for index in range(count):
                write_chip(root / split / f"c{label}" / f"{index}.png", 1000 * label + 10 * index + len(split), label)
    return root


def write_labels(root: Path, lines: list[str], header: str = "file,split,class,group") -> None:
    """labels.csv with so many lines below its header."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text("\n".join([header, *lines]) + "\n")
