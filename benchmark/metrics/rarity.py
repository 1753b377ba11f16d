"""Which tiles show a rare landform, so that a repair that only serves the frequent ones is seen as such."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import pyarrow as pa

LARGEST_SHARE = 0.15
"""Of the tiles, that the rare values of one clause hold together at most."""


def rare_values(values: Sequence[str], largest_share: float = LARGEST_SHARE) -> set[str]:
    """The least frequent values, from the rarest up, that together hold at most `largest_share` of `values`.

    Of values that are equally frequent the first in the alphabet counts as rarer.
    """
    rare, held = set(), 0
    for value, count in sorted(Counter(values).items(), key=lambda item: (item[1], item[0])):
        held += count
        if held > largest_share * len(values):
            break
        rare.add(value)
    return rare


def rare_tiles(truth: pa.Table, clauses: Sequence[str], tile_ids: Collection[str]) -> set[str]:
    """Those of `tile_ids` whose true value of one of the clauses is rare among them; empty where no value is rare.

    Args:
        truth: tile_id and one column per clause.
        clauses: whose values are looked at.
        tile_ids: tiles with a row of `truth`.
    """
    wanted = set(tile_ids)
    rows = [row for row in truth.select(["tile_id", *clauses]).to_pylist() if row["tile_id"] in wanted]
    rare = {clause: rare_values([row[clause] for row in rows]) for clause in clauses}
    return {row["tile_id"] for row in rows if any(row[clause] in rare[clause] for clause in clauses)}
