"""What the benchmark's methods that are trained here learn from: the corpus of a run, opened when one is asked for."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from actors.data.dihedral import location_after
from actors.data.images import tile_images
from benchmark.suite.pretraining import Pretraining, TrainingTiles
from corpus.tiles import tile_path
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table, select
from orchestrator.config.schema import RunConfig
from orchestrator.open_corpus import make_data, same_data
from orchestrator.policies.schedule import Schedule
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory

_FOLDER = "weights"
_SILENT = Console(stderr=True, quiet=True)


def pretraining_of(config: RunConfig, run_dir: Path | None, out: Path) -> Pretraining | None:
    """What methods that are trained here learn from, on the tiles and as long as the encoder that is compared.

    Args:
        config: of the benchmark.
        run_dir: the run whose encoder is compared; None: the configuration's own corpus and model.
        out: folder of the table, which keeps the weights.

    Returns:
        None where no run and no number of passes is named.
    """
    recipes = config.benchmark.recipes
    if run_dir is None:
        if recipes.passes is None:
            return None
        model = config.model.without_pretrained()
        return Pretraining(partial(open_tiles, config, None), model, recipes.passes, recipes, out / _FOLDER)
    directory, run = RunDirectory.open(run_dir)
    plans = Schedule(run.schedule, run.train, run.acceptance)
    trained = sum(plans.plan(record.round).epochs for record in read_records(directory.path))
    passes = recipes.passes or trained
    model = run.model.without_pretrained()
    return Pretraining(partial(open_tiles, run, directory.path), model, passes, recipes, out / _FOLDER)


def open_tiles(config: RunConfig, run_dir: Path | None, console: Console = _SILENT) -> TrainingTiles:
    """The training tiles of a corpus; it is made where it is not there yet.

    Args:
        config: of the corpus.
        run_dir: a run whose corpus it is; None: the configuration says.
        console: where the making of a corpus is told.
    """
    if run_dir is None:
        prepared = make_data(config, console)
    else:
        prepared = same_data(config, RunDirectory.open(run_dir)[0], console)
    rows = {tile["tile_id"]: tile for tile in prepared.tiles.to_pylist()}
    every = matrix_from_table(config.annotation_schema, prepared.initial)
    initial = select(every, np.asarray([rows[each]["split"] == "train" for each in every.tile_ids], bool))
    tiles = [rows[each] for each in initial.tile_ids]
    return TrainingTiles(
        initial,
        partial(_images, prepared.corpus_dir, tiles),
        _identity(initial, tiles),
        config.train.augment.dihedral,
        location_after,
    )


def _images(corpus_dir: Path, tiles: Sequence[Mapping[str, Any]], size: int) -> np.ndarray:
    """float16 [N, 2, size, size]: tiles whole, as the models see them."""
    return np.stack([tile_images(tile_path(corpus_dir, each["path"]), each, size, None).images[0] for each in tiles])


def _identity(initial: AnnotationMatrix, tiles: Sequence[Mapping[str, Any]]) -> str:
    """Digest of the tiles' pixels and of what is said of them, hexadecimal."""
    digest = hashlib.sha256(initial.schema.digest.encode())
    for tile in tiles:
        digest.update(f"{tile['tile_id']} {tile['sha256']} {tile['level_db']}\x1e".encode())
    digest.update(np.ascontiguousarray(initial.values, np.int64).tobytes())
    return digest.hexdigest()
