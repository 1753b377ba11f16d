"""A STAC item, or a product's metadata in JSON, that lies beside a file: platform, time, polarisations and licence."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_LARGEST_BYTES: Final = 16 * 2**20
_MOST_FILES: Final = 20


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
    """What the item beside a file says: one of its name, else one in its folder that has the file as an asset."""
    with contextlib.suppress(OSError):
        candidates = sorted(found for found in path.parent.iterdir() if found.suffix.lower() in (".json", ".geojson"))
        named = [found for found in candidates if found.name.lower().startswith(path.stem.lower())]
        others = [found for found in candidates if found not in named]
        for found in [*named, *others[:_MOST_FILES]]:
            content = _read(found)
            if content is not None and (found in named or _has_asset(content, path.name)):
                facts = _facts(content, found.name, path.name)
                if facts.acquired or facts.platform or facts.polarisations or facts.licence:
                    return facts
    return None


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


def _has_asset(content: Mapping[str, Any], file: str) -> bool:
    assets = content.get("assets")
    if not isinstance(assets, dict):
        return False
    hrefs = (str(asset.get("href", "")) for asset in assets.values() if isinstance(asset, dict))
    return any(href.split("?")[0].rsplit("/", 1)[-1] == file for href in hrefs)


def _facts(content: Mapping[str, Any], name: str, file: str) -> ItemFacts:
    properties = content.get("properties")
    properties = properties if isinstance(properties, dict) else content
    collect = content.get("collect")
    collect = collect if isinstance(collect, dict) else {}
    acquired = _text(properties, "datetime") or _text(properties, "start_datetime") or _text(collect, "start_timestamp")
    platform = _text(properties, "platform") or _text(collect, "platform")
    licence = _text(properties, "license") or _text(content, "license")
    return ItemFacts(name, acquired, platform, _polarisations(content, properties, file), licence)


def _polarisations(content: Mapping[str, Any], properties: Mapping[str, Any], file: str) -> tuple[str, ...]:
    """Of the asset, where it says so; of the item otherwise."""
    assets = content.get("assets")
    sources = [properties]
    for asset in assets.values() if isinstance(assets, dict) else ():
        if isinstance(asset, dict) and str(asset.get("href", "")).split("?")[0].rsplit("/", 1)[-1] == file:
            sources.insert(0, asset)
    for source in sources:
        stated = source.get("sar:polarizations")
        if isinstance(stated, list) and stated:
            found = tuple(str(each).upper() for each in stated)
            if all(re.fullmatch("VV|VH|HH|HV", each) for each in found):
                return found
    return ()


def _text(source: Mapping[str, Any], key: str) -> str:
    value = source.get(key)
    return value.strip() if isinstance(value, str) else ""
