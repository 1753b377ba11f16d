"""STAC: cloud-optimised GeoTIFFs, items with the label and sar extensions, a collection, all in one GeoParquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from corpus.storage.disk import writing
from export.base import Progress
from export.footprint import footprint, union
from export.formats.stac_item import (
    COLLECTION,
    FIRST_SATELLITE,
    IMAGES,
    ITEMS,
    LABELS,
    VERSION,
    identity,
    item_of,
    labels_of,
    stac_licence,
)
from export.json_stream import long_json, write_json
from export.pixels import encode, write_image
from export.source import ExportSource
from export.write import LICENCE_FILE, main_licence

GEOPARQUET: Final = "items.parquet"
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
        for folder in (IMAGES, ITEMS, LABELS):
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
                write_image(sample, encoded, out / IMAGES / f"{tile_id}.tif", cog=True)
                write_json(out / LABELS / f"{tile_id}.geojson", labels_of(sample, ground))
                item = item_of(source, sample, encoded, ground)
                write_json(out / ITEMS / f"{tile_id}.json", item)
                table.write(json.dumps(_from_root(item), ensure_ascii=False) + "\n")
                boxes = [ground.bbox] if not boxes else [_wider(boxes[0], ground.bbox)]
                times.append(item["properties"]["datetime"] or FIRST_SATELLITE)
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
                file.add({"rel": "item", "href": f"./{ITEMS}/{tile_id}.json", "type": "application/geo+json"})

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


def _collection(source: ExportSource, bbox: list[float], times: list[str]) -> dict[str, Any]:
    licences = source.licences()
    main = main_licence(licences)
    shares = ", ".join(f"{count} {split}" for split, count in source.splits.items())
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": identity(source),
        "title": f"{source.name}: SAR tiles with repaired annotations",
        "description": (
            f"{len(source)} tiles ({shares}) of the run {source.run_id} after round {source.round}, version "
            f"{source.version} of its annotations, by the annotation schema {source.schema.name}. `knowlip:CLAUSE` is "
            "a clause's value, `knowlip:CLAUSE_confidence` the probability that it is right."
        ),
        "license": stac_licence(main),
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


def _from_root(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as it is named from the collection's folder, where the table lies."""
    assets = {key: {**asset, "href": asset["href"].replace("../", "./", 1)} for key, asset in item["assets"].items()}
    links = []
    for link in item["links"]:
        href = link["href"]
        href = f"./{ITEMS}/{href[2:]}" if href.startswith("./") else href.replace("../", "./", 1)
        links.append({**link, "href": href})
    return {**item, "assets": assets, "links": links}


def _wider(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    west, south, east, north = union([one, other])
    return west, south, east, north
