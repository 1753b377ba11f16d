"""The recipes by name. A recipe's module, which needs torch, is imported where the method is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from benchmark.suite.base import MethodInputs

if TYPE_CHECKING:
    from benchmark.baselines.recipes.base import TrainedRecipe


@dataclass(frozen=True)
class TrainedHere:
    """A method that is trained here at its first use.

    Attributes:
        about: one sentence.
        recipe: makes its recipe.
    """

    about: str
    recipe: Callable[[], TrainedRecipe]

    def open(self, inputs: MethodInputs) -> Any:
        """Read its weights, or train them. Errors as `TrainedRecipe.open`."""
        return self.recipe().open(inputs)


def _mae() -> TrainedRecipe:
    from benchmark.baselines.recipes.mae import Mae

    return Mae()


def _sar_jepa() -> TrainedRecipe:
    from benchmark.baselines.recipes.sar_jepa import SarJepa

    return SarJepa()


def _moco_v3() -> TrainedRecipe:
    from benchmark.baselines.recipes.moco_v3 import MocoV3

    return MocoV3()


def _clip() -> TrainedRecipe:
    from benchmark.baselines.recipes.clip import Clip

    return Clip()


def _blip() -> TrainedRecipe:
    from benchmark.baselines.recipes.blip import Blip

    return Blip()


def _blip_capfilt() -> TrainedRecipe:
    from benchmark.baselines.recipes.blip import BlipCapFilt

    return BlipCapFilt()


def _no_loop() -> TrainedRecipe:
    from benchmark.baselines.recipes.no_loop import NoLoop

    return NoLoop()


_HERE = "on our backbone, trained here on the run's tiles"
TRAINED_HERE: Final[Mapping[str, TrainedHere]] = MappingProxyType(
    {
        "mae": TrainedHere(f"masked pixels (MAE) {_HERE}; no text", _mae),
        "sar_jepa": TrainedHere(f"masked gradients by ratio (SAR-JEPA) {_HERE}; no text", _sar_jepa),
        "moco_v3": TrainedHere(f"contrast between two views (MoCo v3) {_HERE}; no text", _moco_v3),
        "clip": TrainedHere(f"contrast with captions (CLIP) {_HERE} and their initial annotations", _clip),
        "blip": TrainedHere(f"contrast, matching, captioning (BLIP) {_HERE} and their initial annotations", _blip),
        "blip_capfilt": TrainedHere("the same, then on captions that it wrote and filtered (CapFilt)", _blip_capfilt),
        "no_loop": TrainedHere(f"our own losses {_HERE} and their initial annotations, without the loop", _no_loop),
    }
)
"""Name -> method."""

WITHOUT_TEXT: Final = ("sar_jepa", "mae", "moco_v3")
"""Recipes that read images alone, and end in a vision tower."""
