"""A sample of the clauses that a round has changed, each with all that was known of it, for a tracker to show."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.geotiff.read import read_backscatter
from corpus.geotiff.reasons import TileError
from corpus.storage.arrow import compute as pc
from corpus.tiles import CorpusError, tile_path
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.report.picture import jpeg
from orchestrator.report.reasons import Outcome, Saying, sayings_of, why
from orchestrator.state.evidence import Evidence
from orchestrator.tracking.base import Repair


def sample_repairs(
    evidence_of: Callable[[Sequence[str]], Evidence | None],
    first: AnnotationMatrix,
    before: AnnotationMatrix,
    after: AnnotationMatrix,
    tiles: pa.Table,
    corpus_dir: Path,
    *,
    count: int,
    seed: int,
) -> list[Repair]:
    """Draw clauses whose value a round has changed, each equally probable, and say of each who held what.

    Args:
        evidence_of: Reads the evidence of the round on some tiles; None where there is none.
        first: the annotations that the run began with. It and the next two are of the same N tiles and C clauses.
        before: the annotations before the round.
        after: the annotations after the round.
        tiles: of TILE_SCHEMA, with those tiles.
        corpus_dir: where the tiles lie.
        count: at most so many.
        seed: of the draw.

    Returns:
        The repairs, in the order of tiles and clauses.
    """
    changed = np.flatnonzero((before.values != after.values).ravel())  # int [repairs], row * C + column
    chosen = np.sort(np.random.default_rng(seed).choice(changed, min(count, len(changed)), replace=False))
    found, pictures = [], {}
    rows = np.unique(np.unravel_index(chosen, before.values.shape)[0])
    evidence = evidence_of([before.tile_ids[row] for row in rows]) if len(rows) else None
    if evidence is None:
        return []
    for row, column in zip(*np.unravel_index(chosen, before.values.shape), strict=True):
        tile_id, clause = before.tile_ids[row], before.schema.names[column]
        words = before.schema.vocabulary[clause]
        old, new = words[before.values[row, column]], words[after.values[row, column]]
        source, confidence = str(after.source[row, column]), float(after.confidence[row, column])
        if tile_id not in pictures:
            pictures[tile_id] = _picture(tiles, corpus_dir, tile_id)
        found.append(
            Repair(
                tile_id,
                clause,
                old,
                new,
                confidence,
                source,
                why(evidence, Outcome(tile_id, clause, old, new, source, confidence, split="")),
                {each.source: _plain(each) for each in sayings_of(evidence, first, after, tile_id, clause)},
                pictures[tile_id],
            )
        )
    return found


def _plain(saying: Saying) -> dict[str, str | float]:
    numbers = {"probability": saying.probability, "of_kept_value": saying.of_kept, "weight": saying.weight}
    known = {name: round(float(each), 4) for name, each in numbers.items() if each is not None and math.isfinite(each)}
    return {"value": saying.value, **known}


def _picture(tiles: pa.Table, corpus_dir: Path, tile_id: str) -> bytes | None:
    """The co-polarised band; None where the tile cannot be read, which the round has met and said before."""
    [path] = tiles.filter(pc.equal(tiles["tile_id"], tile_id))["path"].to_pylist()
    try:
        tile = read_backscatter(tile_path(corpus_dir, path))
    except (TileError, CorpusError, OSError):
        return None
    return jpeg(tile.array[tile.co_polarised])
