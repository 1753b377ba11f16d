"""CSV, Parquet and GeoParquet as rows."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as warp_points
from shapely.geometry.base import BaseGeometry

from corpus.storage.parquet import ParquetError, read_parquet
from hcot_llm.initial.rows import InitialFileError, Row, Rows, text_of

WKT_COLUMNS = ("geometry", "wkt")
LON, LAT = "lon", "lat"
_WGS84 = CRS.from_epsg(4326)


def read_csv(path: Path) -> Rows:
    """Read a CSV in UTF-8 with a header; separated by commas, or by the semicolons or tabs that its header has.

    Ground may stand in a column of WKT (geometry or wkt), or in lon and lat.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            separator = "," if "," in header else next((each for each in ";\t" if each in header), ",")
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True)
            columns = tuple(name.strip() for name in next(reader, []))
            rows = [_csv_row(f"line {reader.line_num}", columns, cells) for cells in reader if any(cells)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InitialFileError(f"{path} is no CSV in UTF-8: {error}. Save it as such.") from error
    return Rows(columns, rows)


def _csv_row(where: str, columns: Sequence[str], cells: Sequence[str]) -> Row:
    texts = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if cell.strip()}
    if len(cells) != len(columns):
        return Row(where, texts, problem=f"it has {len(cells)} cells, and the header has {len(columns)}")
    return Row(where, texts, _csv_ground(texts))


def _csv_ground(texts: dict[str, str]) -> BaseGeometry | None:
    """The ground that a row names, whose cells are taken away; None where there is none, or it cannot be read."""
    for name in WKT_COLUMNS:
        if name in texts:
            return shapely.from_wkt(texts.pop(name), on_invalid="ignore")
    if LON in texts and LAT in texts:
        try:
            return shapely.Point(float(texts.pop(LON)), float(texts.pop(LAT)))
        except ValueError:
            return None
    return None


def read_parquet_rows(path: Path) -> Rows:
    """Read a Parquet file; ground comes with the metadata of GeoParquet, in any coordinate reference system."""
    try:
        table = read_parquet(path)
    except ParquetError as error:
        raise InitialFileError(f"corpus.initial: {error}") from error
    geo = (pq.read_schema(path).metadata or {}).get(b"geo")
    grounds: Sequence[BaseGeometry | None] = [None] * table.num_rows
    if geo is not None:
        column, grounds = _grounds(path, table, geo)
        table = table.drop_columns([column])
    columns = tuple(table.column_names)
    rows = []
    for number, (cells, ground) in enumerate(zip(table.to_pylist(), grounds, strict=True), start=1):
        texts = {name: text for name, value in cells.items() if (text := text_of(value))}
        rows.append(Row(f"row {number}", texts, ground))
    return Rows(columns, rows)


def _grounds(path: Path, table: pa.Table, geo: bytes) -> tuple[str, Sequence[BaseGeometry | None]]:
    """Name of the geometry's column, and the geometries in longitude and latitude."""
    try:
        content = json.loads(geo)
        name = content["primary_column"]
        about = content["columns"][name]
        encoding = about["encoding"]
        cells = table[name].to_pylist()
    except (ValueError, KeyError, TypeError) as error:
        raise InitialFileError(f"The GeoParquet metadata of {path} are damaged ({error!r}). Write it anew.") from error
    if encoding != "WKB":
        raise InitialFileError(f"The geometries of {path} are encoded as {encoding}. Write them as WKB.")
    found = shapely.from_wkb(cells, on_invalid="ignore")
    if about.get("crs") is None and "crs" in about:
        raise InitialFileError(f"The geometries of {path} have no coordinate reference system. Write it with one.")
    return name, _to_lonlat(path, found, about.get("crs"))


def _to_lonlat(path: Path, found: Any, projjson: Mapping[str, Any] | None) -> Sequence[BaseGeometry | None]:
    if projjson is None:
        return list(found)  # longitude and latitude, as GeoParquet says
    try:
        code = projjson.get("id") or {}
        if (code.get("authority"), str(code.get("code"))) in {("OGC", "CRS84"), ("EPSG", "4326")}:
            return list(found)
        crs = CRS.from_user_input(
            f"{code['authority']}:{code['code']}" if code.get("authority") == "EPSG" else json.dumps(projjson)
        )

        def to_lonlat(points: np.ndarray) -> np.ndarray:
            return np.column_stack(warp_points(crs, _WGS84, points[:, 0].tolist(), points[:, 1].tolist())[:2])

        return list(shapely.transform(shapely.force_2d(found), to_lonlat))
    except (RasterioError, AttributeError, KeyError, ValueError) as error:
        raise InitialFileError(
            f"The coordinate reference system of {path} is not understood: {error}. Write the geometries in "
            "longitude and latitude (EPSG:4326)."
        ) from error
