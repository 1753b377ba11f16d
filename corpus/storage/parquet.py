"""Reading Parquet that someone else may have written: plain columns only."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.storage.errors import InputError


class ParquetError(InputError):
    """A Parquet file that cannot be read safely; the message says which, why and what to do."""


def read_parquet(path: str | Path, schema: pa.Schema | None = None, filters: pc.Expression | None = None) -> pa.Table:
    """Return the table in one Parquet file.

    Args:
        path: The file.
        schema: The columns to read, as `pyarrow.parquet.read_table` takes it.
        filters: Which rows to read; None: all.

    Raises:
        ParquetError: The file is no Parquet, or has a column of an extension type. Ray Data registers one whose cells
        are
            pickles that are loaded when they are looked at, so such a file would run whatever it holds.
    """
    try:
        found = pq.read_schema(path)
        extended = [field.name for field in found if _extended(field.type)]
        if not extended:
            return pq.read_table(path, schema=schema, filters=filters)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ParquetError(f"{path} cannot be read as Parquet: {error}. Make it again, or get another copy.") from error
    raise ParquetError(
        f"{path} has columns of an extension type ({', '.join(extended)}), which could run code when "
        "read. Do not use the file; make it again."
    )


def _extended(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return True
    if pa.types.is_dictionary(kind):
        return _extended(kind.value_type)
    return any(_extended(kind.field(index).type) for index in range(kind.num_fields))
