"""The eight symmetries of the square, and what they do to a tile and to what is said of it."""

from typing import Final

import numpy as np

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.problems import LOCATIONS


def turn(grid: np.ndarray, symmetry: int) -> np.ndarray:
    """Apply one of the eight symmetries of the square (0 to 7, 0 changes nothing) to the last two axes."""
    turned = np.rot90(grid, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def _location_after(symmetry: int) -> dict[str, str]:
    turned = turn(np.asarray(LOCATIONS, dtype=object), symmetry)
    return {turned[r, c]: LOCATIONS[r][c] for r in range(3) for c in range(3)}


_LOCATION_AFTER: Final = tuple(_location_after(symmetry) for symmetry in range(8))


def location_after(location: str, symmetry: int) -> str:
    """Where a location ends up when the image is turned by a symmetry; an absent one stays absent."""
    return _LOCATION_AFTER[symmetry].get(location, location)


def as_seen_unturned(schema: AnnotationSchema, clause: str, distribution: np.ndarray, symmetry: int) -> np.ndarray:
    """Distribution float [N, V] over a clause's values, read off tiles turned by `symmetry`, for the unturned tiles."""
    if schema.clause(clause).kind != "location":
        return distribution
    index = schema.value_index[clause]
    return distribution[:, [index[location_after(value, symmetry)] for value in schema.vocabulary[clause]]]
