"""Labels of STAC items (label extension) and GeoJSON: one item, a collection or folder of items, or features alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import shapely
from shapely.geometry.base import BaseGeometry

from hcot_llm.initial.rows import InitialFileError, Row, Rows, text_of

_LABELS = "label:properties"
_VECTOR, _LARGEST_BYTES = "vector", 512 * 2**20


def read_features(path: Path) -> Rows:
    """Read the labels of a STAC item, ItemCollection, catalog, or folder of items; or the features of a GeoJSON.

    An item of the label extension names the properties of its labels (label:properties), and has them in a GeoJSON
    asset, or in its own properties, which are then about the item's whole ground.

    Raises:
        InitialFileError: a file is not there, is no JSON, or holds no labels of vector type.
    """
    root = path if path.is_dir() else path.parent
    files = sorted([*path.rglob("*.json"), *path.rglob("*.geojson")]) if path.is_dir() else [path]
    rows = [row for file in files for row in _rows(file, root, in_folder=path.is_dir())]
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return Rows(tuple(columns), rows)


def _rows(file: Path, root: Path, *, in_folder: bool) -> Iterator[Row]:
    content = _read(file)
    kind = content.get("type")
    if kind in ("Catalog", "Collection"):
        if not in_folder:  # of a folder the items are found by themselves
            for link in content.get("links", []):
                if link.get("rel") in ("item", "child"):
                    yield from _rows(_beside(file, link.get("href", "")), root, in_folder=False)
    elif kind == "FeatureCollection":
        for number, feature in enumerate(content.get("features", []), start=1):
            where = f"{_name(file, root)}, feature {number}"
            yield from _of_item(feature, file, root, where) if _is_label_item(feature) else [_row(feature, where)]
    elif kind == "Feature":
        if _is_label_item(content):
            yield from _of_item(content, file, root, _name(file, root))
        elif "stac_version" not in content:
            yield _row(content, _name(file, root))
        elif not in_folder:  # in a folder items of images may lie beside those of their labels
            raise InitialFileError(
                f"{file} is a STAC item without labels: it has no {_LABELS}. Name one of the label extension."
            )
    else:
        raise InitialFileError(f"{file} is neither a STAC item, collection or catalog, nor GeoJSON.")


def _is_label_item(content: Any) -> bool:
    return isinstance(content, dict) and "stac_version" in content and _LABELS in (content.get("properties") or {})


def _of_item(item: Mapping[str, Any], file: Path, root: Path, where: str) -> Iterator[Row]:
    properties = item["properties"]
    if properties.get("label:type", _VECTOR) != _VECTOR:
        raise InitialFileError(
            f"The labels of {file} are a {properties['label:type']}; only vector labels are read: one feature for "
            "each piece of ground."
        )
    named = [str(name) for name in properties[_LABELS] or []]
    own = [name for name in named if name in properties]
    asset = next(filter(None, (_labels_asset(key, each) for key, each in item.get("assets", {}).items())), None)
    if own:
        extra = [name for name in properties if name == "confidence" or name.endswith("_confidence")]
        kept = {name: properties[name] for name in (*own, *extra)}
        subject = {name: properties[name] for name in ("tile_id", "tile", "scene") if name in properties}
        yield _row({"geometry": item.get("geometry"), "properties": subject | kept}, where)
    elif asset is not None:
        labels = _beside(file, asset)
        for number, feature in enumerate(_read(labels).get("features", []), start=1):
            yield _row(feature, f"{_name(labels, root)}, feature {number}")
    else:
        raise InitialFileError(
            f"{file} has no labels: neither its properties nor a GeoJSON asset hold {', '.join(named) or 'any'}."
        )


def _labels_asset(key: str, asset: Any) -> str | None:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        return None
    is_geojson = str(asset.get("type", "")).startswith("application/geo+json") or asset["href"].endswith(".geojson")
    return asset["href"] if is_geojson or key == "labels" or "labels" in asset.get("roles", []) else None


def _row(feature: Any, where: str) -> Row:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return Row(where, {}, problem="it is no feature of GeoJSON with properties")
    cells = {str(name): text for name, value in properties.items() if (text := text_of(value))}
    return Row(where, cells, _ground(feature.get("geometry")))


def _ground(geometry: Any) -> BaseGeometry | None:
    return None if geometry is None else shapely.from_geojson(json.dumps(geometry), on_invalid="ignore")


def _beside(file: Path, href: str) -> Path:
    """The file that a link in `file` leads to. Raises InitialFileError where it leads to another machine."""
    parts = urlsplit(href)
    if parts.scheme not in ("", "file") or parts.netloc:
        raise InitialFileError(f"{file} links to {href}, and nothing is fetched. Put the labels beside it.")
    return file.parent / unquote(parts.path)


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise InitialFileError(f"{file} is larger than 512 MiB. Save it as GeoParquet.")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InitialFileError(f"{file} cannot be read: {error.strerror or error}. Put it there.") from error
    except (ValueError, RecursionError) as error:
        raise InitialFileError(f"{file} is no JSON: {error}. Get another copy.") from error
    if not isinstance(content, dict):
        raise InitialFileError(f"{file} is neither a STAC item, collection or catalog, nor GeoJSON.")
    return content


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
