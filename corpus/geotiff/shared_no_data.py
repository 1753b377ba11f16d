"""Values that stand for none in the bands of one file: what one band tells counts in all, at the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from corpus.geotiff.measure import Patch, find_no_data

_SAME: Final = 0.9


def find_no_data_of_bands(patches: Mapping[int, Sequence[Patch]]) -> dict[int, dict[float, str]]:
    """Band -> value -> why it stands for none though the file does not say so.

    Args:
        patches: of each band, at the same places.
    """
    alone = {band: find_no_data(of_band)[0] for band, of_band in patches.items()}
    found = {band: dict(values) for band, values in alone.items()}
    for band, values in alone.items():
        for other in patches:
            for value in values:
                if value not in found[other] and _same_place(value, patches[band], patches[other]):
                    found[other][value] = f"{value:g} lies where it is no value of band {band}"
    return found


def _same_place(value: float, one: Sequence[Patch], other: Sequence[Patch]) -> bool:
    both = of_one = of_other = 0
    for first, second in zip(one, other, strict=False):
        if first.values.shape == second.values.shape:
            here, there = (patch.valid & (patch.values == value) for patch in (first, second))
            both += int(np.count_nonzero(here & there))
            of_one += int(np.count_nonzero(here))
            of_other += int(np.count_nonzero(there))
    return both > 0 and both >= _SAME * max(of_one, of_other)
