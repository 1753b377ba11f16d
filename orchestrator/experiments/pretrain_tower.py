"""A vision tower that learns from images alone, before a run trains it with text."""

from functools import partial
from pathlib import Path

from rich.console import Console

from benchmark.baselines.recipes.base import Material
from benchmark.baselines.recipes.methods import TRAINED_HERE, WITHOUT_TEXT
from benchmark.suite.pretraining import Pretraining
from corpus.storage.errors import InputError
from model.own_tower import FILE, write_tower
from model.vision import VisionTower
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.pretraining import open_tiles
from orchestrator.monitoring.progress import Progress


def pretrain_tower(config: RunConfig, recipe: str, passes: int, out: Path, console: Console) -> Path:
    """Train the encoder's vision tower on the training tiles of a corpus, whose annotations are not read.

    Args:
        config: of the corpus, of the tower (`model.encoder.vision`), and of the recipe (`benchmark.recipes`).
        recipe: a name of `WITHOUT_TEXT`.
        passes: over the training tiles.
        out: folder of the file; there is none yet.
        console: where progress is printed.

    Returns:
        The file.

    Raises:
        InputError: there is no such recipe, a file lies there already, or there are too few tiles.
    """
    if recipe not in WITHOUT_TEXT:
        raise InputError(
            f"There is no recipe {recipe!r} that learns from images alone. There are: {', '.join(WITHOUT_TEXT)}."
        )
    if (out / FILE).exists():
        raise InputError(f"{out / FILE} exists. Weights are not overwritten: name another folder, or remove it.")
    tiles = open_tiles(config, None, console)
    count = len(tiles.initial)
    if count < 2:
        raise InputError(f"A tower learns from two training tiles at least; the corpus has {count}.")
    model = config.model.without_pretrained()
    pretraining = Pretraining(partial(open_tiles, config, None), model, passes, config.benchmark.recipes, out)
    method = TRAINED_HERE[recipe].recipe()
    with Progress(console) as bar:
        said = partial(bar.preparing, f"passes over {count:,} tiles")
        tower, _ = method.train(Material(pretraining, tiles, method.config_of(pretraining), recipe, said))
    assert isinstance(tower, VisionTower)
    facts = {
        "recipe": recipe,
        "passes": str(passes),
        "tiles": str(count),
        "seed": str(config.benchmark.recipes.seed),
        "tiles_sha256": tiles.identity,
    }
    return write_tower(tower, out, facts)
