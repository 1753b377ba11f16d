"""Tiles, initial annotations and sizes of toy size, for methods that are trained by the benchmark."""

from pathlib import Path

import numpy as np

from actors.data.dihedral import location_after
from benchmark.baselines.recipes.config import RecipesConfig
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.base import MethodInputs
from benchmark.suite.pretraining import Pretraining, TrainingTiles
from hcot_llm.aggregation.matrix import AnnotationMatrix
from support.hcot import HCOT
from support.toy_model import toy

TILES = 24
TEXT = {"vocab_size": 1024, "width": 16, "heads": 2, "intermediate": 16, "max_tokens": 160}


def tile(label: int, seed: int) -> np.ndarray:
    """float16 [2, 32, 32] in the units of the input convention: one half is bright, and which one is the label."""
    image = np.random.default_rng(seed).normal(-1, 0.2, (2, 32, 32))
    image[:, :, 16 * label : 16 * (label + 1)] += 2
    return image.astype(np.float16)


def picture(label: int, seed: int):
    """The same as a raster."""
    return as_backscatter((40 * (tile(label, seed)[0].astype(np.float32) + 2)).clip(1, 255).astype(np.uint8))


def toy_tiles(count: int = TILES) -> TrainingTiles:
    """Tiles of which each half shows one label, and annotations that follow the label in every clause."""
    labels = np.arange(count) % 2
    values = np.repeat(labels[:, None], len(HCOT), axis=1)
    initial = AnnotationMatrix(
        HCOT,
        tuple(f"t{index:02d}" for index in range(count)),
        values,
        np.full(values.shape, 0.8, np.float32),
        np.full(values.shape, "simulated"),
    )
    images = np.stack([tile(label, index) for index, label in enumerate(labels)])
    return TrainingTiles(initial, lambda size: images, f"toy {count}", False, location_after)


def toy_inputs(folder: Path, passes: int = 2, tiles: int = TILES, **recipes) -> MethodInputs:
    """What methods of the benchmark get, with a section `benchmark.recipes`."""
    sizes = toy().model_dump()
    sizes["encoder"]["text"] |= TEXT
    sizes["captioner"] |= {"vocab_size": TEXT["vocab_size"], "max_tokens": 200}
    section = RecipesConfig.model_validate(recipes)
    return MethodInputs(
        pretraining=Pretraining(lambda: toy_tiles(tiles), type(toy()).model_validate(sizes), passes, section, folder)
    )
