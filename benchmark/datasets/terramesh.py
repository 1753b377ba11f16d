"""TerraMesh: tiles of terrain-corrected Sentinel-1 in dB with the land cover of every pixel.

There is no split, and few tiles. So each tile is cut in blocks like a chessboard with gaps: black ones to learn from,
white ones to judge. The blocks are cut in patches of one land cover.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from benchmark.datasets.base import DATA_SETS, Classification, DataSet, DataSetError, LabelledImages
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.rasters import read_bands, read_decibels
from corpus.geotiff.backscatter import Backscatter

CLASSES: Final = {
    1: "water",
    2: "trees",
    3: "flooded vegetation",
    4: "crops",
    5: "built area",
    6: "bare ground",
    7: "snow or ice",
    9: "rangeland",
}
"""Codes of the land cover; 0 is no data and 8 are clouds."""
SIDE: Final = 16
"""Pixels along a side of a patch: 160 m."""
SHARE: Final = 0.6
"""Of a patch that its land cover fills at least."""
LEAST: Final = 5
"""Patches of a class in each part; rarer classes are left out."""
_BLOCK: Final = 3
_GAP: Final = 1
_PIXEL_M: Final = 10


def read_terramesh(root: Path) -> Classification:
    """Patches of tiles in S1RTC and LULC, files of equal names.

    Raises:
        DataSetError: no tile, a tile without land cover or of another size than it, or no class with enough patches.
    """
    files = sorted((root / "S1RTC").glob("*.tif"))
    if not files:
        raise DataSetError(f"{root / 'S1RTC'} has no tile *.tif.")
    found: dict[str, list[tuple[Backscatter, str, str]]] = {split: [] for split in SPLITS}
    for file in files:
        tile, cover = read_decibels([file], ("VV", "VH")), read_bands(root / "LULC" / file.name, str(file))[0]
        if cover.shape != tile.array.shape[1:]:
            raise DataSetError(f"The land cover {root / 'LULC' / file.name} has another size than {file}.")
        for split, entries in found.items():
            entries += _patches(tile, cover, split, file.stem)
    counts = [Counter(name for _, name, _ in found[split]) for split in SPLITS]
    classes = tuple(sorted(name for name in counts[0] if min(count[name] for count in counts) >= LEAST))
    if len(classes) < 2:
        raise DataSetError(f"{root} has {len(classes)} land covers with {LEAST} patches in each part; it takes two.")
    train, test = (_labelled(found[split], classes) for split in SPLITS)
    note = (
        f"{len(files)} tiles, each on both sides: the parts are {_GAP * SIDE * _PIXEL_M} m apart; the land cover is a "
        "yearly model product with edges that are some pixels off"
    )
    return Classification(classes, train, test, note)


def _patches(tile: Backscatter, cover: np.ndarray, split: str, name: str) -> list[tuple[Backscatter, str, str]]:
    """(patch, land cover, block) of one part of a tile; patches of a block are related."""
    found = []
    for row, column in np.ndindex(*(length // SIDE for length in cover.shape)):
        (down, below), (across, beside) = (divmod(number, _BLOCK + _GAP) for number in (row, column))
        if max(below, beside) >= _BLOCK or SPLITS[(down + across) % 2] != split:
            continue
        place = slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE)
        codes, counts = np.unique(cover[place], return_counts=True)
        code = int(codes[counts.argmax()])
        array = tile.array[(slice(None), *place)]
        if code in CLASSES and counts.max() >= SHARE * SIDE * SIDE and np.isfinite(array).all():
            found.append((Backscatter(array, tile.polarisations), CLASSES[code], f"{name}/{down}/{across}"))
    return found


def _labelled(entries: list[tuple[Backscatter, str, str]], classes: tuple[str, ...]) -> LabelledImages:
    kept = [entry for entry in entries if entry[1] in classes]
    labels = np.array([classes.index(name) for _, name, _ in kept], np.int64)
    return LabelledImages([patch for patch, _, _ in kept], labels, [block for _, _, block in kept])


DATA_SETS.add(
    "terramesh_s1_lulc",
    DataSet(
        "terramesh_s1_lulc",
        "https://github.com/IBM/terramind (examples), or TerraMesh itself, as S1RTC/*.tif and LULC/*.tif",
        read_terramesh,
    ),
)
