"""Rasters of backscatter in decibels: GeoTIFFs with a band for each polarisation, or with one band each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError

from benchmark.datasets.base import DataSetError
from corpus.geotiff.backscatter import Backscatter


def read_bands(path: Path, where: str = "") -> np.ndarray:
    """The bands of a GeoTIFF: [bands, H, W] as they are stored.

    Args:
        path: the file.
        where: what names it, such as "train.txt, line 3", for errors.

    Raises:
        DataSetError: it is missing or is no raster.
    """
    said = f"{where}: " if where else ""
    if not path.is_file():
        raise DataSetError(f"{said}there is no image {path}. Copy it there, or remove its line.")
    try:
        with rasterio.open(path) as file:
            return file.read()
    except RasterioIOError as error:
        raise DataSetError(f"{said}{path} is no raster that can be read: {error}. Copy the file again.") from error


def read_decibels(paths: Sequence[Path], polarisations: tuple[str, ...], where: str = "") -> Backscatter:
    """Backscatter in dB, calibrated; what is not finite has no value.

    Args:
        paths: one file with a band for each polarisation, or a file for each.
        polarisations: their names, in the order of bands or files.
        where: as `read_bands`.

    Raises:
        DataSetError: as `read_bands`, or files and polarisations do not fit.
    """
    bands = [band for path in paths for band in read_bands(path, where)]
    said = f"{where}: " if where else ""
    if len(bands) != len(polarisations) or len({band.shape for band in bands}) > 1:
        raise DataSetError(
            f"{said}{paths[0]} must come to {len(polarisations)} bands of one size ({', '.join(polarisations)}), and "
            f"comes to {len(bands)}."
        )
    array = np.stack(bands).astype(np.float32)
    return Backscatter(np.where(np.isfinite(array), array, np.nan), polarisations)
