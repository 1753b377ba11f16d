"""A band of a scene, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rasterio.io import DatasetReader

from corpus.geotiff.masks import NO_MASKS, Masks
from corpus.geotiff.meaning import Meaning


@dataclass(frozen=True)
class Beside:
    """What lies beside a file and says something of it.

    Attributes:
        polarisations: of its bands, from a STAC item or the user's configuration; () where neither says.
        polarisations_why: where they come from.
        polarisations_configured: whether they come from the configuration. It speaks of every file of a source, and so
            it names the bands of backscatter and does not say that a file is any.
        backscatter: whether a file of backscatter of the same product lies beside it.
        mask: the open mask beside it, FILE.tif.msk.
    """

    polarisations: tuple[str, ...] = ()
    polarisations_why: str = ""
    polarisations_configured: bool = False
    backscatter: bool = False
    mask: DatasetReader | None = None


@dataclass(frozen=True)
class Band:
    """One band that is used: where it is in its file, what it shows, and how its numbers are read.

    Attributes:
        index: from 1, as rasterio counts.
        polarisation: VV, VH, HH, HV or "unknown".
        meaning: unit, calibration and the reasons for them.
        no_data: values, as stored, that stand for none though the file does not say so -> why.
        scale, offset: of the stored values.
        valid_share: of the pixels looked at.
        masks: what says where it has values, beside what GDAL knows.
    """

    index: int
    polarisation: str
    meaning: Meaning
    no_data: Mapping[float, str]
    scale: float
    offset: float
    valid_share: float
    masks: Masks = NO_MASKS

    @property
    def as_stored(self) -> bool:
        """Whether a tile may keep the band's stored integers: a tile's reader takes them for an amplitude."""
        return self.meaning.unit == "amplitude" and not self.no_data and (self.scale, self.offset) == (1.0, 0.0)

    def may_be_calibrated(self, dtype: str) -> bool:
        """Whether stored values of a type can be sigma nought: whole numbers are so only by a calibration or scale."""
        declared = self.meaning.calibration_db != 0 or self.meaning.unit == "db" or (self.scale, self.offset) != (1, 0)
        return dtype.startswith("float") or (declared and not self.meaning.stretched)

    def reasons(self) -> list[str]:
        """The whole reasoning on this band, a sentence each."""
        return [*self.meaning.reasons, *(f"no data: {why}" for why in self.no_data.values())]


@dataclass(frozen=True)
class Bands:
    """The decision on all bands of a file.

    Attributes:
        used: in the order of the file.
        left_out: (band, why) of the others, the band as its number and description.
        masks: the bands that were applied as masks, likewise.
        notes: further sentences, as on where the polarisations come from.
    """

    used: tuple[Band, ...]
    left_out: tuple[tuple[str, str], ...]
    masks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def polarisations(self) -> tuple[str, ...]:
        """Of the bands in use, in their order."""
        return tuple(band.polarisation for band in self.used)
