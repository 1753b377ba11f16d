"""Annotations as rows of the annotation table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from corpus.annotation_blocks import AnnotationBlocks
from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.annotations import AnnotationStore
from corpus.digest import DIGEST_COLUMNS, AnnotationDigest
from corpus.storage.arrow import compute as pc
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.matrix import AnnotationMatrix, joined, matrix_from_table, part_of
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_clause

COLUMNS_BEFORE = ("tile_id", "clause", "value", "text")
"""What `annotation_rows` reads of the version before."""
TILES_AT_ONCE = 1024
"""Tiles whose rows are made, written or read together: some megabytes."""
COLUMNS_SEEN = (*DIGEST_COLUMNS, "confidence")
"""What a round reads of the annotations; the others say how they came about."""


def annotation_rows(
    matrix: AnnotationMatrix, previous: pa.Table, round_: int, weights_sha256: Sequence[str], prompt_hash: str
) -> pa.Table:
    """Make rows of the annotation table. A clause keeps its text as long as it keeps its value.

    Args:
        matrix: the annotations of N tiles.
        previous: rows with COLUMNS_BEFORE: the version before, or the initial annotations.
        round_: number of the round that the rows are of; 0 for the initial annotations.
        weights_sha256: N hashes, of the model that labelled each tile.
        prompt_hash: Version of the captioner's prompts, see `prompt_sha256`.
    """
    schema, tiles, clauses = matrix.schema, len(matrix), len(matrix.schema)
    value, keys = matrix.words, matrix.keys
    before = previous.take(pa.array(_places(matrix, previous)))
    text = before["text"].combine_chunks().cast(pa.string())
    changed = np.flatnonzero(~pc.equal(before["value"], value).to_numpy())
    if len(changed):
        new = [
            render_clause(schema, clause, word, variant=derive_seed(tile_id, clause, "wording") % 1000)
            for tile_id, clause, word in zip(
                *(each.take(pa.array(changed)).to_pylist() for each in (keys["tile_id"], keys["clause"], value)),
                strict=True,
            )
        ]
        mask = np.zeros(len(text), bool)
        mask[changed] = True
        text = pc.replace_with_mask(text, mask, pa.array(new, pa.string()))
    return pa.table(
        {
            **keys,
            "value": value,
            "text": text,
            "level": pa.array(np.tile([schema.level[clause] for clause in schema.names], tiles), pa.int8()),
            "source": pa.array(matrix.source.reshape(-1), pa.string()),
            "confidence": pa.array(matrix.confidence.reshape(-1), pa.float32()),
            "round": pa.array(np.full(len(text), round_), pa.int32()),
            "weights_sha256": pa.array(weights_sha256, pa.string()).take(
                pa.array(np.repeat(np.arange(tiles), clauses))
            ),
            "prompt_sha256": pa.array(np.full(len(text), prompt_hash, object), pa.string()),
        },
        schema=ANNOTATION_SCHEMA,
    )


def rows_of_round(
    store: AnnotationStore,
    before: int,
    matrix: AnnotationMatrix,
    round_: int,
    weights_sha256: Sequence[str],
    prompt_hash: str,
) -> AnnotationBlocks:
    """Rows that follow on a version of the table, those of some tiles at a time; arguments as of `annotation_rows`.

    Args:
        store: the table.
        before: the version that the texts are taken from.
        matrix: the annotations of N tiles, those of that version.
        round_: number of the round.
        weights_sha256: N hashes.
        prompt_hash: Version of the captioner's prompts.
    """

    def tables() -> Iterator[pa.Table]:
        previous = store.batches(before, matrix.tile_ids, TILES_AT_ONCE, COLUMNS_BEFORE)
        for start, texts in zip(range(0, len(matrix), TILES_AT_ONCE), previous, strict=True):
            rows = slice(start, start + TILES_AT_ONCE)
            yield annotation_rows(part_of(matrix, rows), texts, round_, weights_sha256[rows], prompt_hash)

    return AnnotationBlocks(tables(), matrix.values.size)


def read_annotations(
    store: AnnotationStore, version: int, schema: AnnotationSchema, tile_ids: tuple[str, ...]
) -> tuple[AnnotationMatrix, str]:
    """The annotations of a version and the hash of their content, read some tiles at a time.

    Args:
        store: the table.
        version: of it.
        schema: of the annotations.
        tile_ids: all tiles of that version, sorted.
    """
    digest, parts = AnnotationDigest(), []
    for table in store.batches(version, tile_ids, TILES_AT_ONCE, COLUMNS_SEEN):
        digest.add(table)
        parts.append(matrix_from_table(schema, table))
    # Every matrix of a run has the same ids: they are kept once.
    return replace(joined(parts), tile_ids=tile_ids), digest.hexdigest()


def _places(matrix: AnnotationMatrix, previous: pa.Table) -> np.ndarray:
    """Rows of `previous` in the order of the matrix's words, int64 [N * C]; of rows about one clause the last.

    Raises:
        KeyError: `previous` says nothing of a clause of a tile.
    """
    clauses = len(matrix.schema)
    tile = pc.index_in(previous["tile_id"], pa.array(matrix.tile_ids, pa.string()))
    clause = pc.index_in(previous["clause"], pa.array(matrix.schema.names, pa.string()))
    tile, clause = (pc.fill_null(each, -1).to_numpy() for each in (tile, clause))
    rows = np.flatnonzero((tile >= 0) & (clause >= 0))
    places = np.full(len(matrix) * clauses, -1, np.int64)
    places[tile[rows] * clauses + clause[rows]] = rows
    for missing in np.flatnonzero(places < 0)[:1]:
        raise KeyError((matrix.tile_ids[missing // clauses], matrix.schema.names[missing % clauses]))
    return places
