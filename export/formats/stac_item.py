"""The STAC item of one tile."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from rasterio.crs import CRS

from corpus.tiles import Tile
from export.footprint import Footprint
from export.licence import Licence
from export.pixels import Encoded
from export.sample import Sample
from export.source import ExportSource
from export.write import LICENCE_FILE

VERSION: Final = "1.1.0"
COLLECTION: Final = "collection.json"
IMAGES, ITEMS, LABELS = "images", "items", "labels"
"""Folders below the collection."""
LABEL: Final = "https://stac-extensions.github.io/label/v1.0.1/schema.json"
SAR: Final = "https://stac-extensions.github.io/sar/v1.0.0/schema.json"
PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER: Final = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"


_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
FIRST_SATELLITE: Final = "1978-06-27T00:00:00Z"
"""Seasat, the first civil SAR: a time that nobody knows lies between this and the export's."""
_MODE: Final = re.compile(r"(?<![A-Z0-9])(IW|EW|WV|SM|S[1-6])(?![A-Z0-9])")
_PRODUCT: Final = re.compile(r"(?<![A-Z])(GRD|SLC|GEC|GTC|RTC)")
_BANDS: Final = ("P", "L", "S", "C", "X", "Ku", "K", "Ka")


def item_of(source: ExportSource, sample: Sample, encoded: Encoded, ground: Footprint) -> dict[str, Any]:
    """The item of a tile whose image is written, as JSON."""
    tile, image = sample.tile, _image_asset(sample, encoded)
    sar = _sar(source, sample)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [LABEL, PROJECTION, RASTER, *([SAR] if sar else [])],
        "id": tile.tile_id,
        "geometry": ground.geometry,
        "bbox": [round(each, 9) for each in ground.bbox],
        "properties": {
            **_time(source, tile),
            "title": f"{tile.platform} {tile.acquired[:10]} {sample.place}".strip(),
            "description": sample.caption,
            "platform": tile.platform.lower() or "unknown",
            "gsd": tile.gsd_m,
            "license": stac_licence(sample.licence),
            **_projection(tile),
            **sar,
            "label:type": "vector",
            "label:description": f"What a tile shows, by the annotation schema {source.schema.name}",
            "label:properties": list(source.schema.names),
            "label:classes": [
                {"name": name, "classes": list(values)} for name, values in source.schema.vocabulary.items()
            ],
            "label:tasks": ["classification", *(["detection"] if source.schema.of_kind("location") else [])],
            "label:methods": ["automated"],
            "knowlip:split": tile.split,
            "knowlip:round": source.round,
            "knowlip:version": source.version,
            "knowlip:city": tile.city,
            "knowlip:country": tile.country,
            **{f"knowlip:{name}": value for name, value in sample.values.items()},
            **{f"knowlip:{name}_confidence": value for name, value in sample.confidence.items()},
        },
        "links": [
            {"rel": "root", "href": f"../{COLLECTION}", "type": "application/json"},
            {"rel": "parent", "href": f"../{COLLECTION}", "type": "application/json"},
            {"rel": "collection", "href": f"../{COLLECTION}", "type": "application/json"},
            {
                "rel": "source",
                "href": f"./{tile.tile_id}.json",
                "type": "application/geo+json",
                "title": "labels and image are assets of one item",
                "label:assets": ["image"],
            },
            *licence_links(sample.licence, "../"),
        ],
        "assets": {
            "image": image,
            "labels": {
                "href": f"../{LABELS}/{tile.tile_id}.geojson",
                "type": "application/geo+json",
                "title": "what each clause says, who said it, and how sure that is",
                "roles": ["data", "labels"],
            },
        },
        "collection": identity(source),
    }


def _image_asset(sample: Sample, encoded: Encoded) -> dict[str, Any]:
    unit = "dB" if encoded.unit == "dB" else "amplitude (digital number)"
    return {
        "href": f"../{IMAGES}/{sample.tile.tile_id}.tif",
        "type": _COG,
        "title": "backscatter; value = stored * scale + offset",
        "roles": ["data"],
        "bands": [
            {
                "name": name,
                "data_type": "uint16",
                "nodata": 0,
                "unit": unit,
                "raster:scale": encoded.scale,
                "raster:offset": encoded.offset,
                "raster:spatial_resolution": sample.tile.gsd_m,
            }
            for name in sample.tile.polarisations
        ],
    }


def labels_of(sample: Sample, ground: Footprint) -> dict[str, Any]:
    """The annotation as GeoJSON: one feature, the tile's ground, with what every clause says."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": sample.tile.tile_id,
                "bbox": [round(each, 9) for each in ground.bbox],
                "geometry": ground.geometry,
                "properties": {
                    **sample.values,
                    "caption": sample.caption,
                    "annotations": [
                        {
                            "clause": each.clause,
                            "value": each.value,
                            "text": each.text,
                            "level": each.level,
                            "source": each.source,
                            "confidence": round(each.confidence, 6),
                        }
                        for each in sample.annotations
                    ],
                },
            }
        ],
    }


def _time(source: ExportSource, tile: Tile) -> dict[str, Any]:
    if tile.acquired:
        return {"datetime": utc(tile.acquired)}
    return {"datetime": None, "start_datetime": FIRST_SATELLITE, "end_datetime": utc(source.committed.isoformat())}


def utc(text: str) -> str:
    """A time of a tile as RFC 3339 in UTC; one without a zone is in UTC."""
    time = datetime.fromisoformat(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat().replace("+00:00", "Z")


def _projection(tile: Tile) -> dict[str, Any]:
    crs = CRS.from_user_input(tile.crs)
    code = crs.to_epsg()
    found: dict[str, Any] = {
        "proj:code": f"EPSG:{code}" if code else None,
        "proj:shape": [tile.height, tile.width],
        "proj:transform": list(tile.transform),
    }
    if not code:
        found["proj:wkt2"] = crs.to_wkt(version="WKT2_2019")
    return found


def _sar(source: ExportSource, sample: Sample) -> dict[str, Any]:
    """The sar extension's fields; {} where the radar band or a polarisation is not known, as it demands both."""
    tile = sample.tile
    if tile.band not in _BANDS or not set(tile.polarisations) <= {"HH", "HV", "VH", "VV"}:
        return {}
    name = "" if source.simulated else source.scene_of(tile.tile_id).upper()
    mode, product = _MODE.search(name.replace("_", " ")), _PRODUCT.search(name)
    unknown = "simulated" if source.simulated else "unknown"
    return {
        "sar:instrument_mode": mode[1] if mode else unknown,
        "sar:frequency_band": tile.band,
        "sar:polarizations": list(tile.polarisations),
        "sar:product_type": product[1] if product else unknown,
        "sar:pixel_spacing_range": tile.gsd_m,
        "sar:pixel_spacing_azimuth": tile.gsd_m,
    }


def identity(source: ExportSource) -> str:
    """The item and the collection of a corpus have this in common."""
    return f"{source.run_id}-round-{source.round}"


def licence_links(licence: Licence, up: str) -> list[dict[str, Any]]:
    """Links to the licence, from a folder that lies `up` below the collection."""
    found = [{"rel": "license", "href": f"{up}{LICENCE_FILE}", "type": "text/markdown"}]
    return found + ([{"rel": "license", "href": licence.url}] if licence.url else [])


def stac_licence(licence: Licence) -> str:
    """STAC takes an SPDX identifier, or "other" with a link."""
    return licence.spdx
