"""What methods that are trained here learn from: the tiles and initial annotations of a run, and its backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.baselines.recipes.config import RecipesConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix
from model.config import ModelConfig


@dataclass(frozen=True)
class TrainingTiles:
    """The N training tiles of a corpus. Held-out tiles are not among them.

    Attributes:
        initial: their initial annotations, in the order of the images.
        images: reads them, float16 [N, channels, S, S] of the side asked for, in the units of the input convention.
        identity: digest of tiles and annotations.
        turns: whether tiles may be turned by 90 degrees and mirrored.
        location_after: a location's word and one of the eight symmetries of the square, 0 to 7, to the word of where it
            ends up.
    """

    initial: AnnotationMatrix
    images: Callable[[int], np.ndarray]
    identity: str
    turns: bool
    location_after: Callable[[str, int], str]


@dataclass(frozen=True, eq=False)
class Pretraining:
    """A training from nothing, as long as that of the encoder that is compared.

    Attributes:
        open_tiles: opens the corpus.
        model: sizes of the compared encoder; recipes take its vision tower, and its text tower where they read text.
        passes: over the training tiles.
        recipes: how each recipe learns.
        folder: weights are kept here.
    """

    open_tiles: Callable[[], TrainingTiles]
    model: ModelConfig
    passes: int
    recipes: RecipesConfig
    folder: Path
