"""Scenes as they are delivered: what products, programs and exports write, made by the tests, with what they hold."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

UTM = "EPSG:32633"
GRID = Affine(10, 0, 400000, 0, -10, 5300000)
SIDE = 256


def sigma0(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """Linear sigma nought of VV and VH, float64 [2, side, side]: fields, a bright town, dark water; 4.4 looks."""
    rng = np.random.default_rng(seed)
    base = np.full((side, side), 0.08)
    base[: side // 4] = 0.008
    base[side // 2 :, side // 2 :] = 0.35
    fields = np.exp(rng.normal(0, 0.15, (8, 8))).repeat(-(-side // 8), 0).repeat(-(-side // 8), 1)
    base = base * fields[:side, :side]
    speckle = rng.gamma(4.4, 1 / 4.4, (2, side, side))
    return np.stack([base, 0.18 * base]) * speckle


def decibels(power: np.ndarray) -> np.ndarray:
    """10 log10 of a power."""
    return 10 * np.log10(power)


def put(
    path: Path,
    pixels: np.ndarray,
    names: Sequence[str | None] = ("VV", "VH"),
    *,
    transform: Affine = GRID,
    crs: str | None = UTM,
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    scales: Sequence[float] = (),
    offsets: Sequence[float] = (),
    mask: np.ndarray | None = None,
    colours: dict[int, tuple[int, int, int, int]] | None = None,
    **profile,
) -> Path:
    """Write [bands, H, W] pixels with all that a file can say of them; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=pixels.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
            **profile,
        ) as file,
    ):
        file.write(pixels)
        if tags:
            file.update_tags(**tags)
        for index, name in zip(range(1, bands + 1), names, strict=False):
            if name:
                file.set_band_description(index, name)
        if scales:
            file.scales = tuple(scales)
        if offsets:
            file.offsets = tuple(offsets)
        if mask is not None:
            file.write_mask(mask)
        if colours:
            file.write_colormap(1, colours)
    return path


def power(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """`sigma0` as float32, the most common product."""
    return sigma0(seed, side).astype(np.float32)


def digital_numbers(seed: int = 0, factor: float = 500) -> np.ndarray:
    """An amplitude as uint16, as Sentinel-1 GRD has it."""
    return np.clip(np.sqrt(sigma0(seed)) * factor, 1, 65535).astype(np.uint16)


def with_alpha(path: Path, pixels: np.ndarray, alpha: np.ndarray, names: Sequence[str | None] = ()) -> Path:
    """Bands and an alpha band, as `gdalwarp -dstalpha` writes them."""
    put(path, np.concatenate([pixels, alpha[None].astype(pixels.dtype)]), names, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (ColorInterp.gray, *[ColorInterp.undefined] * (len(pixels) - 1), ColorInterp.alpha)
    return path


def snap_geotiff(path: Path, pixels: np.ndarray, names: Sequence[str]) -> Path:
    """A GeoTIFF of SNAP: the bands' names stand in its own tag 65000, which GDAL does not show."""
    put(path, pixels, ())
    infos = "".join(
        f"<Spectral_Band_Info><BAND_INDEX>{index}</BAND_INDEX><BAND_NAME>{name}</BAND_NAME></Spectral_Band_Info>"
        for index, name in enumerate(names)
    )
    text = f'<?xml version="1.0"?><Dimap_Document name="x"><Image_Interpretation>{infos}</Image_Interpretation>'
    data = bytearray(path.read_bytes())
    (directory,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[directory : directory + 2])
    entries = [bytes(data[directory + 2 + 12 * k : directory + 14 + 12 * k]) for k in range(count)]
    content = text.encode() + b"</Dimap_Document>\0"
    place = len(data)
    data += content + b"\0" * (len(content) % 2)
    entries.append(struct.pack("<HHII", 65000, 2, len(content), place))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    moved = len(data)
    data += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    data[4:8] = struct.pack("<I", moved)
    path.write_bytes(data)
    return path


def smooth(kind: str, side: int = SIDE) -> np.ndarray:
    """A map without speckle, [1, side, side]: terrain in metres or an angle in radians."""
    y, x = np.mgrid[:side, :side]
    if kind == "terrain":
        return (300 + 100 * np.sin(x / 30) * np.cos(y / 40))[None].astype(np.int16)
    return (0.6 + 0.1 * np.sin(x / 20) + 0.05 * y / side)[None].astype(np.float32)


def hyp3_product(folder: Path, code: str = "gpuned") -> Path:
    """A HyP3 RTC product: VV, VH, and five maps that are no backscatter. code: p, a or d in it says the unit."""
    name = f"S1A_IW_20200607T021500_DVP_RTC30_G_{code}_AB12"
    place = folder / name
    pixels = {"p": power(), "a": np.sqrt(power()), "d": decibels(power())}[code[1]]
    put(place / f"{name}_VV.tif", pixels[:1], (), nodata=0)
    put(place / f"{name}_VH.tif", pixels[1:], (), nodata=0)
    put(place / f"{name}_dem.tif", smooth("terrain"), (), nodata=0)
    put(place / f"{name}_inc_map.tif", smooth("angle"), (), nodata=0)
    x = np.mgrid[:SIDE, :SIDE][1]
    put(place / f"{name}_ls_map.tif", (1 + (x % 7 == 0) * 4)[None].astype(np.uint8), (), nodata=0)
    put(place / f"{name}_area.tif", (1 + 0.2 * np.cos(x / 15))[None].astype(np.float32), (), nodata=0)
    picture = np.clip(np.sqrt(sigma0()) * 300, 0, 255).astype(np.uint8)
    put(place / f"{name}_rgb.tif", picture[[0, 1, 0]], (), nodata=0)
    return place


def opera_product(folder: Path) -> Path:
    """OPERA RTC-S1: VV, VH with NaN around, and a mask."""
    name = "OPERA_L2_RTC-S1_T012-023456-IW1_20231028T014500Z_20231029T120000Z_S1A_30_v1.0"
    pixels = power()
    pixels[:, :, :20] = np.nan
    put(folder / f"{name}_VV.tif", pixels[:1], (), nodata=np.nan)
    put(folder / f"{name}_VH.tif", pixels[1:], (), nodata=np.nan)
    put(folder / f"{name}_mask.tif", np.random.default_rng(0).integers(0, 4, (1, SIDE, SIDE)).astype(np.uint8), ())
    return folder


def palsar_mosaic(folder: Path) -> Path:
    """JAXA's mosaic of ALOS-2: digital numbers of HH and HV, incidence, date and mask. dB = 20 log10(DN) - 83."""
    dn = np.clip(np.sqrt(sigma0()) * 10 ** (83 / 20), 1, 65535).astype(np.uint16)
    rng = np.random.default_rng(1)
    put(folder / "N48E013_20_sl_HH_F02DAR.tif", dn[:1], ())
    put(folder / "N48E013_20_sl_HV_F02DAR.tif", dn[1:], ())
    put(folder / "N48E013_20_linci_F02DAR.tif", (35 + smooth("angle") * 10).astype(np.uint8), ())
    put(folder / "N48E013_20_date_F02DAR.tif", (2200 + rng.integers(0, 3, (1, SIDE, SIDE))).astype(np.uint16), ())
    put(folder / "N48E013_20_mask_F02DAR.tif", np.full((1, SIDE, SIDE), 255, np.uint8), ())
    return folder


def capella_product(folder: Path) -> Path:
    """Capella GEO: a uint16 amplitude with its scale factor in a tag of JSON, a preview, and an item beside it."""
    name = "CAPELLA_C02_SP_GEO_HH_20201209213329_20201209213332"
    factor = 2e-4
    dn = np.clip(np.sqrt(sigma0()[:1]) / factor, 1, 65535).astype(np.uint16)
    dn[:, :, :6] = 0
    collect = {"collect": {"image": {"scale_factor": factor, "radiometry": "sigma_nought"}, "platform": "capella-2"}}
    put(folder / f"{name}.tif", dn, (), nodata=0, tags={"TIFFTAG_IMAGEDESCRIPTION": json.dumps(collect)})
    put(folder / f"{name}_preview.tif", (dn / 80).clip(0, 255).astype(np.uint8).repeat(3, 0), (), photometric="RGB")
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "links": [],
        "stac_extensions": [],
        "assets": {"HH": {"href": f"./{name}.tif", "sar:polarizations": ["HH"]}},
        "properties": {"datetime": "2020-12-09T21:33:30.500Z", "platform": "capella-2"},
    }
    (folder / f"{name}.json").write_text(json.dumps(item))
    return folder


def terrasar_product(folder: Path) -> Path:
    """TerraSAR-X as delivered: two polarisations in IMAGEDATA, a browse picture, an angle and mask raster."""
    name = "TSX1_SAR__EEC_RE___SM_D_SRA_20110303T055240_20110303T055248"
    dn = digital_numbers()
    put(folder / name / "IMAGEDATA" / "IMAGE_HH_SRA_strip_007.tif", dn[:1], ())
    put(folder / name / "IMAGEDATA" / "IMAGE_VV_SRA_strip_007.tif", (dn[:1] * 0.9).astype(np.uint16) + 1, ())
    put(folder / name / "PREVIEW" / "BROWSE.tif", (dn[:1] / 4).clip(0, 255).astype(np.uint8), ())
    put(folder / name / "AUXRASTER" / "GIM_HH_SRA_strip_007.tif", smooth("terrain"), ())
    return folder
