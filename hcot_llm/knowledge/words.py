"""The closed vocabulary of the one-line geographic knowledge that the native captioner reads."""

from typing import Final

# MODIS IGBP classes 0..16 and the one word each becomes in the line. 255 is the product's fill value.
IGBP_CLASSES: Final[dict[int, str]] = {
    0: "water bodies",
    1: "evergreen needleleaf forest",
    2: "evergreen broadleaf forest",
    3: "deciduous needleleaf forest",
    4: "deciduous broadleaf forest",
    5: "mixed forest",
    6: "closed shrubland",
    7: "open shrubland",
    8: "woody savanna",
    9: "savanna",
    10: "grassland",
    11: "permanent wetland",
    12: "cropland",
    13: "urban and built-up land",
    14: "cropland and natural vegetation mosaic",
    15: "permanent snow and ice",
    16: "barren land",
}
COVER_WORD: Final[dict[int, str]] = {
    0: "water",
    **dict.fromkeys(range(1, 6), "forest"),
    6: "shrub",
    7: "shrub",
    8: "savanna",
    9: "savanna",
    10: "grass",
    11: "wetland",
    12: "cropland",
    13: "urban",
    14: "mosaic",
    15: "ice",
    16: "barren",
}
# Distance to the coast in km: up to the bound, the word.
COAST_WORDS: Final[tuple[tuple[float, str], ...]] = (
    (2.0, "shore"),
    (10.0, "near"),
    (50.0, "far"),
    (float("inf"), "inland"),
)
# First letter of the Koppen zone.
CLIMATE_WORD: Final[dict[str, str]] = {
    "A": "tropical",
    "B": "dry",
    "C": "temperate",
    "D": "cold",
    "E": "polar",
    "O": "marine",
}

KNOWLEDGE_WORDS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(["land", "sea", *(word for _, word in COAST_WORDS), *COVER_WORD.values(), *CLIMATE_WORD.values()])
)
