"""The list of tiles of a corpus: its schema, reading and writing, and where the tiles lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from corpus.storage.errors import InputError
from corpus.storage.models import FrozenModel
from corpus.storage.parquet import ParquetError, read_parquet
from corpus.storage.writer import UNGUARDED

TILES_FILE = "tiles.parquet"
TILES_FOLDER = "tiles"

TILE_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64(), 6)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("gsd_m", pa.float64()),
        ("platform", pa.string()),
        ("band", pa.string()),
        ("polarisations", pa.list_(pa.string())),
        ("acquired", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("city", pa.string()),
        ("country", pa.string()),
        ("split", pa.string()),
        ("level_db", pa.list_(pa.float64())),
    ]
)


def product_of(tile: Mapping[str, Any]) -> str:
    """What a tile's images look like by: platform, band and polarisations, as one text.

    Args:
        tile: a row of TILE_SCHEMA.
    """
    polarisations = "+".join(tile["polarisations"])
    return f"{tile['platform'] or 'unknown'} {tile['band'] or 'unknown'} {polarisations}"


class CorpusError(InputError):
    """A corpus directory is missing, incomplete or damaged; the message says what, where and what to do."""


class Tile(FrozenModel):
    """One row of tiles.parquet. `transform` is the affine (a..f), `gsd_m` metres on the ground per pixel."""

    tile_id: str = Field(min_length=1)
    path: str = Field(description="relative to the corpus directory")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    crs: str = Field(description="'EPSG:32633', or WKT where there is no code; '' of a tile without a place on Earth")
    transform: tuple[float, float, float, float, float, float]
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    gsd_m: float = Field(gt=0)
    platform: str
    band: str
    polarisations: tuple[str, ...] = Field(min_length=1)
    acquired: str = Field(description="ISO 8601, '' if unknown")
    lon: float | None = Field(ge=-180, le=180, description="of the centre; null: the tile has no place on Earth")
    lat: float | None = Field(ge=-90, le=90)
    city: str
    country: str
    split: Literal["train", "held_out"]
    level_db: tuple[float, ...] | None = Field(
        default=None,
        description="of each band whose decibels are known up to a constant, their median over the scenes of one "
        "acquisition; null where the tile is calibrated",
    )


def path_of(tile_id: str) -> str:
    """Where a tile lies in its corpus: in one of 256 folders, as file systems and people are slow with 120,000 files.

    Corpora of earlier versions have other paths: `path` of the list counts.
    """
    return f"{TILES_FOLDER}/{hashlib.sha256(tile_id.encode()).hexdigest()[:2]}/{tile_id}.tif"


def file_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tiles(corpus_dir: str | Path, tiles: Iterable[Tile]) -> pa.Table:
    """Write <corpus_dir>/tiles.parquet, sorted by tile_id, whole or not at all; returns the table."""
    rows = sorted((tile.model_dump() for tile in tiles), key=lambda row: row["tile_id"])
    table = pa.Table.from_pylist(rows, schema=TILE_SCHEMA)
    target = Path(corpus_dir) / TILES_FILE
    with UNGUARDED.place(target, "the list of tiles") as partial:
        pq.write_table(table, partial)
    return table


def read_tiles(corpus_dir: str | Path) -> pa.Table:
    """The tiles of a corpus: pa.Table of TILE_SCHEMA, sorted by tile_id. Raises CorpusError."""
    path = Path(corpus_dir) / TILES_FILE
    if not path.is_file():
        raise CorpusError(
            f"{corpus_dir} is not a corpus: it has no {TILES_FILE}. Make one with `knowlip data make`, "
            "or cut your own GeoTIFFs with `knowlip run CONFIG --tiles FOLDER`."
        )
    try:
        table = read_parquet(path)
        if "level_db" not in table.column_names:  # a simulated corpus, or one of an older version
            table = table.append_column("level_db", pa.nulls(table.num_rows, TILE_SCHEMA.field("level_db").type))
        table = table.select(TILE_SCHEMA.names).cast(TILE_SCHEMA)
    except (ParquetError, pa.ArrowException, KeyError) as error:
        raise CorpusError(f"{path} is not a list of tiles: {error}. Make the corpus again.") from error
    if table.num_rows == 0:
        raise CorpusError(f"{path} lists no tile. Make the corpus again.")
    return table.sort_by("tile_id")


def tile_path(corpus_dir: str | Path, path: str) -> Path:
    """Absolute path of a tile named relative to its corpus. Raises CorpusError where it leads out of it."""
    root = os.path.realpath(corpus_dir)
    resolved = os.path.realpath(os.path.join(root, path))  # pathlib takes three times as long, for 120,000 tiles
    if os.path.commonpath([root, resolved]) != root:
        raise CorpusError(f"The tile path {path!r} leads out of the corpus {corpus_dir}. Make the corpus again.")
    return Path(resolved)
