"""Annotations as rows of the annotation table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpus.annotations import ANNOTATION_SCHEMA
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.text.render import render_clause


def annotation_rows(
    matrix: AnnotationMatrix, previous: pa.Table, round_: int, weights_sha256: Sequence[str], prompt_hash: str
) -> pa.Table:
    """Make rows of the annotation table. A clause keeps its text as long as it keeps its value.

    Args:
        matrix: the annotations of N tiles.
        previous: rows with tile_id, clause, value and text: the version before, or the initial annotations.
        round_: number of the round that the rows are of; 0 for the initial annotations.
        weights_sha256: N hashes, of the model that labelled each tile.
        prompt_hash: Version of the captioner's prompts, see `prompt_sha256`.
    """
    texts = {
        (tile_id, clause): (value, text)
        for tile_id, clause, value, text in zip(
            *(previous[name].to_pylist() for name in ("tile_id", "clause", "value", "text")), strict=True
        )
    }
    schema = matrix.schema
    columns: dict[str, list] = {name: [] for name in ("tile_id", "clause", "value", "text", "level", "source")}
    for row, tile_id in enumerate(matrix.tile_ids):
        for column, (clause, words) in enumerate(schema.vocabulary.items()):
            value = words[matrix.values[row, column]]
            old_value, text = texts[tile_id, clause]
            if old_value != value:
                text = render_clause(schema, clause, value, variant=derive_seed(tile_id, clause, "wording") % 1000)
            for name, entry in zip(
                columns, (tile_id, clause, value, text, schema.level[clause], matrix.source[row, column]), strict=True
            ):
                columns[name].append(entry)
    count = len(columns["tile_id"])
    arrays = {name: pa.array(entries, ANNOTATION_SCHEMA.field(name).type) for name, entries in columns.items()}
    return pa.table(
        {
            **arrays,
            "confidence": pa.array(matrix.confidence.reshape(-1), pa.float32()),
            "round": pa.array([round_] * count, pa.int32()),
            "weights_sha256": pa.array(np.repeat(np.asarray(weights_sha256, object), len(schema)), pa.string()),
            "prompt_sha256": pa.array([prompt_hash] * count),
        },
        schema=ANNOTATION_SCHEMA,
    )
