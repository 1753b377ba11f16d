"""Annotations on their way into a commit, some tiles at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from corpus.annotation_rows import ANNOTATION_SCHEMA, AnnotationError, canonical
from corpus.storage.ahead import ahead


@dataclass(frozen=True)
class AnnotationBlocks:
    """Annotations of which those of some tiles are in memory at a time.

    tables: with ANNOTATION_SCHEMA, each of further tiles, in ascending order of tile ids. rows: of all of them.
    """

    tables: Iterable[pa.Table]
    rows: int


class AnnotationStream:
    """Blocks of annotations as batches for deltalake, each checked and sorted as it is asked for.

    Attributes:
        clauses: in the order of their first appearance in the first block.
        rows: of all blocks, as was said.
        error: What ended the batches; deltalake hands on its text alone.
    """

    def __init__(self, blocks: AnnotationBlocks) -> None:
        self._tables = ahead(blocks.tables)
        self._first, self.clauses = canonical(next(self._tables, ANNOTATION_SCHEMA.empty_table()))
        self.rows = blocks.rows
        self.error: Exception | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches, in order; the first error ends them, and stays in `error`."""
        last, rows = "", 0
        try:
            for table in itertools.chain([self._first], (canonical(each, self.clauses)[0] for each in self._tables)):
                first = table["tile_id"][0].as_py()
                if rows and first <= last:
                    raise AnnotationError(f"Annotations of {first} come after those of {last}: sort them by tile.")
                last, rows = table["tile_id"][-1].as_py(), rows + table.num_rows
                yield from table.to_batches()
            if rows != self.rows:
                raise AnnotationError(f"{self.rows} annotations were to be committed, and {rows} came.")
        except Exception as error:
            self.error = error
            raise
