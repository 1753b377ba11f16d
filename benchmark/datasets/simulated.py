"""The benchmark's own simulated scenes: exact truth of every pixel, target and clause; cities held out to test on.

The recipe is fixed, so that figures can be compared; runs draw other scenes. No training scene lies within 50 km of a
test scene.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmark.datasets.base import (
    DATA_SETS,
    Classification,
    DataSet,
    DataSetError,
    Described,
    DescribedImages,
    LabelledImages,
    LabelledMasks,
    Segmentation,
)
from benchmark.datasets.drawn_split import held_out_groups
from benchmark.datasets.question_words import words_of
from corpus.geotiff.backscatter import Backscatter
from corpus.simulate.config import RECIPE_VERSION, SceneConfig
from corpus.simulate.scene import Scene, simulate_scene
from corpus.simulate.truth import FACT_VALUES
from corpus.storage.writer import UNGUARDED
from hcot_llm.schema.files import default_schema
from hcot_llm.text.render import render_caption

RECIPE: Final = SceneConfig(recipe=1, tiles=400, seed=31415, cities=80)
DISTANCE_KM: Final = 50.0
LANDFORMS: Final = {
    "water": ("sea", "lake", "river"),
    "cropland": ("cropland",),
    "grass and bare ground": ("grass", "bare", "beach"),
    "forest": ("forest",),
    "built-up land": ("urban_ground", "building", "road", "paved", "runway"),
}
"""Classes of pixels that the tasks speak of, and the simulator's that make them up."""
QUADRANTS: Final = ("northwest", "northeast", "southwest", "southeast")
_PRESENT = 0.05
_FILES = ("scenes.npz", "scenes.json")
_EARTH_KM = 6371.0


@dataclass(frozen=True)
class Scenes:
    """N scenes.

    Attributes:
        decibels: float16 [N, 2, S, S]; the second band of a scene with one polarisation is NaN.
        again: the same under another draw of speckle.
        cover: uint8 [N, S, S], index into LANDFORMS.
        rows: of each scene its id, city, place, polarisations, facts and targets.
    """

    decibels: np.ndarray
    again: np.ndarray
    cover: np.ndarray
    rows: Sequence[Mapping[str, Any]]

    def image(self, index: int, *, again: bool = False) -> Backscatter:
        """A scene as calibrated backscatter; `again`: under another draw of speckle."""
        names = tuple(self.rows[index]["polarisations"])
        source = self.again if again else self.decibels
        return Backscatter(source[index, : len(names)].astype(np.float32), names)

    def split(self) -> tuple[list[int], list[int], float]:
        """Rows to learn from, rows to test on, and the least distance between them in km.

        Cities are taken in the order of a hash until 30 % of the scenes are to test on; a scene of another city that
        lies within DISTANCE_KM of one of those is left out.
        """
        held = held_out_groups([row["city"] for row in self.rows])
        test = [index for index, row in enumerate(self.rows) if row["city"] in held]
        others = [index for index, row in enumerate(self.rows) if row["city"] not in held]
        if not test or not others:
            raise DataSetError("The simulated scenes lie in one city. Remove their folder: they are made again.")
        apart = distances_km(self.rows, others, test).min(axis=1)
        train = [index for index, distance in zip(others, apart, strict=True) if distance >= DISTANCE_KM]
        return train, test, float(apart[apart >= DISTANCE_KM].min())


def distances_km(rows: Sequence[Mapping[str, Any]], first: Sequence[int], second: Sequence[int]) -> np.ndarray:
    """Great-circle distances float64 [first, second] between the centres of scenes."""
    at = np.deg2rad([[row["lon"], row["lat"]] for row in rows])
    unit = np.stack(
        [np.cos(at[:, 1]) * np.cos(at[:, 0]), np.cos(at[:, 1]) * np.sin(at[:, 0]), np.sin(at[:, 1])], axis=1
    )
    return _EARTH_KM * np.arccos(np.clip(unit[first] @ unit[second].T, -1, 1))


def make(folder: Path, recipe: SceneConfig = RECIPE) -> None:
    """Simulate the scenes unless they are there."""
    if not all((folder / name).is_file() for name in _FILES):
        first, second = (
            [simulate_scene(recipe, index, speckle) for index in range(recipe.tiles)] for speckle in (0, 1)
        )
        write_scenes(folder, first, [scene.bands for scene in second], recipe)


def write_scenes(folder: Path, scenes: Sequence[Scene], again: Sequence[np.ndarray], recipe: SceneConfig) -> None:
    """Write scenes, and their bands under another draw of speckle, as one file of arrays and one of facts."""
    group = np.array(
        [next(i for i, kinds in enumerate(LANDFORMS.values()) if name in kinds) for name in _cover_names(scenes)]
    )
    decibels, other = (_decibels(bands) for bands in ([scene.bands for scene in scenes], again))
    cover = np.stack([group[scene.truth.land_cover] for scene in scenes]).astype(np.uint8)
    rows = [_row(scene) for scene in scenes]
    with UNGUARDED.place(folder / _FILES[0], "the simulated scenes") as partial, open(partial, "wb") as file:
        np.savez_compressed(file, decibels=decibels, again=other, cover=cover)
    content = {"recipe": recipe.digest(), "version": RECIPE_VERSION, "scenes": rows}
    UNGUARDED.write_text(folder / _FILES[1], json.dumps(content), "the simulated scenes")


def read_scenes(folder: Path) -> Scenes:
    """Read what `make` wrote.

    Raises:
        DataSetError: it is damaged, or of another version of the simulator.
    """
    again = f"Remove {folder}: it is made again."
    try:
        content = json.loads((folder / _FILES[1]).read_text(encoding="utf-8"))
        with np.load(folder / _FILES[0], allow_pickle=False) as arrays:
            scenes = Scenes(arrays["decibels"], arrays["again"], arrays["cover"], content["scenes"])
        version = content["version"]
    except (OSError, ValueError, KeyError) as error:
        raise DataSetError(f"The simulated scenes in {folder} are damaged: {error}. {again}") from error
    if version != RECIPE_VERSION or len(scenes.rows) != len(scenes.decibels):
        raise DataSetError(f"The simulated scenes in {folder} are of another version of the simulator. {again}")
    return scenes


def read_by_fact(folder: Path, fact: str) -> Classification:
    """Scenes with a fact as their class. Errors as `read_scenes`."""
    scenes = read_scenes(folder)
    train, test, apart = scenes.split()
    classes = FACT_VALUES[fact]

    def part(rows: Sequence[int], *, again: bool = False) -> LabelledImages:
        labels = np.array([classes.index(scenes.rows[row]["facts"][fact]) for row in rows], np.int64)
        images = [scenes.image(row, again=again) for row in rows]
        return LabelledImages(images, labels, [scenes.rows[row]["city"] for row in rows])

    return Classification(classes, part(train), part(test), split_note(apart), part(test, again=True))


def read_cover(folder: Path) -> Segmentation:
    """Scenes with the class of every pixel. Errors as `read_scenes`."""
    scenes = read_scenes(folder)
    train, test, apart = scenes.split()

    def part(rows: Sequence[int]) -> LabelledMasks:
        cities = [scenes.rows[row]["city"] for row in rows]
        return LabelledMasks([(scenes.image(row),) for row in rows], [scenes.cover[row] for row in rows], cities)

    again = [(scenes.image(row, again=True),) for row in test]
    return Segmentation(tuple(LANDFORMS), part(train), part(test), note=split_note(apart), test_again=again)


def read_clauses(folder: Path) -> Described:
    """Scenes with the value of every clause, and a caption that says all of them. Errors as `read_scenes`."""
    schema = default_schema()
    scenes = read_scenes(folder)
    train, test, apart = scenes.split()

    def part(rows: Sequence[int]) -> DescribedImages:
        facts = [scenes.rows[row]["facts"] for row in rows]
        answers = {clause: [each[clause] for each in facts] for clause in schema.names}
        captions = [
            render_caption(schema, {clause: each[clause] for clause in schema.names}, seed=row)
            for row, each in zip(rows, facts, strict=True)
        ]
        cities = [scenes.rows[row]["city"] for row in rows]
        return DescribedImages([scenes.image(row) for row in rows], answers, captions, cities)

    values = {clause: tuple(schema.vocabulary[clause]) for clause in schema.names}
    again = [scenes.image(row, again=True) for row in test]
    return Described(values, part(train), part(test), split_note(apart), test_again=again)


def read_questions(folder: Path) -> Described:
    """Scenes with answers to questions of seven kinds, `kind` or `kind:part`. Errors as `read_scenes`."""
    scenes = read_scenes(folder)
    train, test, apart = scenes.split()
    values: dict[str, tuple[str, ...]] = {
        "count": FACT_VALUES["target_count"],
        "recognition": FACT_VALUES["target_category"],
        "position": FACT_VALUES["target_location"],
        "main_landform": tuple(LANDFORMS),
        **{f"all_landforms:{name}": ("no", "yes") for name in LANDFORMS},
        **{f"regional_landform:{quadrant}": tuple(LANDFORMS) for quadrant in QUADRANTS},
        **{f"land_cover_share:{name}": tuple(f"{tenth / 10:.1f}" for tenth in range(11)) for name in LANDFORMS},
    }

    def part(rows: Sequence[int]) -> DescribedImages:
        said = [answers_of(scenes, row) for row in rows]
        cities = [scenes.rows[row]["city"] for row in rows]
        answers = {question: [each[question] for each in said] for question in values}
        return DescribedImages([scenes.image(row) for row in rows], answers, [""] * len(rows), cities)

    again = [scenes.image(row, again=True) for row in test]
    asked = {name: words_of(name) for name in values}
    return Described(values, part(train), part(test), split_note(apart), asked, again)


def answers_of(scenes: Scenes, row: int) -> dict[str, str]:
    """The right answer to every question on a scene."""
    facts, cover, names = scenes.rows[row]["facts"], scenes.cover[row], tuple(LANDFORMS)
    share = np.bincount(cover.ravel(), minlength=len(names)) / cover.size
    half = cover.shape[0] // 2
    found = {
        "count": facts["target_count"],
        "recognition": facts["target_category"],
        "position": facts["target_location"],
        "main_landform": names[int(share.argmax())],
    }
    for index, name in enumerate(names):
        found[f"all_landforms:{name}"] = "yes" if share[index] >= _PRESENT else "no"
        found[f"land_cover_share:{name}"] = f"{round(share[index] * 10) / 10:.1f}"
    for number, quadrant in enumerate(QUADRANTS):
        down, right = divmod(number, 2)
        part = cover[down * half : (down + 1) * half, right * half : (right + 1) * half]
        found[f"regional_landform:{quadrant}"] = names[int(np.bincount(part.ravel(), minlength=len(names)).argmax())]
    return found


def _decibels(scenes: Sequence[np.ndarray]) -> np.ndarray:
    """float16 [N, 2, S, S] of linear bands; NaN where a scene has one band."""
    found = np.full((len(scenes), 2, *scenes[0].shape[1:]), np.nan, np.float16)
    for index, bands in enumerate(scenes):
        found[index, : len(bands)] = 10 * np.log10(np.maximum(bands, 1e-6))
    return found


def _row(scene: Scene) -> dict[str, Any]:
    metadata = {name: scene.metadata[name] for name in ("tile_id", "city", "lon", "lat", "gsd_m", "polarisations")}
    targets = [
        {"category": o.category, "row": o.row, "col": o.col, "length_m": o.length_m, "width_m": o.width_m}
        | {"heading_deg": o.heading_deg}
        for o in scene.truth.targets
    ]
    return {**metadata, "facts": scene.truth.facts(), "targets": targets}


def _cover_names(scenes: Sequence[Scene]) -> tuple[str, ...]:
    return scenes[0].truth.land_cover_names


def split_note(apart: float) -> str:
    """What a reader of figures has to know of the split, with the least distance in km."""
    return f"cities to test on are held out; the nearest training scene is {apart:.0f} km from a test scene"


_SOURCE = "`knowlip benchmark`, which makes it"
_FOLDER = f"simulated-v{RECIPE_VERSION}"


def simulated(read: Callable[[Path], Any]) -> DataSet:
    """A data set of the scenes, which are made at its first use."""
    return DataSet(_FOLDER, _SOURCE, read, "simulated", make)


DATA_SETS.add("simulated_targets", simulated(lambda folder: read_by_fact(folder, "target_category")))
DATA_SETS.add("simulated_functions", simulated(lambda folder: read_by_fact(folder, "functionality")))
DATA_SETS.add("simulated_cover", simulated(read_cover))
DATA_SETS.add("simulated_clauses", simulated(read_clauses))
DATA_SETS.add("simulated_questions", simulated(read_questions))
