"""Annotations that contradict no rule, drawn at random without the code that infers them."""

import numpy as np

from hcot_llm.aggregation.consistency import contradictions
from support.hcot import ABSENT, CLAUSES, HCOT, NO_TARGETS, VOCABULARY

_PORT = dict(
    zip(
        CLAUSES,
        (
            "coast",
            "port",
            "peripheral",
            "regular",
            "sharp",
            "medium",
            "sparse",
            "sea",
            "3",
            "center",
            "extended",
            "medium",
            "ship",
            "cluster",
            "harbour",
            "calm_water",
        ),
        strict=True,
    )
)
_AIRPORT = _PORT | {
    "terrain": "plain",
    "functionality": "airport",
    "water": ABSENT,
    "target_category": "aircraft",
    "target_region": "apron",
    "target_environment": "pavement",
}
_TOWN = _PORT | NO_TARGETS | {"functionality": "residential"}
_WILD = _TOWN | {
    "terrain": "hills",
    "functionality": "natural",
    "water": "lake",
    **dict.fromkeys(("distribution", "layout", "building"), ABSENT),
}
STARTS = (_PORT, _AIRPORT, _TOWN, _WILD)


def consistent_annotations(tiles: int, seed: int, changes: int = 24) -> np.ndarray:
    """Value indices int [tiles, 16]: from one of a few starts, random changes that no rule forbids."""
    generator = np.random.default_rng(seed)
    rows = []
    for tile in range(tiles):
        values = dict(STARTS[tile % len(STARTS)])
        for _ in range(changes):
            clause = CLAUSES[int(generator.integers(len(CLAUSES)))]
            changed = values | {clause: VOCABULARY[clause][int(generator.integers(len(VOCABULARY[clause])))]}
            if not contradictions(HCOT, changed):
                values = changed
        rows.append([VOCABULARY[clause].index(values[clause]) for clause in CLAUSES])
    return np.asarray(rows)
