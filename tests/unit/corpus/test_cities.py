import math

import pytest
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st

from corpus.cities import cities, utm_crs


def test_cities_are_many_distinct_large_and_often_coastal():
    chosen = cities()
    assert len(chosen) == 135 == len({city.geoname_id for city in chosen})
    assert min(city.population for city in chosen) >= 150_000
    assert 0.4 <= sum(city.coastal for city in chosen) / 135 <= 0.6
    assert len({city.country for city in chosen}) >= 50
    assert [city.population for city in chosen] == sorted((city.population for city in chosen), reverse=True)


def test_known_city_lies_where_it_lies():
    shanghai = next(city for city in cities() if city.name == "Shanghai")
    assert shanghai.country == "CN"
    assert shanghai.coastal
    assert math.isclose(shanghai.lon, 121.46, abs_tol=0.2)
    assert math.isclose(shanghai.lat, 31.22, abs_tol=0.2)


def test_cities_cover_the_globe():
    chosen = cities()
    assert {(city.lon > 0, city.lat > 0) for city in chosen} == {(a, b) for a in (True, False) for b in (True, False)}


@pytest.mark.parametrize("count", [0, 501])
def test_count_out_of_range_is_refused(count):
    with pytest.raises(ValueError, match="between 1 and 500"):
        cities(count)


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (-118.2, 34.0, "EPSG:32611"),
        (151.2, -33.9, "EPSG:32756"),
        (0.1, 51.5, "EPSG:32631"),
        (-0.1, 51.5, "EPSG:32630"),
        (180.0, 10.0, "EPSG:32660"),
        (-180.0, -10.0, "EPSG:32701"),
        (5.3, 60.4, "EPSG:32632"),
        (15.6, 78.2, "EPSG:32633"),
    ],
)
def test_a_place_lies_in_its_utm_zone(lon, lat, crs):
    assert utm_crs(lon, lat) == crs


@given(lon=st.floats(-180, 180), lat=st.floats(-79, 55))
def test_utm_zone_is_the_one_whose_central_meridian_is_near(lon, lat):
    (east,), (north,) = rasterio.warp.transform("EPSG:4326", utm_crs(lon, lat), [lon], [lat])
    assert 160_000 < east < 840_000
    assert 0 <= north <= 10_000_000


def test_outside_utm_is_refused():
    with pytest.raises(ValueError, match="UTM"):
        utm_crs(0.0, 88.0)
