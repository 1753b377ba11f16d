"""GeoParquet as geopandas and GDAL write it: geometries as WKB, and their reference system in the file's metadata."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely


def write_geoparquet(path: Path, columns: Mapping[str, Any], grounds: Sequence[Any], **about: Any) -> Path:
    """Write columns and geometries; `about` are more metadata of the geometries, such as `crs`."""
    about = {"encoding": "WKB", "geometry_types": [], **about}
    meta = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    geometries = pa.array([shapely.to_wkb(each) for each in grounds], pa.binary())
    table = pa.table({**columns, "geometry": geometries})
    pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(meta).encode()}), path)
    return path
