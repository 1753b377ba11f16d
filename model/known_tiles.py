"""What a model was trained on, kept beside its weights: whether a tile is like its training tiles, and if not, how far.

A network is as sure of an image that it has never seen the like of as of its training tiles. So weights carry features
of a few hundred training tiles, and a tile that lies further from them than they lie from one another is foreign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field
from safetensors import safe_open
from safetensors.numpy import save_file

from corpus.geotiff.contrast import EVERY_PRODUCT, LEAST_IMAGES
from corpus.geotiff.model_input import Level
from corpus.geotiff.sampling import Sampling
from corpus.storage.models import FrozenModel

if TYPE_CHECKING:  # the driver reads what is kept here, and knows no torch
    import torch

    from model.encoder import SarEncoder

KNOWN_TILES: Final = "known_tiles.safetensors"
MOST_KNOWN: Final = 512
_QUANTILE = 0.999
_NEIGHBOURS = 5
_RARE = 0.01  # a ground sample distance of fewer of the tiles is none that was learned
_FOREIGN_SHARE = 0.5  # of the model's word in what is said of a tile just beyond the limit


class TrainedInput(FrozenModel):
    """How the training tiles came to the model."""

    sampling: Sampling = Field(description="image size and ground sample distances")
    levels: dict[Level, int] = Field(description="known tiles by where their level comes from")
    contrast: dict[str, tuple[float, float]] = Field(
        description="product, or '' for all tiles -> median deviation of the co- and the cross-polarised channel"
    )


@dataclass(frozen=True)
class KnownTiles:
    """R training tiles in F features.

    Attributes:
        rows: float32 [R, F], features less `centre`, divided by `scale`.
        centre: float32 [F].
        scale: float32 [F].
        limit: distance of a training tile from the others that one in a thousand exceeds.
        priors: per clause float32 [V], how frequent its values were among the training annotations.
        input: how the tiles came to the model.
    """

    rows: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    limit: float
    priors: tuple[np.ndarray, ...]
    input: TrainedInput

    @staticmethod
    def of(
        features: np.ndarray,
        values: np.ndarray,
        sizes: Sequence[int],
        *,
        image_size_px: int,
        gsd_m: Sequence[float],
        levels: Sequence[str],
        products: Sequence[str] = (),
    ) -> "KnownTiles":
        """Describe training tiles.

        Args:
            features: float32 [R, F], as `features_of` gives them.
            values: int [R, C], the annotations.
            sizes: Number of values of each of the C clauses.
            image_size_px: Side of the images.
            gsd_m: R ground sample distances of the images, in metres per pixel.
            levels: R origins of the tiles' levels, see `Level`.
            products: R products, see `corpus.tiles.product_of`; (): they are not known.
        """
        centre, deviation = features.mean(axis=0), features.std(axis=0)
        radiometry = np.arange(features.shape[1]) >= features.shape[1] - RADIOMETRY
        scale = np.empty_like(deviation)
        for part in (radiometry, ~radiometry):  # both parts count alike, whatever their numbers
            # A feature that hardly varies among training tiles must not make every other tile infinitely far.
            scale[part] = (deviation[part] + 0.1 * deviation[part].mean() + 1e-6) * np.sqrt(part.sum())
        rows = ((features - centre) / scale).astype(np.float32)
        priors = tuple(
            ((np.bincount(values[:, clause], minlength=size) + 1) / (len(values) + size)).astype(np.float32)
            for clause, size in enumerate(sizes)
        )
        rounded = [float(f"{distance:.2g}") for distance in gsd_m]
        frequent = sorted(each for each in set(rounded) if rounded.count(each) >= _RARE * len(rounded))
        return KnownTiles(
            rows,
            centre.astype(np.float32),
            scale.astype(np.float32),
            float(np.quantile(_mean_of_nearest(rows, rows, own=True), _QUANTILE)),
            priors,
            TrainedInput(
                sampling=Sampling(image_size_px=image_size_px, gsd_m=tuple(frequent)),
                levels={level: count for level in Level if (count := list(levels).count(level))},
                contrast=_contrast(features, products),
            ),
        )

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distances float64 [N] of tiles from the training tiles, 1 at the limit. features: float [N, F]."""
        return _mean_of_nearest((features - self.centre) / self.scale, self.rows) / self.limit

    def tempered(self, distribution: np.ndarray, clause: int, distance: np.ndarray) -> np.ndarray:
        """Distributions over the values of a clause with no more confidence than the distance of the tiles leaves.

        Of a known tile nothing changes. Of a foreign one half and less is the model's, falling with the square of the
        distance, and the rest is how frequent each value was in training.

        Args:
            distribution: float [N, V].
            clause: Number of the clause in the schema.
            distance: float [N], as `distance` gives it.
        """
        share = np.where(distance > 1, _FOREIGN_SHARE / np.maximum(distance, 1) ** 2, 1.0)[:, None]
        return share * distribution + (1 - share) * self.priors[clause]

    def save(self, directory: Path) -> None:
        """Write KNOWN_TILES into a weights directory."""
        tensors = {"rows": self.rows, "centre": self.centre, "scale": self.scale}
        tensors["limit"] = np.array([self.limit], np.float64)
        tensors |= {f"prior_{clause:03d}": prior for clause, prior in enumerate(self.priors)}
        save_file(tensors, directory / KNOWN_TILES, {"input": self.input.model_dump_json()})

    @staticmethod
    def load(directory: Path) -> "KnownTiles | None":
        """Read what `save` wrote; None where weights are untrained, or older than this file."""
        path = Path(directory) / KNOWN_TILES
        if not path.exists():
            return None
        with safe_open(path, framework="np") as file:
            names = sorted(file.keys())
            rows, centre, scale, limit = (file.get_tensor(name) for name in ("rows", "centre", "scale", "limit"))
            priors = tuple(file.get_tensor(name) for name in names if name.startswith("prior_"))
            trained = TrainedInput.model_validate_json(file.metadata()["input"])
        return KnownTiles(rows, centre, scale, float(limit[0]), priors, trained)


RADIOMETRY: Final = 7
"""Features that are of the image itself: of both channels mean, deviation and roughness, and how alike they are."""


def features_of(encoder: "SarEncoder", images: "torch.Tensor", batch_size: int = 64) -> np.ndarray:
    """What `KnownTiles` compares tiles by.

    Args:
        encoder: in evaluation mode.
        images: float32 [N, 2, H, W], on any device.
        batch_size: images that pass at once.

    Returns:
        float32 [N, F]: the encoder's summary of an image, then RADIOMETRY numbers of its own.
    """
    import torch

    device = next(encoder.parameters()).device
    parts = []
    with torch.no_grad():
        for part in images.split(batch_size):
            summary = encoder.vision.summary(encoder.image_tokens(part.to(device))).cpu().float()
            parts.append(torch.cat([summary, _radiometry(part.cpu().float())], dim=1).numpy())
    return np.concatenate(parts)


def _contrast(features: np.ndarray, products: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Median deviations of both channels, of all tiles and of each product of enough of them, as `contrast_of`."""
    first = features.shape[1] - RADIOMETRY + 2
    deviations, of = features[:, first : first + 2], np.asarray(products)
    parts = {product: deviations[of == product] for product in sorted(set(products))}
    parts = {EVERY_PRODUCT: deviations, **{name: part for name, part in parts.items() if len(part) >= LEAST_IMAGES}}
    return {product: tuple(np.median(part, axis=0).tolist()) for product, part in parts.items()}


def _radiometry(images: "torch.Tensor") -> "torch.Tensor":
    import torch

    mean, deviation = images.mean((2, 3)), images.std((2, 3))
    roughness = images.diff(dim=2).abs().mean((2, 3)) + images.diff(dim=3).abs().mean((2, 3))
    centred = images - mean[:, :, None, None]
    alike = (centred[:, 0] * centred[:, 1]).mean((1, 2)) / (deviation.prod(dim=1) + 1e-6)
    return torch.cat([mean, deviation, roughness, alike[:, None]], dim=1)


def _mean_of_nearest(points: np.ndarray, rows: np.ndarray, *, own: bool = False) -> np.ndarray:
    """Mean distance float64 [N] of points to their nearest rows; `own`: the points are the rows, and not their own."""
    points, rows = points.astype(np.float64), rows.astype(np.float64)
    squared = (points**2).sum(1)[:, None] + (rows**2).sum(1)[None] - 2 * points @ rows.T
    if own:
        np.fill_diagonal(squared, np.inf)
    count = max(1, min(_NEIGHBOURS, len(rows) - own))
    nearest = np.partition(squared, count - 1, axis=1)[:, :count]
    return np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
