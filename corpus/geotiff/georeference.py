"""What to do about a file that says not, or not in itself, where on Earth it lies."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Final

from rasterio._err import CPLE_BaseError  # rasterio lets some of GDAL's errors through, with no public name
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_gcps

from corpus.cities import utm_crs
from corpus.geotiff.metadata import NoPosition, ground_sample_distances, lonlat

_SIDECARS: Final = (".tfw", ".tifw", ".tiffw", ".wld", ".TFW", ".prj", ".aux.xml", ".tif.aux.xml", ".tiff.aux.xml")


def advice(src: DatasetReader, path: str | Path) -> str:
    """One sentence or two: where the georeference is, and the command that writes it into the file."""
    file = shlex.quote(Path(str(path)).name)
    if src.gcps[0]:
        crs, metres = _warp_target(src)
        size = f" -tr {metres:.4g} {metres:.4g}" if metres else ""
        return (
            f"It has ground control points only; warp it with `gdalwarp -tps -t_srs {crs}{size} -r average {file} "
            "OUT.tif` (pixels have to be square on the ground), better after terrain correction with SNAP or HyP3."
        )
    if src.rpcs is not None:
        crs = _map_of(src.rpcs.long_off, src.rpcs.lat_off)
        return (
            "It has rational polynomial coefficients (RPC) only; warp it with `gdalwarp -rpc -to RPC_DEM=DEM.tif "
            f"-t_srs {crs} {file} OUT.tif` (without terrain: -to RPC_HEIGHT=METRES)."
        )
    if beside := _beside(path):
        return (
            f"Its georeference stands beside it, in {' and '.join(beside)}, and only what is in the file itself is "
            f"read; put it inside with `gdal_translate {file} OUT.tif`."
        )
    if src.crs is None:
        return "Set it with `gdal_edit.py -a_srs EPSG:CODE FILE`, or remove the file."
    return "Set it with `gdal_edit.py -a_ullr ULX ULY LRX LRY FILE`."


def _beside(path: str | Path) -> list[str]:
    file = Path(str(path))
    names = {f"{file.stem}{suffix}" for suffix in _SIDECARS} | {f"{file.name}.aux.xml"}
    with contextlib.suppress(OSError):
        return sorted(found.name for found in file.parent.iterdir() if found.name in names)
    return []


def _map_of(lon: float, lat: float) -> str:
    """A map whose pixels are square on the ground: UTM, beside the poles a stereographic one."""
    if lat > 84:
        return "EPSG:3413"
    if lat < -80:
        return "EPSG:3031"
    return utm_crs((lon + 180) % 360 - 180, lat)


def _warp_target(src: DatasetReader) -> tuple[str, float | None]:
    """(map, metres per pixel) for a file with ground control points."""
    points, crs = src.gcps
    crs = crs or CRS.from_epsg(4326)
    try:
        lons, lats = lonlat(crs, [point.x for point in points], [point.y for point in points])
        target = _map_of(sorted(lons)[len(lons) // 2], sorted(lats)[len(lats) // 2])
    except (NoPosition, ValueError):
        return "EPSG:CODE", None
    with contextlib.suppress(NoPosition, RasterioError, CPLE_BaseError, ValueError):
        return target, max(ground_sample_distances(crs, from_gcps(points), src.width, src.height))
    return target, None
