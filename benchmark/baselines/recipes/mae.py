"""MAE: the pixels of hidden cells.

He et al.: "Masked autoencoders are scalable vision learners", CVPR 2022, in the form that `masked` says.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from benchmark.baselines.recipes.config import MaeConfig
from benchmark.baselines.recipes.masked import MaskedRecipe, cells_of, normalised


class Mae(MaskedRecipe):
    """Method `mae`."""

    name: ClassVar[str] = "mae"

    def targets(self, images: Tensor, grid: int, config: MaeConfig) -> Tensor:
        """The pixels of each cell."""
        cells = cells_of(images, grid)
        return normalised(cells) if config.normalised else cells
