"""A made set of labelled chips: three kinds of targets that a picture tells apart, as PNG files and a table."""

from pathlib import Path

import numpy as np
from PIL import Image

from support.toy_schemas import LEVEL

KINDS = ("round", "bar", "empty")
SHAPES = {
    "name": "shapes",
    "levels": [LEVEL],
    "clauses": [
        {
            "name": "shape",
            "level": 1,
            "group": "shape",
            "values": list(KINDS),
            "templates": ["The target is {v}.", "It is {v}."],
            "accuracy": 0.9,
        }
    ],
}
"""A single clause of three values."""


def write_chips(folder: Path, count: int, side: int = 32) -> Path:
    """Write `count` chips, a third of them held out, and return their table. Speckle differs by chip."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,split,shape,object"]
    y, x = np.mgrid[:side, :side] - side // 2
    for number in range(count):
        generator, kind = np.random.default_rng(number), KINDS[number % 3]
        target = {"round": x**2 + y**2 < 36, "bar": np.abs(y) < 3, "empty": np.zeros_like(x, dtype=bool)}[kind]
        power = generator.exponential(1.0, (side, side)) * np.where(target, 400, 20)
        Image.fromarray(np.sqrt(power * 10).clip(1, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
        rows.append(f"{number:03d}.png,{'test' if number // 3 % 3 == 0 else 'train'},{kind},{number // 6}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"
