"""What the models of a weights directory together say of images, in this process and without a cluster."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actors.captioner.readout import slot_distributions
from actors.scorer.scorer import look_at
from hcot_llm.schema.files import read_schema

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


def read_images(weights_dir: Path, images: np.ndarray, views: int) -> ImagesRead:
    """Have the encoder compare images with the clauses' values, and read the captioner's image tokens.

    What each of them is worth stands in docs/input.md.

    Args:
        weights_dir: Folder of the weights.
        images: real [N, 2, S, S], as `corpus.geotiff.read.model_images` gives them.
        views: Number of symmetries over which distributions are averaged, 1 to 8.
    """
    import torch

    from actors.weights import slot_texts
    from model.checkpoint import load_captioner, load_encoder, load_tokenizer
    from model.known_tiles import KnownTiles, features_of
    from model.score import Scorer

    schema, tokenizer = read_schema(weights_dir), load_tokenizer(weights_dir)
    encoder, captioner = load_encoder(weights_dir), load_captioner(weights_dir).eval()
    scorer, clause_text = Scorer(encoder, tokenizer), slot_texts(schema, tokenizer)
    compared = [
        look_at(schema, scorer, clause_text, list(images[start : start + _BATCH_TILES, None]), views).zero_shot
        for start in range(0, len(images), _BATCH_TILES)
    ]
    read = slot_distributions(schema, captioner, images, views, _BATCH_TILES)
    known = KnownTiles.load(weights_dir)
    return ImagesRead(
        {
            clause: (np.concatenate(said).astype(np.float64) + read[clause]) / 2
            for clause, said in zip(schema.names, zip(*compared, strict=True), strict=True)
        },
        None if known is None else known.distance(features_of(encoder, torch.from_numpy(images.astype(np.float32)))),
    )
