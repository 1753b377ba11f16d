"""Rasters beside backscatter and from other sensors, by their names: annotations of products, optical images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_POLARISED: Final = r"_(?:vv|vh|hh|hv)$"
# Annotations of Sentinel-1's normalised and ocean radar backscatter, s1a-iw-nrb-...-ei.tif.
_ANNOTATION: Final = re.compile(
    r"^s1[a-d]_\w+?_(?:nrb|orb)_\w*_(dm|ei|em|gs|id|lc|ld|li|sg|wm|ratio|np_(?:vv|vh|hh|hv))$"
)
_ANNOTATIONS: Final = {
    "dm": "a mask",
    "ei": "an incidence angle",
    "em": "a terrain model",
    "gs": "a ratio of gamma nought and sigma nought",
    "id": "a map of the acquisition",
    "lc": "a map of the scattering area",
    "ld": "a look direction",
    "li": "an incidence angle",
    "sg": "a ratio of sigma nought and gamma nought",
    "wm": "a wind model",
    "ratio": "a ratio of sigma nought and gamma nought",
}
_SAFE_OF_SENTINEL_1: Final = re.compile(r"^s1[a-d]_")
# Parts of a product that are made for each polarisation: the name ends with it, and is no backscatter all the same.
_PARTS: Final = (
    (re.compile(rf"(?:^|_)(?:nesz|noise(?:_power|_floor)?)(?:{_POLARISED}|$)"), "a noise power"),
    (
        re.compile(rf"(?:^|_)(?:lia|plia|linci|inc|(?:inc|incidence|local_incidence)(?:_angle)?|angle){_POLARISED}"),
        "an incidence angle",
    ),
    (re.compile(rf"(?:^|_)(?:coh|coherence|phase|ifg|interferogram){_POLARISED}"), "an interferometric product"),
    (re.compile(rf"(?:^|_)(?:nodata_|valid_|data_)?mask{_POLARISED}"), "a mask"),
)
_OPTICAL: Final = (
    (re.compile(r"(?:^|_)s2[a-d]_|sentinel_?2(?!\d)|^t\d\d[a-z]{3}_\d{8}t\d{6}_"), "an image of Sentinel-2"),
    (re.compile(r"^l[ceotm]0[4-9]_l\d[a-z]{2}_|^landsat(?:_?\d)?_"), "an image of Landsat"),
    (re.compile(r"^hls_[sl]30_|^m[oy]d\d\d\w*_a\d{7}_"), "an optical image"),
)
_TERRAIN: Final = re.compile(r"^srtm_\d\d_\d\d$|^[ns]\d\d[ew]\d{3}(?:_sr?tm\w*)?$|^cop(?:ernicus)?_?(?:30|90)$")
_SAR: Final = re.compile(
    r"(?<![a-z])(?:vv|vh|hh|hv)(?![a-z])|(?:^|_)s(?:entinel_?)?1[a-d]?(?:_|$)|(?<![a-z])sar(?![a-z])"
)


def other_raster(folders: Sequence[str], stem: str) -> str | None:
    """What a file is, in words, where its name is that of another raster than backscatter; None where it is not.

    Args:
        folders: the file lies in, in lower case.
        stem: of the file, in lower case, with "_" for every separator.
    """
    if found := _ANNOTATION.search(stem):
        return _ANNOTATIONS.get(found[1], "a noise power")
    if "annotation" in folders and any(_SAFE_OF_SENTINEL_1.search(folder) for folder in folders):
        return "an annotation of a product of Sentinel-1"
    if what := first_named(_PARTS, stem):
        return what
    if _TERRAIN.search(stem):
        return "a terrain model"
    return None if _SAR.search(stem) else first_named(_OPTICAL, stem)


def first_named(kinds: Iterable[tuple[re.Pattern[str], str]], text: str) -> str | None:
    """What a text names, in words: the first of (pattern, what) whose pattern is in it; None where none is."""
    return next((what for pattern, what in kinds if pattern.search(text)), None)
