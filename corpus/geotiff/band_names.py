"""Which polarisation a band is, by what names it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rasterio.io import DatasetReader

from corpus.geotiff import products
from corpus.geotiff.band import Beside
from corpus.geotiff.reasons import Reason, TileError


def names_polarisation(src: DatasetReader, index: int, description: str, count: int, name: str, beside: Beside) -> bool:
    """Whether anything that speaks of this file says which polarisation a band is; the configuration does not."""
    if products.POLARISATION.search(description):
        return True
    tags = src.tags() | src.tags(index)
    texts = (tags.get("POLARIZATION", ""), tags.get("POLARISATION", ""), products.stem_of(name))
    stated = beside.polarisations if not beside.polarisations_configured else ()
    return len(stated) == count or any(len(products.POLARISATION.findall(text)) == count for text in texts)


def polarisations_of(
    src: DatasetReader, usable: Sequence[int], described: Mapping[int, str], name: str, beside: Beside
) -> tuple[dict[int, str], list[str]]:
    """Band -> polarisation; a band that is absent has none beside others that have one."""
    named = {i: match[1].upper() for i in usable if (match := products.POLARISATION.search(described[i]))}
    if named:
        return named, ["polarisations: the bands' descriptions"]
    tags = src.tags()
    for text, where in (
        (" ".join(src.tags(i).get("POLARIZATION", "") for i in usable), "the bands' tags POLARIZATION"),
        (tags.get("POLARIZATION", ""), "the tag POLARIZATION"),
        (tags.get("POLARISATION", ""), "the tag POLARISATION"),
        (products.stem_of(name), "the file's name"),
    ):
        stated = [match.upper() for match in products.POLARISATION.findall(text)]
        if len(stated) == len(usable):
            return dict(zip(usable, stated, strict=True)), [f"polarisations: {where}"]
    if len(beside.polarisations) == len(usable):
        return dict(zip(usable, beside.polarisations, strict=True)), [f"polarisations: {beside.polarisations_why}"]
    if len(usable) == 1:
        alone = "ICEYE" if products.stem_of(name).startswith("iceye_") else ""
        if alone:
            return {usable[0]: "VV"}, ["polarisations: every ICEYE satellite sends and receives vertically"]
        return {usable[0]: "unknown"}, ["polarisations: nothing says it; corpus.ingest.polarisations can"]
    raise TileError(
        name,
        Reason.UNKNOWN_BANDS,
        f"It has {len(usable)} bands; set each band's description, or the tag POLARIZATION, to VV, VH, HH or HV, or"
        f" corpus.ingest.polarisations for all such files, for instance to {_example(len(usable))}.",
    )


def _example(count: int) -> str:
    return json.dumps(["VV", "VH", "HH", "HV"][:count] if count <= 4 else ["VV"])


def band_name(index: int, description: str) -> str:
    """A band as messages name it: its number and, where it has one, its description."""
    return f"{index} ({description})" if description else str(index)
