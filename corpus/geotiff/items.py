"""A STAC item, or a product's metadata in JSON, that lies beside a file: platform, time, polarisations and licence."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from corpus.geotiff.products import stem_of, time_in_name

_LARGEST_BYTES: Final = 16 * 2**20
_MOST_FILES: Final = 20
_METADATA: Final = re.compile(r"(.+?)[._-](?:extended_)?(?:metadata|meta|extended|stac(?:\.v\d+)?)\.json")


@dataclass(frozen=True)
class ItemFacts:
    """What an item says. Empty where it does not.

    Attributes:
        file: the item's name.
        acquired: ISO 8601.
        platform: as the item writes it.
        polarisations: of the file's bands, in their order.
        licence: as the item writes it.
    """

    file: str
    acquired: str = ""
    platform: str = ""
    polarisations: tuple[str, ...] = ()
    licence: str = ""


def item_beside(path: Path) -> ItemFacts | None:
    """What the items beside a file say: those of its name and its product's metadata, else those with it as an asset.

    An item is of a file's name where that is the whole of the item's, or a separator follows: frame1.json and
    frame1_meta.json are of frame1.tif, frame10.json is not. It is no other file's whose longer name it has, and it
    does not name others of the folder as its assets and this one not.
    """
    with contextlib.suppress(OSError):
        names = os.listdir(path.parent)
        candidates = [path.parent / name for name in sorted(names) if name.lower().endswith((".json", ".geojson"))]
        if not candidates:
            return None
        pictures = {name: stem_of(name) for name in names if name.lower().endswith((".tif", ".tiff"))}
        own = [each for each in candidates if _is_of(each.name, path.stem.lower(), pictures.values())]
        own.sort(key=lambda each: each.stem.lower() != path.stem.lower())
        own += [each for each in candidates if each not in own and _is_product_metadata(each.name, path.stem)]
        facts = ItemFacts("")
        for found in own:
            content = _read(found)
            if content is not None and not _others(content, path.name, pictures):
                facts = _merged(facts, _facts(content, found.name, path.name))
        if facts.file:
            return facts
        for found in [each for each in candidates if each not in own][:_MOST_FILES]:
            content = _read(found)
            if content is not None and path.name in _asset_files(content):
                facts = _merged(facts, _facts(content, found.name, path.name))
                if facts.file:
                    return facts
    return None


def _is_of(item: str, stem: str, stems: Iterable[str]) -> bool:
    """Whether an item has a file's name, and no longer one of another file's."""
    return _begins(item, stem) and not any(len(other) > len(stem) and _begins(item, other) for other in stems)


def _begins(item: str, stem: str) -> bool:
    rest = item.lower().removeprefix(stem)
    return len(rest) < len(item) and not rest[:1].isalnum()


def _is_product_metadata(item: str, stem: str) -> bool:
    """Whether X_METADATA.json lies beside X_GEC.tif, and X says when it was acquired."""
    found = _METADATA.fullmatch(item.lower())
    return found is not None and _begins(stem, found[1]) and time_in_name(found[1]) is not None


def _others(content: Mapping[str, Any], name: str, pictures: Mapping[str, str]) -> bool:
    """Whether an item has pictures of the folder as its assets, and not the one of that name."""
    assets = _asset_files(content)
    return name not in assets and any(each in pictures for each in assets)


def _merged(facts: ItemFacts, more: ItemFacts) -> ItemFacts:
    """Facts, and what only the others say; the name is that of the item that says the polarisations, or the first."""
    if not (more.acquired or more.platform or more.polarisations or more.licence):
        return facts
    return ItemFacts(
        more.file if not facts.file or (more.polarisations and not facts.polarisations) else facts.file,
        facts.acquired or more.acquired,
        facts.platform or more.platform,
        facts.polarisations or more.polarisations,
        facts.licence or more.licence,
    )


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, a STAC item read by pystac as such; None where there is none."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if content.get("type") == "Feature" and "stac_version" in content:
        import pystac

        with contextlib.suppress(Exception):  # an item that breaks its standard may still say platform and time
            return pystac.Item.from_dict(content, preserve_dict=True).to_dict(include_self_link=False)
    return content


def _asset_files(content: Mapping[str, Any]) -> set[str]:
    """The names of the files that are an item's assets."""
    return {_file_of(asset) for asset in _assets(content)} - {""}


def _assets(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    assets = content.get("assets")
    return [asset for asset in assets.values() if isinstance(asset, dict)] if isinstance(assets, dict) else []


def _file_of(asset: Mapping[str, Any]) -> str:
    return unquote(str(asset.get("href", "")).split("?")[0].rsplit("/", 1)[-1])


def _facts(content: Mapping[str, Any], name: str, file: str) -> ItemFacts:
    """What an item says in STAC's words, in Capella's ("collect") or in Umbra's ("collects", where there is one)."""
    properties = _mapping(content, "properties") or content
    collects = content.get("collects")
    collect = _mapping(content, "collect")
    if isinstance(collects, list) and len(collects) == 1 and isinstance(collects[0], dict):
        collect = collects[0]
    acquired = next(
        (
            text
            for source, key in (
                (properties, "datetime"),
                (properties, "start_datetime"),
                (collect, "start_timestamp"),
                (collect, "startAtUTC"),
            )
            if (text := _text(source, key))
        ),
        "",
    )
    platform = _text(properties, "platform") or _text(collect, "platform")
    licence = _text(properties, "license") or _text(content, "license")
    return ItemFacts(name, acquired, platform, _polarisations(content, properties, collect, file), licence)


def _polarisations(
    content: Mapping[str, Any], properties: Mapping[str, Any], collect: Mapping[str, Any], file: str
) -> tuple[str, ...]:
    """Of the asset, where it says so; of the item otherwise."""
    stated = [asset.get("sar:polarizations") for asset in _assets(content) if _file_of(asset) == file]
    stated += [properties.get("sar:polarizations"), collect.get("polarizations")]
    radar = _mapping(collect, "radar")
    if sent_and_received := _text(radar, "transmit_polarization") + _text(radar, "receive_polarization"):
        stated.append([sent_and_received])
    for each in stated:
        if isinstance(each, list) and each:
            found = tuple(str(one).upper() for one in each)
            if all(re.fullmatch("VV|VH|HH|HV", one) for one in found):
                return found
    return ()


def _mapping(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def _text(source: Mapping[str, Any], key: str) -> str:
    value = source.get(key)
    return value.strip() if isinstance(value, str) else ""
