"""Describes the tiles that a round trains on, for its weights."""

import numpy as np

from actors.trainer.channel import TrainCommand
from actors.trainer.epoch_plan import MicroBatch
from actors.trainer.window import RowWindow
from corpus.geotiff.sampling import centre_of
from corpus.storage.rng import derive_seed
from model.known_tiles import MOST_KNOWN, KnownTiles, features_of
from model.training import TrainingModel

_AT_ONCE = 64


def known_tiles(model: TrainingModel, window: RowWindow, command: TrainCommand, run_seed: int) -> KnownTiles | None:
    """Describe up to MOST_KNOWN tiles of a command, without augmentation; None where it has a single tile.

    Args:
        model: as trained. It is in the same mode afterwards.
        window: reads the command's rows.
        command: what was trained.
        run_seed: of the run.
    """
    import torch

    encoder = model.encoder
    was_training = encoder.training
    encoder.eval()
    features, values, inputs, seen = [], [], [], set()
    for batch in _batches(command, run_seed):
        rows = window.rows(batch)
        # A tile may stand in several rows, and a copy would be no neighbour but the tile itself.
        first = [at for at, row in enumerate(rows) if not (row.tile_id in seen or seen.add(row.tile_id))]
        if not first:
            continue
        images = np.stack([_middle(rows[at].image) for at in first])
        features.append(features_of(encoder, torch.from_numpy(images)))
        values += [rows[at].values for at in first]
        said = window.inputs(batch)
        inputs += [said[at] for at in first]
    encoder.train(was_training)
    if len(values) < 2:
        return None
    gsd_m, levels, products = zip(*inputs, strict=True)
    return KnownTiles.of(
        np.concatenate(features),
        np.stack(values),
        model.clause_sizes,
        image_size_px=encoder.config.typed().vision.image_size_px,
        gsd_m=gsd_m,
        levels=levels,
        products=products,
    )


def _batches(command: TrainCommand, run_seed: int) -> list[MicroBatch]:
    """Rows at random, in the order of the round's parts, so that each block of images is read once."""
    block_rows = command.rows.block_rows
    block = np.repeat(np.arange(len(block_rows)), block_rows)
    row = np.concatenate([np.arange(rows) for rows in block_rows])
    generator = np.random.default_rng(derive_seed(run_seed, command.round, command.fold, "known tiles"))
    chosen = np.sort(generator.permutation(len(row))[:MOST_KNOWN])
    parts = [chosen[start : start + _AT_ONCE] for start in range(0, len(chosen), _AT_ONCE)]
    return [MicroBatch(index, block[part], row[part], seed=0) for index, part in enumerate(parts)]


def _middle(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else image[centre_of(len(image))]
