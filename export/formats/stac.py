"""STAC: cloud-optimised GeoTIFFs, items with the label and sar extensions, a collection, all in one GeoParquet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rasterio.crs import CRS

from corpus.storage.disk import writing
from corpus.tiles import Tile
from export.base import Progress
from export.footprint import Footprint, footprint, union
from export.json_stream import long_json, write_json
from export.licence import Licence
from export.pixels import Encoded, encode, write_image
from export.sample import Sample
from export.source import ExportSource
from export.write import LICENCE_FILE, main_licence

VERSION: Final = "1.1.0"
LABEL: Final = "https://stac-extensions.github.io/label/v1.0.1/schema.json"
SAR: Final = "https://stac-extensions.github.io/sar/v1.0.0/schema.json"
PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER: Final = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
COLLECTION, GEOPARQUET = "collection.json", "items.parquet"
_IMAGES, _ITEMS, _LABELS = "images", "items", "labels"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_FIRST_SATELLITE: Final = "1978-06-27T00:00:00Z"
"""Seasat, the first civil SAR: a time that nobody knows lies between this and the export's."""
_MODE: Final = re.compile(r"(?<![A-Z0-9])(IW|EW|WV|SM|S[1-6])(?![A-Z0-9])")
_PRODUCT: Final = re.compile(r"(?<![A-Z])(GRD|SLC|GEC|GTC|RTC)")
_BANDS: Final = ("P", "L", "S", "C", "X", "Ku", "K", "Ka")
_CHUNK = 2048


class StacExporter:
    """`collection.json`, `items/TILE.json`, `images/TILE.tif` (COG), `labels/TILE.geojson` and `items.parquet`.

    An item's properties hold its clauses as `knowlip:CLAUSE`, so that a table of items can be filtered by them.
    """

    needs: Mapping[str, str] = MappingProxyType({"stac_geoparquet": "stac-geoparquet"})
    reads = "pystac.Collection.from_file(OUT/collection.json), or OUT/items.parquet in QGIS"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write tile by tile; the collection, which says where all lie, last."""
        for folder in (_IMAGES, _ITEMS, _LABELS):
            (out / folder).mkdir()
        boxes: list[tuple[float, float, float, float]] = []
        times: list[str] = []
        lines = out / "items.ndjson"
        total = len(source)
        with writing("the items", lines), lines.open("w", encoding="utf-8") as table:
            for done, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                encoded, ground = encode(sample.file), footprint(sample.tile)
                tile_id = sample.tile.tile_id
                write_image(sample, encoded, out / _IMAGES / f"{tile_id}.tif", cog=True)
                write_json(out / _LABELS / f"{tile_id}.geojson", _label(sample, ground))
                item = _item(source, sample, encoded, ground)
                write_json(out / _ITEMS / f"{tile_id}.json", item)
                table.write(json.dumps(_from_root(item), ensure_ascii=False) + "\n")
                boxes = [ground.bbox] if not boxes else [_wider(boxes[0], ground.bbox)]
                times.append(item["properties"]["datetime"] or _FIRST_SATELLITE)
                times = [min(times), max(times)]
                progress(done, total)
        collection = _collection(source, union(boxes), times)
        self._write_table(lines, out / GEOPARQUET, collection)
        lines.unlink()
        with long_json(out / COLLECTION) as file:
            file.entries(collection)
            file.begin("links")
            for link in _links():
                file.add(link)
            for tile_id in source.tiles["tile_id"].to_pylist():
                file.add({"rel": "item", "href": f"./{_ITEMS}/{tile_id}.json", "type": "application/geo+json"})

    def _write_table(self, lines: Path, path: Path, collection: Mapping[str, Any]) -> None:
        from stac_geoparquet.arrow import parse_stac_ndjson_to_parquet

        with writing(path.name, path):
            parse_stac_ndjson_to_parquet(
                lines,
                path,
                chunk_size=_CHUNK,
                collections={collection["id"]: {**collection, "links": []}},
                compression="zstd",
            )


def _item(source: ExportSource, sample: Sample, encoded: Encoded, ground: Footprint) -> dict[str, Any]:
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
            "license": _stac_licence(sample.licence),
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
            *_licence_links(sample.licence, "../"),
        ],
        "assets": {
            "image": image,
            "labels": {
                "href": f"../{_LABELS}/{tile.tile_id}.geojson",
                "type": "application/geo+json",
                "title": "what each clause says, who said it, and how sure that is",
                "roles": ["data", "labels"],
            },
        },
        "collection": _identity(source),
    }


def _image_asset(sample: Sample, encoded: Encoded) -> dict[str, Any]:
    unit = "dB" if encoded.unit == "dB" else "amplitude (digital number)"
    return {
        "href": f"../{_IMAGES}/{sample.tile.tile_id}.tif",
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


def _label(sample: Sample, ground: Footprint) -> dict[str, Any]:
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
    return {"datetime": None, "start_datetime": _FIRST_SATELLITE, "end_datetime": utc(source.committed.isoformat())}


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


def _collection(source: ExportSource, bbox: list[float], times: list[str]) -> dict[str, Any]:
    licences = source.licences()
    main = main_licence(licences)
    shares = ", ".join(f"{count} {split}" for split, count in source.splits.items())
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": _identity(source),
        "title": f"{source.name}: SAR tiles with repaired annotations",
        "description": (
            f"{len(source)} tiles ({shares}) of the run {source.run_id} after round {source.round}, version "
            f"{source.version} of its annotations, by the annotation schema {source.schema.name}. `knowlip:CLAUSE` is "
            "a clause's value, `knowlip:CLAUSE_confidence` the probability that it is right."
        ),
        "license": _stac_licence(main),
        "keywords": ["SAR", "image-text", "annotations", "knowlip"],
        "providers": [{"name": f"knowlip {source.knowlip_version}", "roles": ["processor"]}],
        "extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [times]}},
        "summaries": {
            "platform": [name.lower() or "unknown" for name in source.platforms],
            "knowlip:split": list(source.splits),
        },
        "assets": {
            "items": {
                "href": f"./{GEOPARQUET}",
                "type": "application/vnd.apache.parquet",
                "title": "all items as GeoParquet",
                "roles": ["collection-mirror"],
            },
            "schema": {
                "href": "./annotation_schema.json",
                "type": "application/json",
                "title": "the annotation schema",
                "roles": ["metadata"],
            },
        },
    }


def _links() -> list[dict[str, Any]]:
    return [
        {"rel": "root", "href": f"./{COLLECTION}", "type": "application/json"},
        {"rel": "license", "href": f"./{LICENCE_FILE}", "type": "text/markdown"},
    ]


def _licence_links(licence: Licence, up: str) -> list[dict[str, Any]]:
    found = [{"rel": "license", "href": f"{up}{LICENCE_FILE}", "type": "text/markdown"}]
    return found + ([{"rel": "license", "href": licence.url}] if licence.url else [])


def _stac_licence(licence: Licence) -> str:
    """STAC takes an SPDX identifier, or "other" with a link."""
    return licence.spdx


def _identity(source: ExportSource) -> str:
    return f"{source.run_id}-round-{source.round}"


def _from_root(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as it is named from the collection's folder, where the table lies."""
    assets = {key: {**asset, "href": asset["href"].replace("../", "./", 1)} for key, asset in item["assets"].items()}
    links = []
    for link in item["links"]:
        href = link["href"]
        href = f"./{_ITEMS}/{href[2:]}" if href.startswith("./") else href.replace("../", "./", 1)
        links.append({**link, "href": href})
    return {**item, "assets": assets, "links": links}


def _wider(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    west, south, east, north = union([one, other])
    return west, south, east, north
