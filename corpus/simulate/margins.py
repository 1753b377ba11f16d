"""Which facts of a scene lie near the limit of their class: those that a slightly other scene would not share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from corpus.simulate import facts
from corpus.simulate.truth import FACTS, SceneObject

_MORE = 4 / 3  # of roofs and heights
_LONGER = 1.15  # of targets
_VISIBILITY_DB = 3.0
_FRAME = 1 / 16  # of the tile, cut off on one side
_SHIFT = 1 / 15  # of the tile: a fifth of a cell of the 3x3 grid
_WIND_M_S = (3.5, 6.5)  # neither calm nor rough


def unclear_facts(measured: dict[str, str], wind_m_s: float, scene: dict[str, Any]) -> tuple[str, ...]:
    """The facts that cannot be told clearly, in the order of FACTS.

    The scene is measured again with a little more and a little less of everything, and with a side of the frame cut
    off. A fact whose value changes is one that two careful people may state differently.

    Args:
        measured: the facts of the scene.
        wind_m_s: over open water.
        scene: the arguments of `facts.measure` that gave `measured`.
    """
    found = {
        name for other in _others(scene) for name, value in facts.measure(**other).items() if value != measured[name]
    }
    if measured["target_category"] == "ship" and _WIND_M_S[0] < wind_m_s < _WIND_M_S[1]:
        found.add("target_environment")
    return tuple(name for name in FACTS if name in found)


def _others(scene: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Scenes that differ a little from one, each in another way."""
    objects: list[SceneObject] = scene["objects"]
    for more in (_MORE, 1 / _MORE):
        longer = _LONGER if more > 1 else 1 / _LONGER
        shown = _VISIBILITY_DB if more > 1 else -_VISIBILITY_DB
        yield scene | {
            "footprint": scene["footprint"] * np.float32(more),
            "ground_m": scene["ground_m"] * np.float32(more),
            "objects": [
                replace(o, length_m=o.length_m * longer, sidelobe_visibility_db=o.sidelobe_visibility_db + shown)
                for o in objects
            ],
        }
    size = scene["cover"].shape[0]
    for rows, cols in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        away = _SHIFT * size
        yield scene | {"objects": [replace(o, row=o.row + rows * away, col=o.col + cols * away) for o in objects]}
        cut = round(_FRAME * size)
        part = tuple(
            slice(cut, None) if step > 0 else slice(None, -cut) if step < 0 else slice(None) for step in (rows, cols)
        )
        yield scene | {
            **{name: scene[name][part] for name in ("cover", "zone", "rural", "footprint", "ground_m")},
            "objects": [o for o in objects if o.category == "building" or _in(o, part, size)],
        }


def _in(o: SceneObject, part: tuple[slice, ...], size: int) -> bool:
    """Whether the centre of an object lies in a part of the tile."""
    return all(
        (each.start or 0) <= at < (size if each.stop is None else size + each.stop)
        for each, at in zip(part, (o.row, o.col), strict=True)
    )
