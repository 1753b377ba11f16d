"""Which polarisations what lies beside a file says its bands are, where the file itself does not."""

from __future__ import annotations

from pathlib import Path

from rasterio.io import DatasetReader

from corpus.geotiff import products
from corpus.geotiff.items import ItemFacts
from corpus.geotiff.masks import alpha_bands
from corpus.ingest.config import IngestConfig
from corpus.ingest.scenes import Scene

CONFIGURED = "corpus.ingest.polarisations"
"""The configuration as who says so: it speaks of every file of a source."""


def stated_polarisations(
    src: DatasetReader, scene: Scene, item: ItemFacts | None, config: IngestConfig
) -> tuple[tuple[str, ...], str]:
    """(polarisations, who says so): the item beside the file, its folder or product, the configuration.

    The first that says as many as there are bands; where none does, the first that says any.
    """
    stated = []
    if item is not None and item.polarisations:
        stated.append((item.polarisations, f"the item {item.file}"))
    if found := products.polarisation_of_product(_with_folder(scene)):
        stated.append(((found[0],), found[1]))
    if config.polarisations:
        stated.append((tuple(config.polarisations), CONFIGURED))
    bands = src.count - len(alpha_bands(src))
    fitting = [each for each in stated if len(each[0]) == bands]
    return next(iter(fitting or stated), ((), ""))


def _with_folder(scene: Scene) -> str:
    """The scene's name; that of the source's folder before it where it lies in none below."""
    if "/" in scene.name or not isinstance(scene.path, Path):
        return scene.name
    return f"{scene.path.absolute().parent.name}/{scene.name}"
