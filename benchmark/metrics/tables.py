"""Joining annotations (one row per tile and clause) with the truth (one row per tile, one column per clause)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.storage.arrow import compute as pc


@dataclass(frozen=True)
class Joined:
    """Parallel arrays, one entry per annotated (tile, clause) that has a truth."""

    tile_id: np.ndarray
    clause: np.ndarray
    value: np.ndarray
    truth: np.ndarray
    confidence: np.ndarray | None
    """float64 in [0, 1], or None where the annotations have no such column."""

    @property
    def correct(self) -> np.ndarray:
        """Bool [n]."""
        return self.value == self.truth

    def stated(self, absence: Mapping[str, str]) -> np.ndarray:
        """Bool [n]: the truth is not its clause's absence value, which states nothing and is easy to guess.

        Args:
            absence: clause -> absence value; a clause that is not named has none.
        """
        unstated = [(self.clause == clause) & (self.truth == value) for clause, value in absence.items()]
        return ~np.logical_or.reduce([np.zeros(len(self.truth), bool), *unstated])

    @property
    def clauses(self) -> list[str]:
        """The clauses that occur, in alphabetical order."""
        return sorted(pc.unique(pa.array(self.clause, pa.string())).to_pylist())


def join_truth(annotations: pa.Table, truth: pa.Table) -> Joined:
    """Pair every annotation with its true value, ordered by (tile_id, clause).

    Args:
        annotations: Columns tile_id, clause, value, optionally confidence.
        truth: tile_id and one column per clause. Other columns and tiles without annotations are ignored.

    Raises:
        ValueError: The tile or clause of an annotation has no truth, a (tile_id, clause) is repeated, or nothing is
            annotated.
    """
    needed = {"tile_id", "clause", "value"} - set(annotations.column_names)
    if needed or "tile_id" not in truth.column_names:
        raise ValueError(
            "Annotations need the columns tile_id, clause and value, the truth needs tile_id; missing: "
            f"{', '.join(sorted(needed)) or 'tile_id of the truth'}."
        )
    if annotations.num_rows == 0:
        raise ValueError("There are no annotations to compare with the truth.")
    tile_id, clause, value = (_strings(annotations[name]) for name in ("tile_id", "clause", "value"))
    truth_tiles = truth["tile_id"].combine_chunks().cast(pa.string())
    if pc.count_distinct(truth_tiles).as_py() != len(truth_tiles):
        raise ValueError("The truth has a tile more than once.")
    row = pc.index_in(annotations["tile_id"].cast(pa.string()), truth_tiles)
    if row.null_count:
        unknown = tile_id[np.flatnonzero(row.is_null().to_numpy())[0]]
        raise ValueError(
            f"{row.null_count} annotations are of tiles without a truth, such as {unknown}. The truth and "
            "the annotations are of different corpora; or select the tiles first."
        )
    row = row.to_numpy()
    true_value = np.empty(len(value), object)
    names = sorted(pc.unique(annotations["clause"].cast(pa.string())).to_pylist())
    for name in names:
        if name not in truth.column_names:
            raise ValueError(f"The truth has no column for clause {name}.")
        here = clause == name
        true_value[here] = _strings(truth[name])[row[here]]
    # Integers sort a hundred times faster than strings: each tile's and clause's place in the alphabet.
    rank = np.empty(len(truth_tiles), np.int64)
    rank[pc.sort_indices(truth_tiles).to_numpy()] = np.arange(len(truth_tiles))
    key = rank[row] * len(names) + pc.index_in(pa.array(clause, pa.string()), pa.array(names, pa.string())).to_numpy()
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) == 0).any():
        raise ValueError("A (tile_id, clause) is annotated more than once; keep one row for each.")
    confidence = None
    if "confidence" in annotations.column_names:
        confidence = annotations["confidence"].to_numpy().astype(np.float64)[order]
    return Joined(tile_id[order], clause[order], value[order], true_value[order], confidence)


def _strings(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.string()).to_numpy()
