"""Patches of a scene's bands, to judge the whole by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from corpus.geotiff.masks import NO_MASKS, Masks, valid_pixels
from corpus.geotiff.measure import Patch

_WHOLE_PIXELS = 2**21
"""A scene up to this size is looked at whole before its bands are decided; a larger one in patches."""
_PATCH, _GRID = 240, 6
_FEWEST = 4096
"""Valid pixels, at least, that a decision is made from; patches with fewer make the whole scene be read."""


def window_at(row: int, column: int, rows: int, columns: int) -> Window:
    """The window of `rows` x `columns` pixels whose first pixel is at (row, column)."""
    return Window(column, row, columns, rows)  # pyright: ignore[reportCallIssue]  # rasterio's class declares no types


def sample_windows(width: int, height: int) -> list[Window]:
    """The whole of a small scene, or patches from edge to edge of a large one."""
    if width * height <= _WHOLE_PIXELS:
        return [window_at(0, 0, height, width)]
    high, wide = min(_PATCH, height), min(_PATCH, width)
    rows, columns = (
        np.unique(np.linspace(0, whole - part, _GRID).astype(int)) for whole, part in ((height, high), (width, wide))
    )
    return [window_at(int(row), int(column), high, wide) for row in rows for column in columns]


def sample_patches(
    src: DatasetReader, indexes: Sequence[int], masks: Mapping[int, Masks] | None = None
) -> dict[int, list[Patch]]:
    """Band -> the pixels that its decision is made from; where `sample_windows` holds next to none, more are read.

    Args:
        src: the open file.
        indexes: of the bands.
        masks: of each, beside what GDAL knows.
    """
    windows, masks = sample_windows(src.width, src.height), masks or {}
    patches = _read(src, indexes, windows, masks)
    if len(windows) == 1 or all(_has_enough(patches[i]) for i in indexes):
        return patches
    size = 1024
    for row in range(0, src.height, size):
        for column in range(0, src.width, size):
            window = window_at(row, column, min(size, src.height - row), min(size, src.width - column))
            for i, found in _read(src, indexes, [window], masks).items():
                if _valued(found[0]) and not _has_enough(patches[i], 64):
                    patches[i] += found
        if all(_has_enough(patches[i], 64) for i in indexes):
            break
    return patches


def _has_enough(patches: Sequence[Patch], times: int = 1) -> bool:
    return sum(_valued(patch) for patch in patches) >= _FEWEST * times


def _valued(patch: Patch) -> int:
    values = patch.valid & (patch.values != 0)
    return int((values & np.isfinite(patch.values)).sum() if patch.values.dtype.kind == "f" else values.sum())


def _read(
    src: DatasetReader, indexes: Sequence[int], windows: Sequence[Window], masks: Mapping[int, Masks]
) -> dict[int, list[Patch]]:
    patches: dict[int, list[Patch]] = {i: [] for i in indexes}
    for window in windows:
        top, left = int(window.row_off), int(window.col_off)
        edges = (top == 0, top + window.height >= src.height, left == 0, left + window.width >= src.width)
        for i in indexes:
            valid = valid_pixels(src, i, masks.get(i, NO_MASKS), window)
            patches[i].append(Patch(src.read(i, window=window), valid, edges))
    return patches
