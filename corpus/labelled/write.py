"""Writes labelled images as tiles of a corpus, which say that they have no place on Earth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import rasterio
from PIL import Image, UnidentifiedImageError
from rasterio.errors import NotGeoreferencedWarning

from corpus.geotiff.files import create_geotiff
from corpus.geotiff.metadata import NO_PLACE
from corpus.labelled.config import LabelledConfig
from corpus.labelled.labels import LabelError, LabelledImage
from corpus.tiles import Tile, file_sha256, path_of, write_tiles

_LARGEST_PX = 8192


def write_labelled(
    images: Sequence[LabelledImage],
    corpus_dir: Path,
    config: LabelledConfig,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write a tile of every image, and their list.

    Args:
        images: as `read_labels` gives them.
        corpus_dir: Folder of the corpus.
        config: of the set.
        progress: called with the tiles done and of all.

    Raises:
        LabelError: an image cannot be read; the message names its line.
    """
    corpus_dir.mkdir(parents=True, exist_ok=True)
    tiles = []
    for number, image in enumerate(images, 1):
        tiles.append(_write(image, corpus_dir, config))
        progress(number, len(images))
    if config.level == "set":
        level = float(np.median([tile.level_db for tile in tiles if tile.split == "train"]))
        tiles = [tile.model_copy(update={"level_db": (level,)}) for tile in tiles]
    write_tiles(corpus_dir, tiles)


def _write(image: LabelledImage, corpus_dir: Path, config: LabelledConfig) -> Tile:
    """Write one tile; its level is its own median."""
    decibels, gsd_m = _decibels(image, config)
    path = corpus_dir / path_of(image.tile_id)
    with (
        catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        create_geotiff(
            path,
            "a tile",
            width=config.tile_px,
            height=config.tile_px,
            count=1,
            dtype="float32",
            compress="DEFLATE",
            predictor=3,
        ) as tif,
    ):
        tif.write(decibels.astype(np.float32), 1)
        tif.set_band_description(1, config.polarisation)
        tif.update_tags(
            UNITS="dB", SOURCE_WINDOW=image.path.name, PLATFORM=config.platform, BAND=config.band, **NO_PLACE
        )
    return Tile(
        tile_id=image.tile_id,
        path=path_of(image.tile_id),
        sha256=file_sha256(path),
        crs="",
        transform=tuple(rasterio.Affine.identity()[:6]),
        width=config.tile_px,
        height=config.tile_px,
        gsd_m=gsd_m,
        platform=config.platform,
        band=config.band,
        polarisations=(config.polarisation,),
        acquired="",
        lon=None,
        lat=None,
        city="",
        country="",
        split="train" if image.split == "train" else "held_out",
        level_db=(float(np.median(decibels)),),
    )


def _decibels(image: LabelledImage, config: LabelledConfig) -> tuple[np.ndarray, float]:
    """The image in decibels up to a constant, float64 [tile_px, tile_px], and its metres per pixel."""
    pixels = _pixels(image.path, image.line)
    if image.window is not None:
        x, y, size = image.window
        if y + size > pixels.shape[0] or x + size > pixels.shape[1]:
            raise LabelError(f"line {image.line}: the window leads out of {image.path}. Correct x, y and size.")
        pixels = pixels[y : y + size, x : x + size]
    if pixels.min() == pixels.max():
        raise LabelError(f"line {image.line}: {image.path} holds no picture, all pixels are {pixels.min():g}.")
    power = _power(pixels, config.pixels)
    side = config.tile_px
    if config.fit == "crop":
        return 10 * np.log10(_middle(power, side)), config.gsd_m
    picture = Image.fromarray(power.astype(np.float32), mode="F")  # averaged in power, as speckle asks for
    resized = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), np.float64)
    return 10 * np.log10(resized), config.gsd_m * max(pixels.shape) / side


def _power(pixels: np.ndarray, stored: str) -> np.ndarray:
    """Power up to a constant, float64, positive: half of the smallest number stands in for zero."""
    values = pixels.astype(np.float64)
    if stored == "decibels":
        return 10 ** (values / 10)
    values = np.maximum(values, values[values > 0].min() / 2)
    return values**2 if stored == "amplitude" else values


def _pixels(path: Path, line: int) -> np.ndarray:
    """Pixels [H, W] of an image file; bands are averaged."""
    try:
        pixels = _decoded(path)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise LabelError(
            f"line {line}: {path} is no image that can be read ({error}). Replace or remove it."
        ) from error
    if pixels.ndim == 3:
        pixels = pixels[..., :3].mean(axis=2).round().astype(pixels.dtype)
    if pixels.ndim != 2 or min(pixels.shape) < 2:
        raise LabelError(f"line {line}: {path} is no picture of height and width. Replace or remove it.")
    return pixels


@lru_cache(maxsize=1)
def _decoded(path: Path) -> np.ndarray:
    """A decoded image file; the last one is kept, as all rows may be windows of it."""
    with Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP")) as opened:
        if max(opened.size) > _LARGEST_PX:
            raise ValueError(f"it is larger than {_LARGEST_PX} pixels a side")
        return np.asarray(opened)


def _middle(pixels: np.ndarray, side: int) -> np.ndarray:
    """The middle [side, side] of a picture; mirrored where the picture is smaller."""
    short = [max(0, side - length) for length in pixels.shape]
    padded = np.pad(pixels, [(each // 2, each - each // 2) for each in short], mode="symmetric")
    top, left = ((length - side) // 2 for length in padded.shape)
    return padded[top : top + side, left : left + side]
