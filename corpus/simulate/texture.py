"""Texture within classes of cover: what keeps a wood or a suburb from being one level under speckle."""

from __future__ import annotations

import numpy as np

from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import blobs
from corpus.simulate.recipe import Recipe


def draw_texture(c: Canvas, recipe: Recipe, rng: np.random.Generator) -> None:
    """Adds the recipe's texture of every cover to `c.texture_db`, and that of cross-polarisation to `c.cross_db`."""
    for cover, texture in recipe.texture.items():
        where = c.cover == cover
        if not where.any():
            continue
        fine, own = (blobs(rng, c.n, max(texture.fine_m / c.gsd_m / 2, 0.4)) for _ in range(2))
        coarse = blobs(rng, c.n, texture.coarse_m / c.gsd_m / 2)
        c.texture_db[where] += (texture.fine_db * fine + texture.coarse_db * coarse)[where]
        damped = (recipe.cross_share - 1) * texture.coarse_db * coarse
        c.cross_db[where] += (texture.cross_db * own + damped)[where]
