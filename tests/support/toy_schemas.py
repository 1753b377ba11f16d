"""Annotation schemas from outside the package: two clauses of simulated scenes, and a single clause of ten values."""

from pathlib import Path

import yaml

LEVEL = {"level": 1, "word": "scene", "title": "the scene", "instruction": "Say what you see."}
LANDSCAPE = {
    "name": "landscape",
    "levels": [LEVEL],
    "clauses": [
        {
            "name": "terrain",
            "level": 1,
            "group": "land",
            "values": ["plain", "hills", "mountain", "coast", "open_water"],
            "templates": ["The terrain is {v}.", "It is {v}."],
            "phrases": {"open_water": "open water"},
            "accuracy": 0.8,
            "rarity": True,
        },
        {
            "name": "water",
            "level": 1,
            "group": "water",
            "values": ["none", "channel", "lake", "sea"],
            "absence": "none",
            "templates": ["There is water: {v}.", "The water is {v}."],
            "absence_sentences": ["There is no water.", "Water is absent."],
            "accuracy": 0.9,
        },
    ],
    "rules": [
        {
            "name": "coast_has_water",
            "cases": [
                {
                    "all_of": {"terrain": ["coast", "open_water"], "water": ["none"]},
                    "message": "A {terrain} has water.",
                }
            ],
        }
    ],
}
"""Two clauses, a rule, and no targets."""

VEHICLES = {
    "name": "vehicles",
    "levels": [{**LEVEL, "instruction": "Say which vehicle it is."}],
    "clauses": [
        {
            "name": "vehicle",
            "level": 1,
            "group": "vehicle",
            "values": ["howitzer", "bmp2", "brdm2", "btr60", "carrier", "d7", "t62", "zil131", "zsu234", "slicy"],
            "templates": ["The vehicle is a {v}.", "This is a {v}."],
            "accuracy": 0.9,
        }
    ],
}
"""A single clause of ten values, as of a data set of target chips."""


def write_schema_file(path: Path, content: dict) -> Path:
    """The schema as a user's YAML file."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
