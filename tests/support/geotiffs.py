"""GeoTIFFs made by the tests themselves: good ones, and one of every kind that has to be refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

UTM = "EPSG:32633"
NORTH_UP = Affine(10, 0, 400000, 0, -10, 5300000)


def speckled_dn(bands: int = 2, size: int = 128, seed: int = 0) -> np.ndarray:
    """uint16 amplitude with 4-look speckle and a brighter half, [bands, size, size]; no zeros."""
    rng = np.random.default_rng(seed)
    power = rng.gamma(4, 0.25, (bands, size, size))
    power[:, :, size // 2 :] *= 4
    return np.maximum(np.sqrt(power) * 300, 1).astype(np.uint16)


def write_geotiff(
    path: Path,
    pixels: np.ndarray,
    *,
    crs=UTM,
    transform=NORTH_UP,
    nodata=None,
    tags=None,
    descriptions=("VV", "VH"),
    **profile,
) -> Path:
    """Write [bands, H, W] pixels as a GeoTIFF; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=pixels.shape[0],
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **profile,
    ) as dst:
        dst.write(pixels)
        dst.update_tags(**(tags or {}))
        for index, text in zip(range(1, len(pixels) + 1), descriptions, strict=False):
            dst.set_band_description(index, text)
    return path


def write_zero_band_tiff(path: Path) -> Path:
    """A TIFF whose directory says SamplesPerPixel = 0; no library writes one, so byte by byte."""
    entries = [
        (256, 3, 8),
        (257, 3, 8),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 0),
        (278, 3, 8),
        (279, 4, 64),
    ]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + (
            struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value)
        )
    path.write_bytes(b"II*\0" + struct.pack("<I", 72) + bytes(range(64)) + directory + struct.pack("<I", 0))
    return path


def write_vrt(path: Path, source: str) -> Path:
    """A GDAL virtual dataset that points to `source`, whatever the path's suffix says."""
    path.write_text(f"""<VRTDataset rasterXSize="128" rasterYSize="128"><SRS>EPSG:32633</SRS>
<GeoTransform>400000, 10, 0, 5300000, 0, -10</GeoTransform><VRTRasterBand dataType="UInt16" band="1">
<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
</VRTRasterBand></VRTDataset>""")
    return path
