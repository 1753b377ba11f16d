"""The eight symmetries of the square, and what they do to a tile and to what is said of it."""

from typing import Final

import numpy as np

from hcot_llm.aggregation.feedback import VALUE_INDEX
from hcot_llm.schema.clauses import VOCABULARY, Clause

_GRID: Final = (("northwest", "north", "northeast"), ("west", "center", "east"), ("southwest", "south", "southeast"))


def turn(grid: np.ndarray, symmetry: int) -> np.ndarray:
    """Apply one of the eight symmetries of the square (0 to 7, 0 changes nothing) to the last two axes."""
    turned = np.rot90(grid, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def _location_after(symmetry: int) -> dict[str, str]:
    turned = turn(np.asarray(_GRID, dtype=object), symmetry)
    moved = {turned[r, c]: _GRID[r][c] for r in range(3) for c in range(3)}
    return {"none": "none", **moved}


LOCATION_AFTER: Final = tuple(_location_after(symmetry) for symmetry in range(8))
"""Where each location ends up when the image is turned by a symmetry."""


def as_seen_unturned(clause: Clause, distribution: np.ndarray, symmetry: int) -> np.ndarray:
    """Distribution float [N, V] over a clause's values, read off tiles turned by `symmetry`, as of the unturned tiles."""
    if clause is not Clause.TARGET_LOCATION:
        return distribution
    after = LOCATION_AFTER[symmetry]
    return distribution[:, [VALUE_INDEX[clause][after[value]] for value in VOCABULARY[clause]]]
