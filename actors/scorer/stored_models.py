"""What the models of a weights directory together say of images, in this process and without a cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actors.captioner.readout import slot_distributions
from actors.scorer.scorer import look_at, open_scorer

if TYPE_CHECKING:
    from model.known_tiles import KnownTiles

_BATCH_TILES = 64


@dataclass(frozen=True)
class ImagesRead:
    """What encoder and captioner say of N images.

    Attributes:
        distributions: Per clause float64 [N, V], the mean of both models' distributions over its values.
        distance: float64 [N], from the training tiles, 1 at the limit beyond which an image is foreign; None where the
            weights do not say what they were trained on.
    """

    distributions: dict[str, np.ndarray]
    distance: np.ndarray | None


def read_images(weights_dir: Path, known: "KnownTiles | None", images: np.ndarray, views: int) -> ImagesRead:
    """Have the encoder compare images with the clauses' values, and read the captioner's image tokens.

    What each of them is worth stands in docs/input.md.

    Args:
        weights_dir: Folder of the weights.
        known: What they were trained on; None: they do not say.
        images: real [N, 2, S, S], as `corpus.geotiff.read.model_images` gives them.
        views: Number of symmetries over which distributions are averaged, 1 to 8.
    """
    import torch

    from model.checkpoint import load_captioner
    from model.known_tiles import features_of

    schema, scorer, clause_text = open_scorer(weights_dir)
    captioner = load_captioner(weights_dir).eval()
    compared = [
        look_at(schema, scorer, clause_text, list(images[start : start + _BATCH_TILES, None]), views).zero_shot
        for start in range(0, len(images), _BATCH_TILES)
    ]
    read = slot_distributions(schema, captioner, images, views, _BATCH_TILES)
    distributions = {
        clause: (np.concatenate(said).astype(np.float64) + read[clause]) / 2
        for clause, said in zip(schema.names, zip(*compared, strict=True), strict=True)
    }
    if known is None:
        return ImagesRead(distributions, None)
    features = features_of(scorer.encoder, torch.from_numpy(images.astype(np.float32)))
    return ImagesRead(distributions, known.distance(features))
