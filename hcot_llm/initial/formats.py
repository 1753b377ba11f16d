"""Which formats of initial annotations there are, by the ending of a file's name.

A reader turns a file into `Rows` and says nothing of what the columns mean (`statements.py`), so every format may have
every shape. A plugin adds one with `READERS.add(".xlsx", read)`.
"""

from collections.abc import Callable
from pathlib import Path

from corpus.registry import Registry
from hcot_llm.initial.rows import InitialFileError, Rows
from hcot_llm.initial.stac import read_features
from hcot_llm.initial.tabular import read_csv, read_parquet_rows

READERS: Registry[Callable[[Path], Rows]] = Registry("format of initial annotations")
"""What reads a file; a folder is read as '.json'."""


def read_rows(path: Path) -> Rows:
    """Read a file of annotations.

    Raises:
        InitialFileError: it is not there, is of no known format, or is damaged as a whole.
    """
    if not path.exists():
        raise InitialFileError(
            f"corpus.initial names {path}, which does not exist. Name a file of one of: {', '.join(READERS)}."
        )
    ending = ".json" if path.is_dir() else path.suffix.lower()
    if ending not in READERS:
        raise InitialFileError(
            f"corpus.initial names {path}, and the format of a file is told by the ending of its name. It is one of: "
            f"{', '.join(READERS)}."
        )
    found = READERS[ending](path)
    if not found.rows:
        raise InitialFileError(f"{path} holds no row of initial annotations. Name the file that does.")
    return found


for _ending in (".csv", ".tsv"):
    READERS.add(_ending, read_csv)
for _ending in (".parquet", ".geoparquet"):
    READERS.add(_ending, read_parquet_rows)
for _ending in (".json", ".geojson"):
    READERS.add(_ending, read_features)
