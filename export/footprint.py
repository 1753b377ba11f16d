"""The ground that a tile covers, as GeoJSON in longitude and latitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rasterio.crs import CRS
from rasterio.transform import Affine
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box, mapping
from shapely.geometry.polygon import orient

from corpus.geotiff.metadata import lonlat
from corpus.tiles import Tile

_HALF, _FULL = 180.0, 360.0


@dataclass(frozen=True)
class Footprint:
    """Where a tile lies.

    Attributes:
        geometry: GeoJSON, a Polygon; a MultiPolygon where the tile crosses 180 degrees.
        bbox: west, south, east, north in degrees; west is the larger one where the tile crosses 180 degrees.
    """

    geometry: dict[str, Any]
    bbox: tuple[float, float, float, float]


def footprint(tile: Tile) -> Footprint:
    """Where a tile lies, by its four corners."""
    transform, width, height = Affine(*tile.transform), tile.width, tile.height
    corners = [transform @ corner for corner in ((0, 0), (0, height), (width, height), (width, 0))]
    lons, lats = lonlat(CRS.from_user_input(tile.crs), [x for x, _ in corners], [y for _, y in corners])
    crosses = max(lons) - min(lons) > _HALF
    if crosses:
        lons = [lon + _FULL if lon < 0 else lon for lon in lons]
    shape = orient(Polygon(list(zip(lons, lats, strict=True))))
    west, south, east, north = shape.bounds
    if not crosses:
        return Footprint(_geojson(shape), (west, south, east, north))
    left = shape.intersection(box(-_FULL, -90, _HALF, 90))
    right = translate(shape.intersection(box(_HALF, -90, 2 * _FULL, 90)), -_FULL)
    parts = [orient(part) for part in (left, right) if isinstance(part, Polygon) and not part.is_empty]
    return Footprint(_geojson(MultiPolygon(parts)), (west, south, east - _FULL, north))


def union(boxes: list[tuple[float, float, float, float]]) -> list[float]:
    """The bbox around many; from -180 to 180 where one of them crosses 180 degrees."""
    crosses = any(west > east for west, _, east, _ in boxes)
    return [
        -_HALF if crosses else min(each[0] for each in boxes),
        min(each[1] for each in boxes),
        _HALF if crosses else max(each[2] for each in boxes),
        max(each[3] for each in boxes),
    ]


def _geojson(shape: Polygon | MultiPolygon) -> dict[str, Any]:
    content = mapping(shape)
    return {"type": content["type"], "coordinates": _rounded(content["coordinates"])}


def _rounded(coordinates: Any) -> Any:
    """Lists in place of tuples, degrees to a tenth of a millimetre."""
    if isinstance(coordinates, float):
        return round(coordinates, 9)
    return [_rounded(each) for each in coordinates]
