"""Pictures without georeference or calibration as backscatter: 8- and 16-bit PNG, JPEG, TIFF, BMP.

A picture is taken for a stretched amplitude, as 8-bit GeoTIFFs are: decibels are 20 log10(DN + 1), known up to a
constant, and the picture's own median becomes the reference of the models' images (docs/input.md, level `tile`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.datasets.base import IGNORED, DataSetError
from corpus.geotiff.backscatter import Backscatter, to_decibels
from corpus.geotiff.model_input import REFERENCE_DB, kind_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def read_pixels(path: Path, where: str = "") -> np.ndarray:
    """The pixels of a picture: uint8 or uint16 [H, W] or [H, W, 3].

    Args:
        path: the file.
        where: what names it, such as "labels.csv, line 3", for errors.

    Raises:
        DataSetError: it is missing or is no picture.
    """
    said = f"{where}: " if where else ""
    try:
        with Image.open(path) as picture:
            if picture.mode in ("P", "RGBA", "LA", "CMYK", "YCbCr"):
                picture = picture.convert("RGB")
            pixels = np.asarray(picture)
    except FileNotFoundError as error:
        raise DataSetError(f"{said}there is no image {path}. Copy it there, or remove its line.") from error
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataSetError(f"{said}{path} is no picture that can be read: {error}. Copy the file again.") from error
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = np.clip(pixels, 0, 65535).astype(np.uint16)
    return pixels


def as_mask(pixels: np.ndarray, meaning: dict[int, int], path: Path) -> np.ndarray:
    """Values of a mask file as classes, uint8.

    Args:
        pixels: integers [H, W].
        meaning: value in the file -> class, or IGNORED.
        path: the file, for errors.

    Raises:
        DataSetError: a value without a meaning.
    """
    if unknown := sorted(set(np.unique(pixels).tolist()) - set(meaning)):
        known = ", ".join(map(str, meaning))
        raise DataSetError(f"The mask {path} has the value {unknown[0]}; it takes {known}. Is it the right file?")
    table = np.full(int(max(meaning)) + 1, IGNORED, np.uint8)
    for value, label in meaning.items():
        table[value] = label
    return table[pixels]


def read_picture(path: Path, where: str = "") -> Backscatter:
    """A picture as backscatter of one band of unknown polarisation; colours are averaged. Errors as `read_pixels`."""
    pixels = read_pixels(path, where)
    return as_backscatter(pixels if pixels.ndim == 2 else pixels.astype(np.float32).mean(axis=2))


def as_backscatter(amplitude: np.ndarray) -> Backscatter:
    """A stretched amplitude, real [H, W], 0 and up, as backscatter known up to a constant."""
    if amplitude.dtype == np.uint8:
        decibels = to_decibels(amplitude[None], np.ones((1, *amplitude.shape), bool), {})
    else:
        decibels = 20 * np.log10(amplitude[None].astype(np.float32) + 1)
    return Backscatter(decibels, ("unknown",), calibrated=False)


def at_reference_level(scene: Backscatter) -> Backscatter:
    """A scene whose median in each band is the reference of the models' images.

    What is cut from it keeps its level: water stays darker than a town. It counts as calibrated, as its level is known.
    """
    wanted = [REFERENCE_DB[kind_of(name)] for name in scene.polarisations]
    shift = np.asarray(wanted, np.float32) - np.nanmedian(scene.array, axis=(1, 2))
    return Backscatter(scene.array + shift[:, None, None], scene.polarisations, calibrated=True)


def cut_centre(picture: Backscatter, side: int) -> Backscatter:
    """The middle side x side pixels of a raster that is at least as large, else the raster."""
    height, width = picture.array.shape[1:]
    if height < side or width < side:
        return picture
    row, column = (height - side) // 2, (width - side) // 2
    part = picture.array[:, row : row + side, column : column + side]
    return Backscatter(part, picture.polarisations, picture.calibrated)
