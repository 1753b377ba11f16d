"""What recipes share: training once, weights that are kept with their hash, and the methods of the tower.

A recipe is a file with a subclass of `TrainedRecipe`, and an entry in `benchmark.baselines.recipes.methods`.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.baselines.training import TrainingPlan, fit
from benchmark.suite.base import MethodInputs, MethodMissing
from corpus.storage.errors import InputError
from corpus.storage.lock import lease_lock
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.baselines.recipes.config import RecipeConfig
    from benchmark.suite.pretraining import Pretraining, TrainingTiles

_PATIENCE_S = 24 * 3600.0
_VERSION = 1
"""Another one has all weights trained again."""


class RecipeError(InputError):
    """A corpus that a recipe cannot be trained on, or kept weights that cannot be read."""


@dataclass(frozen=True)
class Material:
    """What one recipe learns from.

    Attributes:
        pretraining: corpus, sizes, passes.
        tiles: the training tiles.
        config: the recipe's own section.
        name: of the recipe.
        progress: called with (done, total) after each pass.
    """

    pretraining: Pretraining
    tiles: TrainingTiles
    config: RecipeConfig
    name: str
    progress: Callable[[int, int], None] | None = None

    @property
    def seed(self) -> int:
        """Of every draw of the training."""
        return derive_seed(self.pretraining.recipes.seed, "benchmark recipe", self.name)

    @property
    def plan(self) -> TrainingPlan:
        """Passes, steps and rates."""
        config = self.config
        return TrainingPlan(
            epochs=self.pretraining.passes,
            batch=min(config.batch, len(self.tiles.initial)),
            learning_rate=config.learning_rate,
            shift=0.0,
            least_steps=1,
            weight_decay=config.weight_decay,
        )

    @property
    def steps(self) -> int:
        """Optimiser steps of the training."""
        return self.plan.epochs * max(1, len(self.tiles.initial) // self.plan.batch)

    @cached_property
    def images(self) -> Tensor:
        """float16 [N, channels, S, S]."""
        import torch

        return torch.from_numpy(self.tiles.images(self.pretraining.model.encoder.vision.image_size_px))

    def fit(self, make: Callable[[], nn.Module], loss_of: Callable[[Any, Tensor, Tensor], Tensor]) -> nn.Module:
        """Train a new network; `loss_of` gets it, rows int64 [B] and their images float16 [B, channels, S, S]."""
        return fit(make, self.images, loss_of, self.plan, self.seed, self.progress)


class TrainedRecipe(ABC):
    """A method of the benchmark that is trained here at its first use.

    Attributes:
        name: its name among the methods and its section of `benchmark.recipes`.
    """

    name: ClassVar[str]

    @abstractmethod
    def empty(self, material: Material) -> nn.Module:
        """What is kept of the training, untrained."""

    @abstractmethod
    def train(self, material: Material) -> tuple[nn.Module, str]:
        """What is kept, trained; and what a reader has to know of this training, '' for nothing."""

    @abstractmethod
    def opened(self, kept: nn.Module, material: Material) -> Any:
        """What is kept, in evaluation mode, as an object with methods of the benchmark's protocols."""

    def config_of(self, pretraining: Pretraining) -> RecipeConfig:
        """The recipe's section."""
        return getattr(pretraining.recipes, self.name)

    def open(self, inputs: MethodInputs) -> Any:
        """Read the weights, or train them; the object says which they are (`benchmark.suite.base.Disclosing`).

        Raises:
            MethodMissing: there is no corpus to learn from.
            RecipeError: there are too few tiles, or the kept weights are damaged.
        """
        if (pretraining := inputs.pretraining) is None:
            raise MethodMissing(
                "no corpus to learn from: name a run with --run RUN_DIR, or set benchmark.recipes.passes"
            )
        material = Material(pretraining, _tiles_of(pretraining), self.config_of(pretraining), self.name)
        if len(material.tiles.initial) < 2:
            raise RecipeError(f"{self.name} learns from two training tiles at least; the corpus has fewer.")
        path = pretraining.folder / f"{self.name}-{self._key(material)}.safetensors"
        if not path.is_file():
            pretraining.folder.mkdir(parents=True, exist_ok=True)
            with lease_lock(pretraining.folder, _PATIENCE_S):
                if not path.is_file():  # another worker may have trained it meanwhile
                    self._train_and_keep(material, path)
        kept, facts = self._read(material, path)
        opened = self.opened(kept, material)
        opened.weights_sha256 = facts["sha256"]
        said = [
            f"trained here from nothing, {facts['passes']} passes over {facts['tiles']} training tiles",
            f"{facts['seconds']} s",
            *([facts["note"]] if facts["note"] else []),
            f"weights SHA-256 {facts['sha256'][:16]}",
        ]
        opened.disclosure = ", ".join(said)
        return opened

    def _key(self, material: Material) -> str:
        """Digest of all that the weights follow from."""
        pretraining = material.pretraining
        content = {
            "version": _VERSION,
            "recipe": self.name,
            "config": material.config.model_dump(mode="json"),
            "model": pretraining.model.model_dump(mode="json"),
            "passes": pretraining.passes,
            "seed": pretraining.recipes.seed,
            "tiles": material.tiles.identity,
            "turns": material.tiles.turns,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _train_and_keep(self, material: Material, path: Path) -> None:
        from safetensors.torch import save_file

        begun = time.monotonic()
        kept, note = self.train(material)
        state = {name: value.contiguous().clone() for name, value in kept.state_dict().items()}
        facts = {
            "passes": str(material.pretraining.passes),
            "tiles": str(len(material.tiles.initial)),
            "seconds": f"{time.monotonic() - begun:.0f}",
            "note": note,
            "sha256": tensors_sha256(state),
        }
        with UNGUARDED.place(path, f"the weights of {self.name}") as partial:
            save_file(state, partial, metadata=facts)

    def _read(self, material: Material, path: Path) -> tuple[nn.Module, dict[str, str]]:
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        kept = self.empty(material)
        try:
            with safe_open(path, framework="pt") as file:
                facts = dict(file.metadata())
            state = load_file(path)
            if tensors_sha256(state) != facts["sha256"]:
                raise ValueError("its tensors are not those that were kept")
            kept.load_state_dict(state)
        except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"{path} is damaged: {error}. Remove it: the weights are trained again.") from error
        return kept.eval(), facts


@lru_cache(maxsize=1)
def _tiles_of(pretraining: Pretraining) -> TrainingTiles:
    """The corpus that was used last stays open: the next recipe learns from the same one."""
    return pretraining.open_tiles()


def tensors_sha256(state: dict[str, Tensor]) -> str:
    """SHA-256 of tensors by name, type, shape and bytes, hexadecimal."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1e".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
