"""World knowledge of a tile for HCoT levels 1 and 2, from its position alone and without the network."""

import functools
import math
from typing import Final

from pydantic import Field

from corpus.storage.models import FrozenModel
from hcot_llm.knowledge.geodata import (
    COAST_SEARCH_KM,
    KnowledgeError,
    climate_zone,
    country_name,
    land_and_coast,
    land_cover,
    nearest_place,
    utm_zone,
)
from hcot_llm.knowledge.words import CLIMATE_WORD, COAST_WORDS, COVER_WORD, IGBP_CLASSES

__all__ = ["Knowledge", "KnowledgeError", "map_values", "tile_knowledge"]

SHORE_KM: Final = 1.5  # a tile of 1.28 km around such a position usually shows the shore
_URBAN, _SNOW = 13, 15
_CROPS, _FOREST = (12, 14), range(1, 6)
_WOODED = (*_FOREST, 8)
_NOTHING: Final = "none"
MAP_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "terrain": ("plain", "hills", "mountain", "coast", "open_water"),
    "functionality": ("residential", "mixed_urban", "cropland", "natural", "open_water"),
    "distribution": (_NOTHING, "uniform", "scattered"),
    "layout": (_NOTHING, "regular", "irregular"),
    "boundary": (_NOTHING, "sharp", "gradual"),
    "building": (_NOTHING, "sparse", "medium", "dense"),
    "road": (_NOTHING, "sparse", "grid"),
    "water": (_NOTHING, "lake", "sea"),
}
"""What maps say of a place -> the values that it can take. A clause of a schema takes the one of its name."""


class Knowledge(FrozenModel):
    """What is known of a position before anyone looks at its pixels."""

    lon: float = Field(description="degrees east, WGS 84")
    lat: float = Field(description="degrees north, WGS 84")
    city: str = Field(description="nearest place with more than 1,000 people (GeoNames)")
    city_km: float = Field(description="great-circle distance to it, km")
    region: str = Field(description="its first-level administrative region; empty where GeoNames has none")
    country: str = Field(description="English name of its country")
    country_code: str = Field(description="ISO 3166-1 alpha-2")
    on_land: bool = Field(description="land or sea in a mask of about 1 km; lakes count as land")
    coast_km: float = Field(description=f"distance to the coast in km, at most {COAST_SEARCH_KM:.0f}")
    cover: int = Field(ge=0, le=16, description="MODIS IGBP land cover class (MCD12C1, 2019, 0.05 degree)")
    cover_shares: dict[int, float] = Field(description="share of each class within about 0.1 degree")
    climate: str = Field(description="Koppen-Geiger zone, such as Csa")
    utm_zone: str = Field(description="zone and hemisphere, such as 11N; UPS near the poles")

    def share(self, *classes: int) -> float:
        """Share of these IGBP classes around the tile, 0 to 1."""
        return sum(self.cover_shares.get(k, 0.0) for k in classes)

    def line(self) -> str:
        """One line of a few closed words for the native captioner: land or sea, cover, coast, climate."""
        coast = next(word for bound, word in COAST_WORDS if self.coast_km <= bound)
        by_share = sorted(self.cover_shares, key=lambda k: (-self.cover_shares[k], k))
        covers = dict.fromkeys(
            [COVER_WORD[self.cover], *(COVER_WORD[k] for k in by_share if self.cover_shares[k] >= 0.2)]
        )
        return " ".join(["land" if self.on_land else "sea", *covers, coast, CLIMATE_WORD[self.climate[0]]])

    def sentences(self) -> str:
        """The same knowledge in plain English, for instruction-tuned models."""
        where = ", ".join(part for part in (self.city, self.region, self.country) if part)
        far = "more than 100 km" if self.coast_km >= COAST_SEARCH_KM else f"{self.coast_km:.1f} km"
        shares = sorted(self.cover_shares.items(), key=lambda item: (-item[1], item[0]))[:3]
        covers = ", ".join(f"{IGBP_CLASSES[k]} {share:.0%}" for k, share in shares)
        return (
            f"The tile is at longitude {self.lon:.4f}, latitude {self.lat:.4f} (UTM "
            f"zone {self.utm_zone}), {self.city_km:.1f} km from {where}. "
            f"It is {'on land' if self.on_land else 'at sea'}, {far} from the coast. "
            f"MODIS land cover here: {IGBP_CLASSES[self.cover]}; within 0.1 degree: {covers}. "
            f"Koppen climate zone: {self.climate}."
        )


def tile_knowledge(lon: float, lat: float, *, crs: str | None = None) -> Knowledge:
    """Geographic knowledge of a tile's centre; cached.

    Args:
        lon: degrees east in WGS 84, or the easting when `crs` names another reference system.
        lat: degrees north in WGS 84, or the northing when `crs` names another reference system.
        crs: Reference system of the two numbers, anything rasterio reads ("EPSG:32611"); None means WGS 84 degrees.

    Raises:
        KnowledgeError: a package or its data file is missing; the message says which to install.
        ValueError: the position is not on the globe.
    """
    if crs is not None:
        from rasterio.warp import transform

        (lon,), (lat,) = transform(crs, "EPSG:4326", [lon], [lat])[:2]
    if not (math.isfinite(lon) and math.isfinite(lat) and -180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0):
        raise ValueError(
            f"Longitude {lon}, latitude {lat} is no position on the globe: expected degrees "
            "in WGS 84 (-180..180, -90..90); name the reference system as crs if these are m."
        )
    return _knowledge(float(lon), float(lat))


@functools.lru_cache(maxsize=65536)
def _knowledge(lon: float, lat: float) -> Knowledge:
    place = nearest_place(lon, lat)
    on_land, coast_km = land_and_coast(lon, lat)
    cover, shares = land_cover(lon, lat)
    return Knowledge(
        lon=lon,
        lat=lat,
        city=place.name,
        city_km=round(place.distance_km, 3),
        region=place.region,
        country=country_name(place.country_code),
        country_code=place.country_code,
        on_land=on_land,
        coast_km=round(coast_km, 3),
        cover=cover,
        cover_shares=shares,
        climate=climate_zone(lon, lat, on_land),
        utm_zone=utm_zone(lon, lat),
    )


def map_values(knowledge: Knowledge) -> dict[str, str]:
    """What is usual at such a place, by the names of MAP_VALUES; nobody has looked at a pixel."""
    at_sea = not knowledge.on_land and knowledge.coast_km > SHORE_KM
    if at_sea or knowledge.share(0) > 0.8:
        values = _open_water(inland=knowledge.on_land and knowledge.coast_km > SHORE_KM)
    else:
        values = _terrain_and_water(knowledge) | _development(knowledge)
        several = [k for k, share in knowledge.cover_shares.items() if share >= 0.2 and k != 0]
        worked = values["functionality"] in ("residential", "mixed_urban", "cropland")
        if worked or values["terrain"] == "coast":
            values["boundary"] = "sharp"
        else:
            values["boundary"] = "gradual" if len(several) > 1 else _NOTHING
    return values


def _open_water(*, inland: bool) -> dict[str, str]:
    nothing = ("distribution", "layout", "boundary", "building", "road")
    return {
        "terrain": "open_water",
        "functionality": "open_water",
        "water": "lake" if inland else "sea",
        **dict.fromkeys(nothing, _NOTHING),
    }


def _terrain_and_water(k: Knowledge) -> dict[str, str]:
    if k.coast_km <= SHORE_KM:
        return {"terrain": "coast", "water": "sea"}
    # No heights are shipped: woods are mostly left standing on slopes, and cold below
    # 55 degrees means altitude.
    alpine = k.climate in ("ET", "EF") and abs(k.lat) < 55.0
    terrain = "mountain" if alpine or k.cover == _SNOW else "hills" if k.share(*_WOODED) >= 0.5 else "plain"
    lake = k.share(0) >= 0.2 and k.coast_km > 10.0  # nearer, the water around is the sea
    return {"terrain": terrain, "water": "lake" if lake else _NOTHING}


def _development(k: Knowledge) -> dict[str, str]:
    def values(functionality: str, distribution: str, layout: str, building: str, road: str) -> dict[str, str]:
        return {
            "functionality": functionality,
            "distribution": distribution,
            "layout": layout,
            "building": building,
            "road": road,
        }

    urban = k.share(_URBAN)
    if k.cover == _URBAN:
        if urban >= 0.6:
            return values("residential", "uniform", "regular", "dense" if urban >= 0.9 else "medium", "grid")
        return values("mixed_urban", "scattered", "irregular", "medium", "grid")
    if k.share(*_CROPS) >= 0.4 or k.cover in _CROPS:
        return values("cropland", "scattered", "irregular", "sparse", "sparse")
    if urban >= 0.2:
        return values("natural", "scattered", "irregular", "sparse", "sparse")
    return values("natural", _NOTHING, _NOTHING, _NOTHING, _NOTHING)
