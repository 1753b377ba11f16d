"""Which tiles a statement about ground is about: compared as polygons in longitude and latitude."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from affine import Affine
from rasterio.crs import CRS

from corpus.geotiff.metadata import lonlat
from hcot_llm.initial.statements import InitialFile, Statement

LEAST_SHARE = 0.5
"""Of a tile's ground that has to have a value for the tile to have it."""
_SAME = 1e-6
_SIDE_POINTS = 4  # along each side of a tile, whose sides are curves in another projection


@dataclass(frozen=True)
class Joined:
    """What ground says of tiles.

    Attributes:
        of_tile: (tile_id, clause) -> the statement that is taken.
        problems: rows that contradict each other, as messages name them.
        elsewhere: how many statements are about no tile.
    """

    of_tile: Mapping[tuple[str, str], Statement]
    problems: Sequence[str]
    elsewhere: int


def join_by_ground(found: InitialFile, tiles: pa.Table) -> Joined:
    """Give each tile, for each clause, the value that covers the largest share of it, from LEAST_SHARE on.

    A point is about the whole tile that it lies in. Polygons of one value add up, and must not overlap then.

    Args:
        found: statements about ground.
        tiles: with tile_id, crs, transform, width and height.
    """
    grounds = tile_grounds(tiles)
    copies = np.concatenate([shapely.transform(grounds, _moved(degrees)) for degrees in (-360, 0, 360)])
    areas = shapely.area(copies)
    geometries = np.array([each.ground for each in found.statements], dtype=object)
    which, hit = shapely.STRtree(copies).query(geometries, predicate="intersects")
    cut = shapely.intersection(geometries[which], copies[hit])
    shares = np.where(shapely.get_dimensions(geometries[which]) == 0, 1.0, shapely.area(cut) / areas[hit])
    tile_ids = tiles["tile_id"].to_pylist()
    said: dict[tuple[str, str], list[tuple[float, Statement]]] = {}
    for number, copy, share in zip(which.tolist(), hit.tolist(), shares.tolist(), strict=True):
        if share > _SAME:
            statement = found.statements[number]
            said.setdefault((tile_ids[copy % len(tile_ids)], statement.clause), []).append((share, statement))
    chosen = {key: _choose(key, each) for key, each in sorted(said.items())}
    return Joined(
        {key: each for key, each in chosen.items() if isinstance(each, Statement)},
        [each for each in chosen.values() if isinstance(each, str)],
        len(found.statements) - len({id(statement) for each in said.values() for _, statement in each}),
    )


def tile_grounds(tiles: pa.Table) -> np.ndarray:
    """Polygons of the tiles' ground in longitude and latitude, degrees; behind 180 where a tile lies across it."""
    rows = zip(*(tiles[name].to_pylist() for name in ("crs", "transform", "width", "height")), strict=True)
    return np.array([_ground(*row) for row in rows], dtype=object)


def _ground(crs: str, transform: Sequence[float], width: int, height: int) -> shapely.Polygon:
    along = np.linspace(0, 1, _SIDE_POINTS, endpoint=False)
    pixels = np.concatenate(
        [
            np.column_stack([along * width, 0 * along]),
            np.column_stack([0 * along + width, along * height]),
            np.column_stack([(1 - along) * width, 0 * along + height]),
            np.column_stack([0 * along, (1 - along) * height]),
        ]
    )
    grid, (columns, rows) = Affine(*transform), pixels.T
    xs = grid.a * columns + grid.b * rows + grid.c
    ys = grid.d * columns + grid.e * rows + grid.f
    degrees, lats = lonlat(CRS.from_user_input(crs), xs.tolist(), ys.tolist())
    lons = np.asarray(degrees)
    lons = lons[0] + (lons - lons[0] + 180) % 360 - 180  # in one piece
    return shapely.Polygon(np.column_stack([lons, lats]))


def _moved(degrees: float):
    return lambda points: points + np.array([degrees, 0.0])


def _choose(key: tuple[str, str], said: Sequence[tuple[float, Statement]]) -> Statement | str | None:
    """The statement of the value with the largest share; the words of a contradiction; None where all are too small."""
    shares: dict[str, float] = {}
    for share, statement in said:
        shares[statement.value] = shares.get(statement.value, 0.0) + share
    value = max(shares, key=lambda each: shares[each])
    if min(shares[value], 1.0) < LEAST_SHARE - _SAME:
        return None
    rivals = [each for each in shares if each != value and min(shares[each], 1.0) > min(shares[value], 1.0) - _SAME]
    largest = {each.value: each for _, each in sorted(said, key=lambda pair: pair[0])}
    if rivals:
        first, second = sorted((largest[value], largest[rivals[0]]), key=lambda each: each.where)
        return (
            f"{second.where}: it says clause '{key[1]}' of tile {key[0]} is {second.value}, and {first.where} says "
            f"{first.value} of as much of the tile; keep one"
        )
    return largest[value]
