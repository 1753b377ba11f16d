"""Distributions of the encoder of a weights directory on tiles on disk, in this process and without a cluster."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from actors.scorer.scorer import mean_over_views
from corpus.geotiff.read import model_image
from hcot_llm.schema.files import read_schema


def zero_shot_of(
    weights_dir: Path, tiles: Sequence[Path], batch_size: int = 64, views: int = 1
) -> dict[str, np.ndarray]:
    """Distributions over the values of each clause.

    Args:
        weights_dir: Folder of the weights.
        tiles: Files of N tiles.
        batch_size: Number of tiles that are scored together.
        views: Number of symmetries over which distributions are averaged, 1 to 8.

    Returns:
        Per clause float64 [N, V].
    """
    import torch

    from actors.weights import slot_texts
    from model.checkpoint import load_encoder, load_tokenizer
    from model.score import Scorer

    schema, tokenizer = read_schema(weights_dir), load_tokenizer(weights_dir)
    scorer, clause_text = Scorer(load_encoder(weights_dir), tokenizer), slot_texts(schema, tokenizer)
    parts = []
    for start in range(0, len(tiles), batch_size):
        images = np.stack([model_image(path) for path in tiles[start : start + batch_size]]).astype(np.float32)
        tokens = scorer.image_tokens(torch.from_numpy(images))
        parts.append(
            [slot.astype(np.float64) for slot in mean_over_views(schema, scorer, clause_text, images, views, tokens)]
        )
    return {clause: np.concatenate(slots) for clause, slots in zip(schema.names, zip(*parts, strict=True), strict=True)}
