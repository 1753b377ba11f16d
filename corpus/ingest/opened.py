"""One scene, open: the files of its polarisations on one grid, their bands decided, read together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from corpus.geotiff import metadata
from corpus.geotiff.band import Band, Bands, Beside
from corpus.geotiff.bands import decide_bands, has_mask, read_bands
from corpus.geotiff.compact import refuse_compact
from corpus.geotiff.files import mask_beside, open_geotiff, open_mask_beside
from corpus.geotiff.items import ItemFacts, item_beside
from corpus.geotiff.patches import sample_windows
from corpus.geotiff.reasons import TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.scenes import Scene
from corpus.ingest.stated import CONFIGURED, stated_polarisations

_LICENCE_TAGS = ("LICENSE", "LICENCE", "COPYRIGHT", "TIFFTAG_COPYRIGHT")
ANISOTROPIC = 1.1
"""Pixels whose sides on the ground differ by more than this factor are resampled to squares."""


@dataclass(frozen=True)
class Part:
    """One open file of a scene."""

    scene: Scene
    src: DatasetReader
    bands: Bands
    item: ItemFacts | None


@dataclass(frozen=True)
class Statistics:
    """Of the decibels of a scene.

    Attributes:
        medians, deviations: of each band in dB; NaN where no pixel has a value.
        valid_share: share of the pixels with a value in all bands.
        pixels: with a value, of the band that has fewest.
    """

    medians: list[float]
    deviations: list[float]
    valid_share: float
    pixels: int


@dataclass(frozen=True)
class OpenScene:
    """The open files of one scene. They share size, map and transform."""

    parts: tuple[Part, ...]

    @property
    def first(self) -> DatasetReader:
        """The file that stands for the scene: of VV or HH, where there is one."""
        return self.parts[0].src

    @property
    def name(self) -> str:
        """Of the first file, below the source."""
        return self.parts[0].scene.name

    @property
    def bands(self) -> list[Band]:
        """All bands in use, in the order of `read`."""
        return [band for part in self.parts for band in part.bands.used]

    @property
    def polarisations(self) -> tuple[str, ...]:
        """One for each band."""
        return tuple(band.polarisation for band in self.bands)

    @property
    def item(self) -> ItemFacts | None:
        """The STAC item beside one of the files."""
        return next((part.item for part in self.parts if part.item is not None), None)

    @property
    def tags(self) -> dict[str, str]:
        """Of the first file."""
        return self.first.tags()

    @property
    def platform(self) -> str:
        """See `metadata.platform_of`."""
        return metadata.platform_of(self.tags, self.name, self.item)

    @property
    def acquired(self) -> str:
        """See `metadata.acquired_of`."""
        return metadata.acquired_of(self.tags, self.name, self.item)

    @property
    def licence(self) -> str:
        """As the STAC item beside a file says, else a tag of the first file; "" where neither does."""
        said = self.item.licence if self.item is not None else ""
        return said or next((text for key in _LICENCE_TAGS if (text := self.tags.get(key, "").strip())), "")

    def read(self, window: Window | None = None) -> np.ndarray:
        """Decibels, float32 [bands, H, W], NaN where there is no value."""
        return np.concatenate([read_bands(part.src, part.bands.used, window) for part in self.parts])

    def may_be_calibrated(self) -> bool:
        """Whether the stored values of all bands can be sigma nought, see `Band.may_be_calibrated`."""
        return all(
            band.may_be_calibrated(part.src.dtypes[band.index - 1]) for part in self.parts for band in part.bands.used
        )

    def keeps_integers(self) -> bool:
        """Whether tiles may keep the stored integers, since tags and one no-data value say all there is to say."""
        kinds = {part.src.dtypes[band.index - 1] for part in self.parts for band in part.bands.used}
        no_data = {part.src.nodata for part in self.parts}
        calibrations = {band.meaning.calibration_db for band in self.bands}
        return (
            len(kinds) == len(no_data) == len(calibrations) == 1
            and not next(iter(kinds)).startswith("float")
            and all(band.as_stored for band in self.bands)
            and not any(has_mask(part.src, part.bands.used) for part in self.parts)
        )

    def read_stored(self, window: Window) -> np.ndarray:
        """Stored values of the bands, [bands, H, W]."""
        return np.concatenate(
            [part.src.read([band.index for band in part.bands.used], window=window) for part in self.parts]
        )

    def masks(self) -> list[str]:
        """What says where there are values, beside what GDAL knows: bands of the files, and files beside them."""
        found = []
        for part in self.parts:
            found += [f"{part.scene.name}, band {band}" for band in part.bands.masks]
            if beside := mask_beside(part.scene.path):
                found.append(f"{part.scene.name}{beside.suffix}")
        return found

    @property
    def is_sampled_whole(self) -> bool:
        """Whether `statistics` are those of all pixels."""
        return len(sample_windows(self.first.width, self.first.height)) == 1

    def statistics(self) -> Statistics:
        """Of the whole of a small scene, of patches of a large one."""
        arrays = [self.read(window) for window in sample_windows(self.first.width, self.first.height)]
        columns = [np.concatenate([array[band].ravel() for array in arrays]) for band in range(len(self.bands))]
        finite = [column[np.isfinite(column)].astype(np.float64) for column in columns]
        everywhere = np.isfinite(np.stack(columns)).all(axis=0).mean()
        return Statistics(
            [float(np.median(values)) if len(values) else float("nan") for values in finite],
            [float(values.std()) if len(values) else float("nan") for values in finite],
            float(everywhere),
            min(len(values) for values in finite),
        )

    def ground(self) -> tuple[float, float]:
        """Metres on the ground from column to column, and from row to row."""
        return metadata.ground_sample_distances(
            self.first.crs, self.first.transform, self.first.width, self.first.height
        )

    def window(self, side: int) -> tuple[int, int]:
        """(rows, columns) of a window whose coarser side has `side` pixels and that is square on the ground."""
        across, down = self.ground()
        if max(across, down) <= ANISOTROPIC * min(across, down):
            return side, side
        coarse = max(across, down)
        return round(side * coarse / down), round(side * coarse / across)


@contextmanager
def open_scene(
    scenes: Sequence[Scene], config: IngestConfig, *, beside_backscatter: bool = False
) -> Iterator[OpenScene]:
    """Open the files of one scene and decide their bands.

    Raises:
        TileError: as `open_geotiff` and `decide_bands`, under the name of the file.
    """
    with ExitStack() as stack:
        parts = []
        for scene in scenes:
            item = item_beside(scene.path) if isinstance(scene.path, Path) else None
            src = stack.enter_context(_named(scene, config.allow_virtual))
            mask = stack.enter_context(open_mask_beside(scene.path, src))
            parts.append(Part(scene, src, _bands(src, scene, item, mask, config, beside_backscatter), item))
        yield OpenScene(tuple(parts))


@contextmanager
def _named(scene: Scene, allow_virtual: bool) -> Iterator[DatasetReader]:
    """The open file; an error of it is told under the name it has below the source."""
    try:
        with open_geotiff(scene.path, allow_virtual=allow_virtual) as src:
            yield src
    except TileError as error:
        if error.path == str(scene.path):
            raise TileError(scene.name, error.reason, error.hint) from error
        raise


def _bands(
    src: DatasetReader,
    scene: Scene,
    item: ItemFacts | None,
    mask: DatasetReader | None,
    config: IngestConfig,
    beside_backscatter: bool,
) -> Bands:
    refuse_compact(src, scene.name)
    stated, why = stated_polarisations(src, scene, item, config)
    beside = Beside(stated, why, why == CONFIGURED, beside_backscatter, mask)
    return decide_bands(src, scene.name, units=config.units, beside=beside)


def on_one_grid(scenes: Sequence[Scene], allow_virtual: bool) -> bool:
    """Whether files can be one scene: each opens, and they have one size, map and transform."""
    grids: set[tuple[int, int, str, Affine]] = set()
    for scene in scenes:
        try:
            with open_geotiff(scene.path, allow_virtual=allow_virtual) as src:
                rounded = Affine(*(round(value, 9) for value in src.transform[:6]))
                grids.add((src.width, src.height, CRS.to_wkt(src.crs), rounded))
        except TileError:
            return False
    return len(grids) == 1


__all__ = ["ANISOTROPIC", "OpenScene", "on_one_grid", "open_scene"]
