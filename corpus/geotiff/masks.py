"""Where a file has values, as its masks say: GDAL's own, alpha bands, bands named so, and a file beside it.

GDAL takes an alpha band for a mask only beside one band or three, and only of 8 or 16 bits without a sign. Programs
write one beside any bands and of any type, so it is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from corpus.geotiff.products import POLARISATION

# Descriptions without signs and spaces. A mask of water, clouds or layover says something else of a pixel.
_VALUE: Final = re.compile(
    r"alpha(?:band)?|mask(?:band)?|valid(?:ity)?(?:mask|pixels?|data)?|valid(?:data|pixels?)mask|data(?:set)?mask"
)
_NO_VALUE: Final = re.compile(r"(?:nodata|invalid|fill)(?:value)?(?:mask|pixels?|data)?|invalid(?:data|pixels?)mask")
_TWO_KINDS: Final = 0.9
"""Share of the pixels that hold 0 or the largest value of a mask; others lie on edges that were resampled."""


@dataclass(frozen=True)
class MaskBand:
    """A band that says where others have values.

    Attributes:
        index: from 1.
        says_no_value: whether it is 0 where there is a value, and not where there is none.
        polarisation: of the bands that it speaks of; "" for all.
    """

    index: int
    says_no_value: bool = False
    polarisation: str = ""


@dataclass(frozen=True)
class Masks:
    """What says where one band of a file has values, beside what GDAL knows.

    Attributes:
        bands: of the same file.
        beside: the open file FILE.tif.msk, or None.
    """

    bands: tuple[MaskBand, ...] = ()
    beside: DatasetReader | None = None

    def __bool__(self) -> bool:
        return bool(self.bands) or self.beside is not None

    def of(self, description: str) -> Masks:
        """Those that speak of a band, by its description."""
        named = POLARISATION.search(description)
        polarisation = named[1].upper() if named else ""
        return Masks(tuple(each for each in self.bands if each.polarisation in ("", polarisation)), self.beside)


NO_MASKS: Final = Masks()
NOT_APPLIED: Final = "it is not applied as a mask"
"""What is said of a band with the name of a mask and the values of none."""


def valid_pixels(
    src: DatasetReader, index: int, masks: Masks, window: Window | None = None, **resampled: Any
) -> np.ndarray:
    """Where a band has a value, as all masks say together: bool [H, W]. resampled: as `read` takes it."""
    valid = src.read_masks(index, window=window, **resampled) > 0
    for mask in masks.bands:
        stored = src.read(mask.index, window=window, **resampled)
        valid &= (stored == 0) if mask.says_no_value else (stored > 0)  # both are False of NaN
    if masks.beside is not None:
        band = _band_beside(masks.beside, index)
        valid &= masks.beside.read(band, window=window, **resampled) > 0
    return valid


def is_masked(src: DatasetReader, index: int, masks: Masks) -> bool:
    """Whether anything but a no-data value says where a band has values."""
    flags = src.mask_flag_enums[index - 1]
    return bool(masks) or MaskFlags.alpha in flags or MaskFlags.per_dataset in flags


def alpha_bands(src: DatasetReader) -> list[int]:
    """The bands whose colour interpretation is alpha."""
    return [i for i in src.indexes if src.colorinterp[i - 1] is ColorInterp.alpha]


def named_masks(described: Mapping[int, str]) -> list[MaskBand]:
    """Bands whose descriptions say that they are masks of where there is a value, or of where there is none."""
    found = []
    for index, description in described.items():
        polarisation = POLARISATION.search(description)
        text = re.sub(r"[\W_\d]+", "", POLARISATION.sub("", description).lower())
        if _VALUE.fullmatch(text) or _NO_VALUE.fullmatch(text):
            says_no_value = _NO_VALUE.fullmatch(text) is not None
            found.append(MaskBand(index, says_no_value, polarisation[1].upper() if polarisation else ""))
    return found


def not_a_mask(mask: MaskBand, arrays: Sequence[np.ndarray]) -> str | None:
    """Why a band cannot be applied as the mask that its name promises, by its values; None where it can."""
    values = np.concatenate([values[np.isfinite(values)] for values in arrays])
    kinds, counts = np.unique(values, return_counts=True)
    if not len(kinds) or (kinds[-1] == 0 and len(kinds) == 1 and not mask.says_no_value):
        return "it is 0 everywhere"
    if kinds[0] < 0:
        return "it has negative values"
    if len(kinds) == 1:
        return None
    at_ends = (counts[0] + counts[-1]) / counts.sum()
    if kinds[0] == 0 and (len(kinds) == 2 or (at_ends >= _TWO_KINDS and not (kinds % 1).any())):
        return None
    return f"its values are not 0 and one other, but {len(kinds)} from {kinds[0]:g} to {kinds[-1]:g}"


def _band_beside(mask: DatasetReader, index: int) -> int:
    """The band of GDAL's FILE.tif.msk that speaks of a band: one may be for all."""
    flags = mask.tags().get(f"INTERNAL_MASK_FLAGS_{index}", "")
    for_all = flags.isdigit() and int(flags) & MaskFlags.per_dataset
    return 1 if for_all or index > mask.count else index
