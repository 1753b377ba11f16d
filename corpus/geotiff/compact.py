"""Compact polarisation, which no model here knows: sent circularly, received horizontally (CH) and vertically (CV)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from rasterio.io import DatasetReader

from corpus.geotiff import products
from corpus.geotiff.reasons import Reason, TileError

_COMPACT: Final = re.compile(r"(?<![A-Za-z])([CRL][HV])(?![A-Za-z])", re.IGNORECASE)
_PLATFORMS: Final = ("RADARSAT Constellation",)


def refuse_compact(src: DatasetReader, name: str) -> None:
    """Refuse an open file whose bands' descriptions, tags or name say that they are of compact polarisation.

    Raises:
        TileError: compact_polarisation.
    """
    described = [text for text in src.descriptions if text]
    tags = src.tags()
    stated = [tags.get("POLARIZATION", ""), tags.get("POLARISATION", "")]
    if found := _first_compact([*described, *stated]):
        raise refusal(name, found)
    if not any(products.POLARISATION.search(text) for text in (*described, *stated)):
        for found in compact_by_name([name]).values():
            raise refusal(name, found)


def compact_by_name(names: Iterable[str]) -> dict[str, str]:
    """Name -> compact polarisation of the files whose names say one.

    Two letters alone may stand for anything ("zurich_CH.tif"). They count on a satellite that has compact polarisation,
    where the file's or its folder's name has both of them, or where a file with the other one lies beside it.
    """
    alone: dict[str, tuple[tuple[str, str], str]] = {}
    found = {}
    for name in names:
        stem = products.stem_of(name)
        said = _all(stem)
        if not said or products.POLARISATION.search(stem):
            continue
        is_known = (products.platform_in_name(name) or "").startswith(_PLATFORMS)
        if is_known or any(_are_a_pair(_all(part)) for part in PurePosixPath(name).parts):
            found[name] = said[0]
        elif len(said) == 1:
            alone[name] = (PurePosixPath(name).parent.as_posix(), _COMPACT.sub(f"{said[0][0]}*", stem)), said[0]
    received: dict[tuple[str, str], set[str]] = {}
    for key, polarisation in alone.values():
        received.setdefault(key, set()).add(polarisation)
    return found | {name: said for name, (key, said) in alone.items() if len(received[key]) == 2}


def refusal(name: str, polarisation: str) -> TileError:
    """The error that refuses a file of compact polarisation."""
    sent = polarisation[0]
    return TileError(
        name,
        Reason.COMPACT_POLARISATION,
        f"It is {polarisation}: {sent}H and {sent}V are sent circularly and received linearly, and the models know VV, "
        "VH, HH and HV alone. Remove it, or order the scene in linear polarisation.",
    )


def _first_compact(texts: Iterable[str]) -> str | None:
    """The first compact polarisation in texts of which none names a linear one."""
    texts = list(texts)
    if any(products.POLARISATION.search(text) for text in texts):
        return None
    return next((said for text in texts for said in _all(text)), None)


def _all(text: str) -> list[str]:
    return [found.upper() for found in _COMPACT.findall(text)]


def _are_a_pair(said: list[str]) -> bool:
    return any({f"{sent}H", f"{sent}V"} <= set(said) for sent in "CRL")
