"""PolSF: one L-band AIRSAR scene of San Francisco as a Pauli picture, with a class for every pixel.

One scene: every split shares place, pass and date. Test columns are other blocks of 256 columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.datasets.base import (
    DATA_SETS,
    IGNORED,
    Classification,
    DataSet,
    DataSetError,
    LabelledImages,
    LabelledMasks,
    Segmentation,
)
from benchmark.datasets.image_folder import SPLITS, read_rows
from benchmark.datasets.pictures import as_mask, at_reference_level, read_pixels
from corpus.geotiff.backscatter import Backscatter

CLASSES = ("bare soil", "mountain", "water", "urban", "vegetation")
_SOURCE = "https://github.com/liuxuvip/PolSF (SF-AIRSAR), as pauli*.png and label*.png"
_NOTE = "one scene: training and test share place, pass and date"
_BLOCK = 256
_SIDE = 64
# The picture's bands by custom; the first is the co-polarised one of the models, the second the cross-polarised one.
_BANDS = (("HH+VV", 2), ("HV", 1), ("HH-VV", 0))


def read_scene(root: Path) -> Segmentation:
    """Windows of 64 x 64 pixels; even blocks of 256 columns to learn from, odd ones to test on.

    Raises:
        DataSetError: a file is missing or does not fit the other, or a label is unknown.
    """
    image, labels = _scene(root)
    parts = {}
    for side, split in enumerate(SPLITS):
        views, masks, groups = [], [], []
        for row in range(0, labels.shape[0] - _SIDE + 1, _SIDE):
            for column in range(0, labels.shape[1] - _SIDE + 1, _SIDE):
                mask = labels[row : row + _SIDE, column : column + _SIDE]
                if column // _BLOCK % 2 == side and (mask != IGNORED).any():
                    views.append((_window(image, row, column, _SIDE),))
                    masks.append(mask)
                    groups.append(f"{row}/{column // _BLOCK}")
        if not masks:
            raise DataSetError(f"The scene in {root} has no labelled {split} window: it is too narrow.")
        parts[split] = LabelledMasks(views, masks, groups)
    return Segmentation(CLASSES, parts["train"], parts["test"], note=_NOTE)


def read_patches(root: Path) -> Classification:
    """Windows of one class each, listed in patches.csv (x, y, size, class, split). Errors as `read_scene`."""
    image, _ = _scene(root)
    table = root / "patches.csv"
    if not table.is_file():
        raise DataSetError(f"{root} has no patches.csv with the columns x, y, size, class, split.")
    found: dict[str, list[tuple[Backscatter, str, str]]] = {split: [] for split in SPLITS}
    for line, row in read_rows(table, ("x", "y", "size", "class", "split")):
        try:
            x, y, size = (int(row[name]) for name in ("x", "y", "size"))
        except ValueError as error:
            raise DataSetError(f"{table}, line {line}: x, y and size are whole numbers.") from error
        if row["split"] not in SPLITS:
            raise DataSetError(f"{table}, line {line}: split is {row['split']!r}; it takes train or test.")
        if min(x, y) < 0 or size < 1 or y + size > image.array.shape[1] or x + size > image.array.shape[2]:
            raise DataSetError(f"{table}, line {line}: the window at x {x}, y {y} leaves the scene.")
        found[row["split"]].append((_window(image, y, x, size), row["class"], f"{y // 128}/{x // 128}"))
    names = {split: {name for _, name, _ in entries} for split, entries in found.items()}
    if names["train"] != names["test"] or not names["train"]:
        raise DataSetError(f"{table}: train and test must have the same classes, one at least.")
    classes = tuple(sorted(names["train"]))
    train, test = (
        LabelledImages(
            [image for image, _, _ in found[split]],
            np.array([classes.index(name) for _, name, _ in found[split]], np.int64),
            [group for _, _, group in found[split]],
        )
        for split in SPLITS
    )
    return Classification(classes, train, test, _NOTE)


def _scene(root: Path) -> tuple[Backscatter, np.ndarray]:
    files = {}
    for name in ("pauli", "label"):
        paths = sorted(root.glob(f"{name}*.png"))
        if len(paths) != 1:
            raise DataSetError(f"{root} has {len(paths)} files {name}*.png; it takes one.")
        files[name] = paths[0]
    colours, labels = read_pixels(files["pauli"]), read_pixels(files["label"])
    if colours.ndim != 3 or labels.shape != colours.shape[:2]:
        raise DataSetError(f"{files['pauli']} must have three bands and the size of {files['label']}.")
    decibels = 20 * np.log10(colours.astype(np.float32) + 1)
    bands = np.stack([decibels[..., band] for _, band in _BANDS])
    meaning = {0: IGNORED} | {index + 1: index for index in range(len(CLASSES))}
    scene = Backscatter(bands, tuple(name for name, _ in _BANDS), calibrated=False)
    return at_reference_level(scene), as_mask(labels, meaning, files["label"])


def _window(image: Backscatter, row: int, column: int, size: int) -> Backscatter:
    part = image.array[:, row : row + size, column : column + size]
    return Backscatter(part, image.polarisations, image.calibrated)


DATA_SETS.add("polsf_airsar", DataSet("polsf_airsar", _SOURCE, read_scene))
DATA_SETS.add("polsf_patches", DataSet("polsf_airsar", _SOURCE, read_patches))
