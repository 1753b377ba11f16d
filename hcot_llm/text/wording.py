"""How the values of each clause are said: one phrase per value, several sentences per clause.

Sentences are short and their words few: a caption joins sixteen of them, and the captioner's vocabulary
is small.
"""

from dataclasses import dataclass, field
from typing import Final

from hcot_llm.schema.clauses import ABSENT, CLAUSES, VOCABULARY, Clause


@dataclass(frozen=True)
class Wording:
    """Sentences of one clause. `{v}` stands for the phrase of the value; absent: for the value "none"."""

    templates: tuple[str, ...]
    phrases: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


WORDING: Final[dict[Clause, Wording]] = {
    Clause.TERRAIN: Wording(
        ("The terrain is {v}.", "The land form is {v}.", "The ground shows {v}.", "The terrain here is {v}."),
        {
            "plain": "flat plain",
            "hills": "rolling hills",
            "mountain": "steep mountain",
            "coast": "coast",
            "open_water": "open water",
        },
    ),
    Clause.FUNCTIONALITY: Wording(
        ("The area is used as {v}.", "The land use is {v}.", "The area serves as {v}.", "The main use is {v}."),
        {
            "residential": "residential area",
            "commercial_core": "commercial core",
            "industrial": "industrial area",
            "port": "port",
            "airport": "airport",
            "cropland": "cropland",
            "natural": "natural land",
            "mixed_urban": "mixed urban area",
            "open_water": "open water",
        },
    ),
    Clause.DISTRIBUTION: Wording(
        ("Built-up land is {v}.", "The built-up area is {v}.", "Built-up land here is {v}.", "Built-up parts are {v}."),
        {
            "uniform": "uniform over the tile",
            "central": "central in the tile",
            "peripheral": "peripheral in the tile",
            "scattered": "scattered over the tile",
            "linear": "linear across the tile",
        },
        ("There is no built-up land.", "Built-up land is absent.", "No built-up area is here.", "No part is built-up."),
    ),
    Clause.LAYOUT: Wording(
        (
            "The layout is {v}.",
            "Buildings have a {v} layout.",
            "The layout of blocks is {v}.",
            "Blocks have a {v} layout.",
        ),
        {"irregular": "irregular"},
        ("There is no layout.", "No layout of blocks is here.", "The layout is absent.", "No blocks have a layout."),
    ),
    Clause.BOUNDARY: Wording(
        (
            "The boundary is {v}.",
            "The land areas have a {v} boundary.",
            "The boundary of areas is {v}.",
            "There is a {v} boundary.",
        ),
        {},
        (
            "There is no boundary.",
            "No boundary of areas is here.",
            "The boundary is absent.",
            "The areas have no boundary.",
        ),
    ),
    Clause.BUILDING: Wording(
        ("Buildings are {v}.", "The building density is {v}.", "The building cover is {v}.", "Buildings here are {v}."),
        {},
        ("There are no buildings.", "Buildings are absent.", "No buildings are here.", "The building cover is absent."),
    ),
    Clause.ROAD: Wording(
        ("There are roads: {v}.", "The roads are {v}.", "The road network is {v}.", "The tile has roads: {v}."),
        {"sparse": "sparse roads", "grid": "grid of streets", "highway": "highway"},
        ("There are no roads.", "Roads are absent.", "No roads are here.", "The tile has no roads."),
    ),
    Clause.WATER: Wording(
        ("There is water: {v}.", "The water is {v}.", "The water body is {v}.", "The tile has water: {v}."),
        {"channel": "channel", "lake": "lake", "sea": "sea"},
        ("There is no water.", "Water is absent.", "No water is here.", "The tile has no water."),
    ),
    Clause.TARGET_COUNT: Wording(
        (
            "There are targets: {v}.",
            "The target count is {v}.",
            "The number of targets is {v}.",
            "The tile has targets: {v}.",
        ),
        {"9": "9 or more"},
    ),
    Clause.TARGET_LOCATION: Wording(
        (
            "The targets lie in the {v}.",
            "The target location is {v}.",
            "The location of targets is {v}.",
            "The targets are in the {v}.",
        ),
        {},
        (
            "There is no target location.",
            "The target location is absent.",
            "No location of targets is here.",
            "The targets have no location.",
        ),
    ),
    Clause.TARGET_FEATURE: Wording(
        (
            "The targets show {v}.",
            "The target feature is {v}.",
            "The feature of targets is {v}.",
            "The target signal shows {v}.",
        ),
        {"point": "point signal", "extended": "extended signal", "sidelobes": "sidelobes"},
        (
            "There is no target feature.",
            "The target feature is absent.",
            "No feature of targets is here.",
            "The targets have no feature.",
        ),
    ),
    Clause.TARGET_SIZE: Wording(
        (
            "The targets are {v}.",
            "The target size is {v}.",
            "The size of targets is {v}.",
            "The targets have {v} size.",
        ),
        {},
        (
            "There is no target size.",
            "The target size is absent.",
            "No size of targets is here.",
            "The targets have no size.",
        ),
    ),
    Clause.TARGET_CATEGORY: Wording(
        (
            "The targets are of category {v}.",
            "The target category is {v}.",
            "The category of targets is {v}.",
            "The targets here are {v}.",
        ),
        {},
        (
            "There is no target category.",
            "The target category is absent.",
            "No category of targets is here.",
            "The targets have no category.",
        ),
    ),
    Clause.TARGET_DISTRIBUTION: Wording(
        (
            "The targets form {v}.",
            "The target distribution is {v}.",
            "The distribution of targets is {v}.",
            "The targets lie as {v}.",
        ),
        {"single": "single target", "line": "line", "cluster": "cluster", "scattered": "scattered group"},
        (
            "There is no target distribution.",
            "The target distribution is absent.",
            "No distribution of targets is here.",
            "The targets have no distribution.",
        ),
    ),
    Clause.TARGET_REGION: Wording(
        (
            "The targets lie on the {v}.",
            "The target region is {v}.",
            "The region of targets is {v}.",
            "The targets are on the {v}.",
        ),
        {},
        (
            "There is no target region.",
            "The target region is absent.",
            "No region of targets is here.",
            "The targets have no region.",
        ),
    ),
    Clause.TARGET_ENVIRONMENT: Wording(
        (
            "The targets lie on {v}.",
            "The target environment is {v}.",
            "The environment of targets is {v}.",
            "The targets are around {v}.",
        ),
        {"calm_water": "calm water", "rough_water": "rough water"},
        (
            "There is no target environment.",
            "The target environment is absent.",
            "No environment of targets is here.",
            "The targets have no environment.",
        ),
    ),
}

VARIANTS: Final[dict[Clause, int]] = {clause: len(WORDING[clause].templates) for clause in CLAUSES}


def sentence(clause: Clause, value: str, variant: int) -> str:
    """The sentence of a value; variant counts from 0 and wraps around."""
    wording = WORDING[clause]
    if value == ABSENT:
        return wording.absent[variant % len(wording.absent)]
    template = wording.templates[variant % len(wording.templates)]
    return template.replace("{v}", wording.phrases.get(value, value))


def every_sentence() -> dict[str, tuple[Clause, str]]:
    """Each sentence there is -> what it says. Raises ValueError when two different things read the same."""
    meanings: dict[str, tuple[Clause, str]] = {}
    for clause in CLAUSES:
        for value in VOCABULARY[clause]:
            for variant in range(VARIANTS[clause]):
                text = sentence(clause, value, variant)
                if meanings.setdefault(text, (clause, value)) != (clause, value):
                    raise ValueError(
                        f"{text!r} says both {meanings[text]} and {(clause, value)}: reword one in wording.py."
                    )
    return meanings
