"""Under which terms the imagery may be used: what was said where it was cut, else what is known of its platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from corpus.tiles import Tile


@dataclass(frozen=True)
class Licence:
    """The terms of some imagery.

    Attributes:
        spdx: SPDX identifier, or "other" where the terms have none, or where they are not known.
        title: in words.
        url: of its text; "" where there is none.
        attribution: what its user has to say; "" for nothing.
    """

    spdx: str
    title: str
    url: str = ""
    attribution: str = ""

    @property
    def known(self) -> bool:
        """Whether anything is known of the terms."""
        return self != UNKNOWN


UNKNOWN: Final = Licence("other", "not known: ask whoever gave you the imagery")
SIMULATED: Final = Licence(
    "Apache-2.0",
    "Apache License 2.0, as of the program that drew these scenes",
    "https://www.apache.org/licenses/LICENSE-2.0",
)
_COPERNICUS: Final = (
    "Copernicus Sentinel data: free, full and open access (Legal notice on the use of Copernicus Sentinel Data)",
    "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
)
_URLS: Final = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "Apache-2.0": SIMULATED.url,
}
# What SPDX identifiers look like, and STAC's words for terms that have none.
_SPDX: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.+-]*-[0-9][A-Za-z0-9.+-]*$")
_WITHOUT_ID: Final = ("proprietary", "various", "other")


def licence_named(text: str) -> Licence:
    """The licence that a STAC item, a tag or a user names: an SPDX identifier, a URL, or words."""
    text = " ".join(text.split())
    known = {name.lower(): name for name in _URLS}
    if text.lower() in known:
        name = known[text.lower()]
        return Licence(name, name, _URLS[name])
    if _SPDX.match(text):
        return Licence(text, text, f"https://spdx.org/licenses/{text}.html")
    if text.startswith(("http://", "https://")):
        return Licence("other", f"the terms at {text}", text)
    if text.lower() in _WITHOUT_ID:
        return Licence("other", f"{text.lower()}, as its item says: ask its provider for the terms")
    return Licence("other", text)


def licence_of(tile: Tile, *, simulated: bool, said: str, otherwise: str) -> Licence:
    """The licence of one tile.

    Args:
        tile: the tile.
        simulated: whether the program drew it.
        said: by a STAC item or a tag of the scene that it was cut from; "" for nothing.
        otherwise: by the user, for tiles of which nothing else tells; "" for nothing.
    """
    if simulated:
        return SIMULATED
    if said:
        return licence_named(said)
    if tile.platform.lower().startswith("sentinel-"):
        year = tile.acquired[:4]
        return Licence("other", *_COPERNICUS, f"Contains modified Copernicus Sentinel data{f' {year}' if year else ''}")
    return licence_named(otherwise) if otherwise else UNKNOWN
