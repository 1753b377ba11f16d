"""What every label source said in a round, and what was decided: a Parquet file of the round, kept for good.

A row is a clause of a tile. Tiles lie in blocks, as they were weighed. Probabilities are kept with the precision of a
16-bit number, which compresses to a few bytes each.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.storage.arrow import compute as pc
from corpus.storage.parquet import read_parquet
from corpus.storage.state_files import RecordError
from corpus.storage.writer import Writer
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.schema.annotation_schema import AnnotationSchema

DISTRIBUTIONS = ("encoder", "captioner", "neighbours", "alone", "posterior")
"""Columns with a probability for each value. alone: all sources but the rules; posterior: with the rules."""
SOMETIMES = ("statistics",)
"""Columns of label sources that not every run has."""
_FLAGS = ("flagged", "queried", "accepted", "rejected")
_GAINS = ("itc_gain", "itm_gain")
_METADATA = b"knowlip"


@dataclass(frozen=True)
class Weights:
    """How far each model was believed.

    Attributes:
        models: their names.
        source_weights: clause -> source weight of each model.
        joint_inverse_temperature: of all models together.
        ways: how an annotation can be wrong as a whole.
    """

    models: tuple[str, ...]
    source_weights: Mapping[str, list[float]]
    joint_inverse_temperature: float
    ways: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """Of N tiles and the C clauses of a schema, in one round.

    Attributes:
        schema: of the clauses.
        tile_ids: N, sorted.
        distributions: name of DISTRIBUTIONS, or of SOMETIMES -> clause -> float [N, V]; rows of NaN where a source was
            not asked.
        flags: flagged, queried, accepted, rejected -> bool [N, C].
        proposed: int [N, C, K], the captioner's answers, as value indices; NOT_PROPOSED where there is none.
        gains: itc_gain, itm_gain -> float [N, C], what the caption gains without the clause.
        wholly_wrong: float [N, W], probability of each way to be wrong as a whole.
        weights: how far each model was believed.
        decided: int [N, C], value indices of what people had decided; negative where they had not.
    """

    schema: AnnotationSchema
    tile_ids: tuple[str, ...]
    distributions: Mapping[str, Mapping[str, np.ndarray]]
    flags: Mapping[str, np.ndarray]
    proposed: np.ndarray
    gains: Mapping[str, np.ndarray]
    wholly_wrong: np.ndarray
    weights: Weights
    decided: np.ndarray

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Tile id -> row."""
        return {tile_id: row for row, tile_id in enumerate(self.tile_ids)}


def write_evidence(path: Path, blocks: Iterable[pa.Table], writer: Writer) -> None:
    """Write what `read_evidence` reads, in one step; errors as of `Writer.place`.

    Args:
        path: of the file.
        blocks: `evidence_table` of the first tiles, then of the next. One of them is in memory at a time.
        writer: of the run directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.remove_unfinished(path.parent)
    with writer.place(path, "what the label sources said") as partial, ExitStack() as opened:
        file = None
        for table in blocks:
            if file is None:
                file = opened.enter_context(pq.ParquetWriter(partial, table.schema, compression="zstd"))
            file.write_table(table)


def evidence_table(evidence: Evidence) -> pa.Table:
    """The rows of some tiles: all tiles of the first clause, then of the next."""
    schema, tiles = evidence.schema, len(evidence.tile_ids)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "tile_id": pa.array(list(evidence.tile_ids) * len(schema), pa.string()),
        "clause": pa.array(np.repeat(np.asarray(schema.names, dtype=object), tiles), pa.string()),
    }
    for name in evidence.distributions:
        columns[name] = pa.chunked_array([_lists(evidence.distributions[name][clause]) for clause in schema.names])
    by_clause = evidence.proposed.transpose(1, 0, 2).reshape(tiles * len(schema), -1)
    kept = by_clause != NOT_PROPOSED
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    columns["proposed"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(by_clause[kept].astype(np.int16)))
    columns |= {name: pa.array(evidence.flags[name].T.reshape(-1)) for name in _FLAGS}
    columns |= {name: pa.array(_rounded(evidence.gains[name]).T.reshape(-1)) for name in _GAINS}
    columns["wholly_wrong"] = pa.chunked_array([_lists(evidence.wholly_wrong)] * len(schema))
    decided = evidence.decided.T.reshape(-1).astype(np.int16)
    columns["decided"] = pa.array(decided, mask=decided < 0)
    weights = evidence.weights
    said = {
        "schema_sha256": schema.digest,
        "models": weights.models,
        "source_weights": dict(weights.source_weights),
        "joint_inverse_temperature": weights.joint_inverse_temperature,
        "ways": weights.ways,
        "candidates": evidence.proposed.shape[2],
    }
    return pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(said).encode()})


def read_evidence(path: Path, schema: AnnotationSchema, tile_ids: Sequence[str] | None = None) -> Evidence | None:
    """Read what `write_evidence` wrote; None where there is no file, as of a run of an earlier version.

    Args:
        path: of the file.
        schema: of the run.
        tile_ids: The tiles to read; None: all.

    Raises:
        ParquetError: the file is damaged.
        RecordError: it is of another schema.
    """
    if not path.exists():
        return None
    some = None if tile_ids is None else pc.field("tile_id").isin(list(tile_ids))
    table = read_parquet(path, filters=some)
    said = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    if said.get("schema_sha256") != schema.digest:
        raise RecordError(
            f"{path} is not of the annotation schema {schema.label}. It was written by another run, or changed; "
            "restore it from a copy, or remove it: then only values and confidences of that round can be told."
        )
    parts = [_read_block(block, schema, said) for block in _blocks(table, schema)]
    first = parts[0]
    return Evidence(
        schema,
        tuple(tile_id for part in parts for tile_id in part.tile_ids),
        {
            name: {clause: np.concatenate([part.distributions[name][clause] for part in parts]) for clause in of_first}
            for name, of_first in first.distributions.items()
        },
        {name: np.concatenate([part.flags[name] for part in parts]) for name in first.flags},
        np.concatenate([part.proposed for part in parts]),
        {name: np.concatenate([part.gains[name] for part in parts]) for name in first.gains},
        np.concatenate([part.wholly_wrong for part in parts]),
        first.weights,
        np.concatenate([part.decided for part in parts]),
    )


def _blocks(table: pa.Table, schema: AnnotationSchema) -> list[pa.Table]:
    """The tables that were written one after the other: in each, clauses come in their order."""
    clause = pc.index_in(table["clause"], pa.array(schema.names, pa.string())).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(clause) < 0) + 1).tolist(), table.num_rows]
    return [table.slice(start, stop - start) for start, stop in itertools.pairwise(edges)]


def _read_block(table: pa.Table, schema: AnnotationSchema, said: Mapping[str, Any]) -> Evidence:
    """The inverse of `evidence_table`; said: what its metadata say."""
    tiles = table.num_rows // len(schema)
    shape = (len(schema), tiles)
    slices = {clause: table.slice(column * tiles, tiles) for clause, column in schema.column.items()}
    proposed = np.full((len(schema) * tiles, max(int(said["candidates"]), 1)), NOT_PROPOSED)
    answers = table["proposed"].combine_chunks()
    counts = pc.list_value_length(answers).to_numpy(zero_copy_only=False)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    proposed[np.repeat(np.arange(len(counts)), counts), place] = answers.flatten().to_numpy(zero_copy_only=False)
    decided = pc.fill_null(table["decided"], -1).to_numpy()
    return Evidence(
        schema,
        tuple(table["tile_id"].slice(0, tiles).to_pylist()),
        {
            name: {clause: _array(part[name], len(schema.vocabulary[clause])) for clause, part in slices.items()}
            for name in (*DISTRIBUTIONS, *(each for each in SOMETIMES if each in table.column_names))
        },
        {name: table[name].to_numpy().reshape(shape).T for name in _FLAGS},
        proposed.reshape(len(schema), tiles, -1).transpose(1, 0, 2),
        {name: table[name].to_numpy().reshape(shape).T for name in _GAINS},
        _array(table["wholly_wrong"].slice(0, tiles), len(said["ways"])),
        Weights(tuple(said["models"]), said["source_weights"], said["joint_inverse_temperature"], tuple(said["ways"])),
        decided.reshape(shape).T,
    )


def _rounded(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float16).astype(np.float32)


def _lists(array: np.ndarray) -> pa.Array:
    """Rows of float [N, V] as lists; null where a row is NaN."""
    missing = np.isnan(array).any(axis=1)
    sizes = np.where(missing, 0, array.shape[1])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(_rounded(array[~missing]).reshape(-1)), mask=pa.array(missing)
    )


def _array(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """The inverse of `_lists`, float64 [N, V]."""
    lists = column.combine_chunks()
    array = np.full((len(lists), width), np.nan)
    array[lists.is_valid().to_numpy(zero_copy_only=False)] = (
        lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    )
    return array
