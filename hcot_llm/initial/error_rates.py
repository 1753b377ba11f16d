"""How often annotators are right, and what they say when wrong: the one table behind simulated seed noise.

Accuracies follow SAR-KnowLIP's expert check: landform clauses 79 to 90 %, ships 74 to 89 %, aircraft 65 to
81 %. For tiles without targets the paper gives no figure; theirs is set so that all clauses together come to
about 0.80.
"""

from typing import Final

from hcot_llm.schema.clauses import ABSENT, TARGET_CLAUSES, VOCABULARY, Clause

LANDFORM_ACCURACY: Final[dict[Clause, float]] = {
    Clause.TERRAIN: 0.86,
    Clause.FUNCTIONALITY: 0.79,
    Clause.DISTRIBUTION: 0.79,
    Clause.LAYOUT: 0.83,
    Clause.BOUNDARY: 0.79,
    Clause.BUILDING: 0.84,
    Clause.ROAD: 0.83,
    Clause.WATER: 0.90,
}
# Clauses of a tile with ships, with aircraft, without targets.
TARGET_ACCURACY: Final[dict[str, dict[Clause, float]]] = {
    category: dict(zip(TARGET_CLAUSES, accuracies, strict=True))
    for category, accuracies in {
        #          count location feature size category distribution region environment
        "ship": (0.76, 0.79, 0.80, 0.74, 0.89, 0.77, 0.85, 0.83),
        "aircraft": (0.67, 0.69, 0.72, 0.65, 0.81, 0.69, 0.79, 0.76),
        ABSENT: (0.78, 0.78, 0.78, 0.77, 0.79, 0.77, 0.77, 0.77),
    }.items()
}
# Assumed shares of such tiles, for the expected accuracy of a clause whose target category nobody knows.
CATEGORY_SHARE: Final[dict[str, float]] = {"ship": 0.30, "aircraft": 0.15, ABSENT: 0.55}

# Clause -> true value -> what is said instead, with relative weights; a value that is not listed gets RARE.
RARE: Final = 0.15
_CONFUSIONS: Final[dict[Clause, dict[str, str]]] = {
    Clause.TERRAIN: {
        "plain": "hills 6 coast 2",
        "hills": "plain 5 mountain 4",
        "mountain": "hills 8 plain 1",
        "coast": "open_water 4 plain 4",
        "open_water": "coast 6 plain 1",
    },
    Clause.FUNCTIONALITY: {
        "residential": "mixed_urban 6 commercial_core 2 industrial 1",
        "commercial_core": "mixed_urban 5 residential 4",
        "industrial": "mixed_urban 3 port 3 commercial_core 2 residential 1",
        "port": "industrial 6 mixed_urban 2 open_water 1",
        "airport": "industrial 4 natural 3 cropland 2",
        "cropland": "natural 6 residential 1 airport 1",
        "natural": "cropland 6 residential 1",
        "mixed_urban": "residential 5 commercial_core 3 industrial 2",
        "open_water": "natural 4 port 2",
    },
    Clause.DISTRIBUTION: {
        ABSENT: "scattered 5 peripheral 2",
        "uniform": "central 3 scattered 3",
        "central": "uniform 3 scattered 3 linear 1",
        "peripheral": "scattered 4 linear 2",
        "scattered": "peripheral 3 uniform 2 none 2",
        "linear": "peripheral 3 scattered 3",
    },
    Clause.LAYOUT: {ABSENT: "irregular 4 regular 1", "regular": "irregular 5 none 1", "irregular": "regular 3 none 3"},
    Clause.BOUNDARY: {ABSENT: "gradual 4 sharp 2", "sharp": "gradual 5 none 2", "gradual": "sharp 4 none 4"},
    Clause.BUILDING: {
        ABSENT: "sparse 8 medium 1",
        "sparse": "none 4 medium 4",
        "medium": "dense 5 sparse 4",
        "dense": "medium 8 sparse 1",
    },
    Clause.ROAD: {
        ABSENT: "sparse 7 highway 1",
        "sparse": "none 5 grid 3 highway 2",
        "grid": "sparse 5 highway 2",
        "highway": "sparse 4 grid 4",
    },
    Clause.WATER: {
        ABSENT: "channel 4 lake 3",
        "channel": "none 5 lake 3",
        "lake": "sea 3 channel 3 none 3",
        "sea": "lake 6 none 2",
    },
    Clause.TARGET_FEATURE: {
        ABSENT: "point 5 extended 2",
        "point": "extended 5 none 2",
        "extended": "point 4 sidelobes 3",
        "sidelobes": "extended 6 point 1",
    },
    Clause.TARGET_SIZE: {
        ABSENT: "small 5 medium 2",
        "small": "medium 6 none 2",
        "medium": "small 4 large 4",
        "large": "medium 7 small 1",
    },
    Clause.TARGET_CATEGORY: {ABSENT: "ship 5 aircraft 3", "ship": "none 8 aircraft 1", "aircraft": "none 6 ship 2"},
    Clause.TARGET_DISTRIBUTION: {
        ABSENT: "single 6 scattered 2",
        "single": "cluster 3 none 4",
        "line": "cluster 4 scattered 3",
        "cluster": "scattered 4 line 3 single 2",
        "scattered": "cluster 5 line 2",
    },
    Clause.TARGET_REGION: {
        ABSENT: "sea 3 harbour 2 apron 2",
        "sea": "harbour 4 channel 1 lake 1 none 2",
        "harbour": "sea 5 channel 2 none 1",
        "channel": "harbour 3 lake 2 sea 2",
        "lake": "sea 4 channel 2",
        "apron": "runway 8 none 1",
        "runway": "apron 8 none 1",
    },
    Clause.TARGET_ENVIRONMENT: {
        ABSENT: "calm_water 4 pavement 2",
        "calm_water": "rough_water 6 none 1",
        "rough_water": "calm_water 6 none 1",
        "pavement": "none 4 calm_water 2",
    },
}
_GRID: Final = {
    name: (row, col)
    for row, names in enumerate(
        (("northwest", "north", "northeast"), ("west", "center", "east"), ("southwest", "south", "southeast"))
    )
    for col, name in enumerate(names)
}

# What a target that is not there looks like, with weights: the aspects of an invented annotation are drawn
# one by one.
INVENTED: Final[dict[str, dict[Clause, str]]] = {
    "ship": {
        Clause.TARGET_COUNT: "1 6 2 3 3 1",
        Clause.TARGET_FEATURE: "point 5 extended 2",
        Clause.TARGET_SIZE: "small 5 medium 3",
        Clause.TARGET_REGION: "sea 4 harbour 2 channel 1 lake 1",
        Clause.TARGET_ENVIRONMENT: "calm_water 4 rough_water 2",
    },
    "aircraft": {
        Clause.TARGET_COUNT: "1 4 2 3 3 2 4 1",
        Clause.TARGET_FEATURE: "point 4 extended 3",
        Clause.TARGET_SIZE: "small 3 medium 4",
        Clause.TARGET_REGION: "apron 6 runway 1",
        Clause.TARGET_ENVIRONMENT: "pavement 1",
    },
}


def weights(text: str) -> dict[str, float]:
    """ "a 2 b 1" as value -> weight."""
    words = text.split()
    return {value: float(weight) for value, weight in zip(words[::2], words[1::2], strict=True)}


def confusion(clause: Clause, value: str) -> dict[str, float]:
    """Probability of each wrong value when this is the true one; they add up to one."""
    listed = weights(_CONFUSIONS[clause].get(value, "")) if clause in _CONFUSIONS else {}
    other = {
        v: _distance_weight(clause, value, v) if clause not in _CONFUSIONS else listed.get(v, RARE)
        for v in VOCABULARY[clause]
        if v != value
    }
    total = sum(other.values())
    return {v: weight / total for v, weight in other.items()}


def _distance_weight(clause: Clause, value: str, other: str) -> float:
    """Counts are mostly off by one, locations by one cell of the grid."""
    if clause is Clause.TARGET_COUNT:
        gap = abs(int(value) - int(other))
        return 6.0 if gap == 1 else 2.0 if gap == 2 else RARE
    if ABSENT in (value, other):
        return 1.0
    (r, c), (r2, c2) = _GRID[value], _GRID[other]
    return 4.0 if max(abs(r - r2), abs(c - c2)) == 1 else RARE
