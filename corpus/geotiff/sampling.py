"""At which ground sample distance and extent the models look at a raster: whole, or as crops."""

from __future__ import annotations

import math

from pydantic import Field

from corpus.storage.models import FrozenModel

MOST_CROPS = 3
"""Crops of a tile along a side: nine show it as well as more would, at a bounded cost."""
_UPSAMPLING = 2.0  # pixels that are made up tell nothing
_TOLERANCE = 0.25  # a side that is longer by so much is still looked at whole
_RESOLVED = 0.8  # a trained distance counts as resolved where the pixels are at most 1 / 0.8 of it


class Sampling(FrozenModel):
    """Ground sample distances that a model was trained at."""

    image_size_px: int = Field(gt=0, description="side of the model's images")
    gsd_m: tuple[float, ...] = Field(min_length=1, description="of its training images, metres per pixel, ascending")

    def gsd_for(self, gsd_m: float) -> float:
        """Metres per pixel at which to look at a raster of `gsd_m`.

        The finest trained distance that its pixels resolve, else the coarsest, but no more than twice as fine as they.
        """
        resolved = [trained for trained in self.gsd_m if trained >= _RESOLVED * gsd_m]
        return max(min(resolved, default=max(self.gsd_m)), gsd_m / _UPSAMPLING)


class Window(FrozenModel):
    """A square part of a raster, in its pixels."""

    row: int
    column: int
    side: int


def windows_of(
    height: int, width: int, gsd_m: float, sampling: Sampling | None, most: int | None = MOST_CROPS
) -> list[Window]:
    """The square windows in which a model looks at a raster, row by row.

    Args:
        height: of the raster in pixels.
        width: of it in pixels.
        gsd_m: of it, metres per pixel.
        sampling: what the model was trained at; None: its images show a tile whole.
        most: windows along a side at most, evenly spread; None: as many as cover the raster.

    Returns:
        Windows of the trained extent; one of the shorter side, in the middle, where a longer one makes no difference.
    """
    side = min(height, width)
    if sampling is not None:
        side = min(side, max(1, round(sampling.image_size_px * sampling.gsd_for(gsd_m) / gsd_m)))
    counts = [max(1, math.ceil(length / side - _TOLERANCE)) for length in (height, width)]
    if sampling is None or counts == [1, 1]:
        side, counts = min(height, width), [1, 1]
    rows, columns = (
        _starts(length, side, count if most is None else min(most, count))
        for length, count in zip((height, width), counts, strict=True)
    )
    return [Window(row=row, column=column, side=side) for row in rows for column in columns]


def image_gsd_m(height: int, width: int, gsd_m: float, size: int, sampling: Sampling | None) -> float:
    """Metres per pixel of images of `size` x `size` pixels of a raster; the others as of `windows_of`."""
    return gsd_m * windows_of(height, width, gsd_m, sampling)[0].side / size


def centre_of(count: int) -> int:
    """Which of `count` windows of a tile is nearest to its middle."""
    return count // 2


def _starts(length: int, side: int, count: int) -> list[int]:
    """First pixels of `count` windows that are spread evenly from end to end; a single one lies in the middle."""
    if count == 1:
        return [(length - side) // 2]
    return [round(index * (length - side) / (count - 1)) for index in range(count)]
