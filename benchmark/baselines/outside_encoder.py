"""Encoders of anybody: a folder of Hugging Face weights, or a model of timm by name. Frozen features."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.baselines.vision_tower import as_model_image, parts_of
from benchmark.suite.base import MethodInputs, MethodMissing
from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.model_input import CLIP, REFERENCE_DB, SCALE_DB

if TYPE_CHECKING:
    import torch

_BATCH = 32
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIDE = 224


class OutsideEncoder:
    """Method `encoder`."""

    about = "the encoder of --encoder: a folder of Hugging Face weights (safetensors), or a timm name; frozen features"

    def open(self, inputs: MethodInputs) -> OpenedOutsideEncoder:
        """Load it, from this machine alone.

        Raises:
            MethodMissing: none was named, or it is not there, or its library is not.
        """
        if inputs.encoder is None:
            raise MethodMissing("no encoder: name a folder of weights or a timm model with --encoder")
        folder = Path(inputs.encoder)
        return _from_folder(folder) if folder.is_dir() or "/" in inputs.encoder else _from_timm(inputs.encoder)


class OpenedOutsideEncoder:
    """A network and how images come to it.

    An image is brought to the co-polarised and the cross-polarised channel of our own input convention
    (docs/input.md). Networks for photographs get three channels (both, and their mean) between 0 and 1, normalised as
    photographs are.

    Args:
        features: from float32 [B, channels, S, S] to [B, D].
        channels: that the network takes.
        side: S.
        grid: from the same images to a list of one map [B, D, h, w].
        mean, deviation: of the channels, between 0 and 1; (): images of more than three channels, which are in our own
            units and repeat co-polarised, cross-polarised and their mean.
        decibels: means and deviations in dB of a network of two channels; None: its images are in our own units.
    """

    tunable = False  # the weights are somebody's, and stay as they are

    def __init__(
        self,
        features: Callable[[torch.Tensor], torch.Tensor],
        channels: int,
        side: int,
        grid: Callable[[torch.Tensor], list[torch.Tensor]],
        mean: Sequence[float] = _MEAN,
        deviation: Sequence[float] = _DEVIATION,
        decibels: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        self._features, self._channels, self._side, self._grid = features, channels, side, grid
        self._mean, self._deviation, self._decibels = mean, deviation, decibels

    def images_of(self, images: Sequence[Backscatter]) -> torch.Tensor:
        """float32 [N, channels, S, S]."""
        seen = np.stack([as_model_image(image, self._side) for image in images]).astype(np.float32)
        return self._prepared(seen)

    def _prepared(self, seen: np.ndarray) -> torch.Tensor:
        """float32 [N, channels, S, S] of images as our models see them, float32 [N, 2, S, S]."""
        import torch

        low, high = CLIP
        unit = (seen - low) / (high - low)
        if self._channels == 2 and self._decibels is not None:
            scale, level, mean, deviation = (
                np.reshape(np.asarray(list(each), np.float32), (1, 2, 1, 1))
                for each in (SCALE_DB.values(), REFERENCE_DB.values(), *self._decibels)
            )
            return torch.from_numpy((seen * scale + level - mean) / deviation)
        if self._channels == 2:
            return torch.from_numpy(seen)
        if self._channels == 1:
            return torch.from_numpy(unit.mean(axis=1, keepdims=True))
        if self._channels > 3:
            return torch.from_numpy(np.stack([seen[:, 0], seen[:, 1], seen.mean(axis=1)], axis=1)[:, self._filled()])
        three = np.stack([unit[:, 0], unit[:, 1], unit.mean(axis=1)], axis=1)
        shape = (1, 3, 1, 1)
        mean, deviation = (np.reshape(np.asarray(each, np.float32), shape) for each in (self._mean, self._deviation))
        return torch.from_numpy((three - mean) / deviation)

    def _filled(self) -> list[int]:
        return [channel % 3 for channel in range(self._channels)]

    def embed(self, images: Sequence[Backscatter]) -> np.ndarray:
        """float32 [N, D]."""
        import torch

        with torch.no_grad():
            return np.concatenate(
                [
                    self._features(self.images_of(images[start : start + _BATCH])).float().numpy()
                    for start in range(0, len(images), _BATCH)
                ]
            )

    @property
    def map_side(self) -> int:
        """Pixels along a side of the network's images."""
        return self._side

    def pixel_images(self, views: Sequence[tuple[Backscatter, ...]]) -> torch.Tensor:
        """float32 [N, parts, views, channels, S, S]: each place in as many parts as its pixels fill."""
        parts = parts_of(views, self._side)
        prepared = self._prepared(parts.reshape(-1, *parts.shape[3:]))
        return prepared.reshape(*parts.shape[:3], *prepared.shape[1:])

    def pixel_maps(self, channels: int, *, frozen: bool) -> tuple[Any, tuple[int, ...]]:
        """As `map_network`."""
        return self.map_network()

    def map_images(self, windows: Sequence[Backscatter]) -> torch.Tensor:
        """As `images_of`."""
        return self.images_of(windows)

    def map_network(self) -> tuple[Any, tuple[int, ...]]:
        """The tokens of the patches as one map."""
        from benchmark.baselines.token_map import TokenMap

        network = TokenMap(self._grid)
        return network, network.widths(self._channels, self._side)


def _from_folder(folder: Path) -> OpenedOutsideEncoder:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise MethodMissing(
            f"weights not found at {folder}: it takes config.json and safetensors, as Hugging Face writes them"
        )
    from transformers import AutoConfig, AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # Never code of the folder, never a pickle, never the network.
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **safe)
        model = AutoModel.from_pretrained(folder, use_safetensors=True, **safe).eval()
    except (OSError, ValueError) as error:
        raise MethodMissing(f"weights at {folder} cannot be read: {error}") from error
    if hasattr(model, "vision_model"):  # CLIP, SigLIP, BLIP: the text half is not asked
        model, config = model.vision_model, getattr(config, "vision_config", config)
    channels, side = getattr(config, "num_channels", 3), getattr(config, "image_size", _SIDE)
    if channels not in (1, 2, 3):
        raise MethodMissing(f"weights at {folder} take {channels} channels; 1, 2 and 3 can be filled from SAR")

    def features(images: torch.Tensor) -> torch.Tensor:
        import torch

        states = model(pixel_values=images).last_hidden_state
        if states.ndim == 4:  # a convolutional network
            return states.mean((2, 3))
        return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)

    def grid(images: torch.Tensor) -> list[torch.Tensor]:
        return [as_map(model(pixel_values=images).last_hidden_state)]

    return OpenedOutsideEncoder(features, channels, side if isinstance(side, int) else side[0], grid)


def _from_timm(name: str) -> OpenedOutsideEncoder:
    if importlib.util.find_spec("timm") is None:
        raise MethodMissing(f"'{name}' is no folder, and timm is not installed: pip install timm")
    import timm  # pyright: ignore[reportMissingImports]  # an optional library

    if name not in timm.list_models(pretrained=True):
        raise MethodMissing(f"timm has no pretrained model '{name}', and there is no folder of that name")
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0).eval()
    except Exception as error:  # whatever the hub's client raises where there is no network
        raise MethodMissing(f"weights of timm's '{name}' could not be had: {error}") from error
    settings = timm.data.resolve_model_data_config(model)
    channels, side, _ = settings["input_size"]
    return OpenedOutsideEncoder(
        model,
        channels,
        side,
        lambda images: [as_map(model.forward_features(images))],
        settings["mean"],
        settings["std"],
    )


def as_map(states: torch.Tensor) -> torch.Tensor:
    """Tokens [B, N, D] as a map [B, D, h, h] of the last h * h of them; what is a map already stays one.

    A class token and registers stand before the patches.
    """
    if states.ndim == 4:
        return states
    side = math.isqrt(states.shape[1])
    return states[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
