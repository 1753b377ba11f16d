"""What the pixels of a band say of themselves: their spread, their speckle, and which value stands for none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

# Constants that programs write where there is no value.
KNOWN_FILL: Final = frozenset(
    map(float, (-9999, -99999, -999, -99, -32768, -32767, -2147483648, -1e10, 9999, 99999, 32767, 65535, 4294967295))
)
_HUGE: Final = 1e19  # no scale of backscatter has such values; 3.4e38 and 9.97e36 stand for none
_BLOCK: Final = 8
_ENOUGH_BLOCKS: Final = 40
_ROUNDS: Final = 6
SPECKLE_OF_POWER: Final = 1.5
"""The least of `Values.speckle` of a power: it measures 1.5 to 2.4, that of amplitude .7 to 1.6."""
SPREAD_OF_AMPLITUDE: Final = 0.3
"""`Values.local_spread` of an amplitude of several looks is below, that of a power mostly above."""
SPREAD_OF_DECIBELS: Final = 0.12
"""`Values.local_spread` of decibels of digital numbers, about .05, is below; linear values have .15 to 1."""
_FEWEST_PIXELS: Final = 64
_MOST_COMMON: Final = 4
_STANDS_OUT: Final = 8


@dataclass(frozen=True)
class Patch:
    """A window of one band as it is stored.

    Attributes:
        values: real [H, W].
        valid: bool [H, W], False where the file itself says that there is no value.
        edges: which sides lie at the edge of the scene: top, bottom, left, right.
    """

    values: np.ndarray
    valid: np.ndarray
    edges: tuple[bool, bool, bool, bool]


@dataclass(frozen=True)
class Constant:
    """One value that may stand for "no value".

    Attributes:
        value: as it is stored.
        count: pixels that hold it.
        share: of the pixels that the file calls valid.
        solid: share of its pixels whose eight neighbours hold it too.
        frame: share of the scene's outermost pixels that hold it.
        gap: distance to the nearest other value, in widths of the middle 99 % of the others.
        lowest, highest: whether it is the smallest or the largest value.
        stands_out: how often it occurs for each pixel of the next value; large for a fill value of integers.
        eight_bits: whether the band is stored in 8-bit integers.
        others: how many other values the band has.
        blocks: share of its pixels that lie in a block of 3 x 3 that hold it. Nearly all of a fill value do; where
            values are clipped at a noise floor, speckle scatters many pixels around the dark areas.
        floor: whether it is the smallest value and the next one follows closely, as where values are clipped.
    """

    value: float
    count: int
    share: float
    solid: float
    frame: float
    gap: float
    lowest: bool
    highest: bool
    stands_out: float
    eight_bits: bool
    others: int
    blocks: float = 0.0
    floor: bool = False


@dataclass(frozen=True)
class Values:
    """How the valid values of a band are spread, in the unit that its scale and offset lead to.

    Attributes:
        count: valid pixels looked at.
        valid_share: of the pixels looked at.
        negative_share: of the valid ones.
        low, middle, high: 1st, 50th and 99th percentile.
        minimum, maximum: of all.
        distinct: different values, at most 1000 are counted.
        local_spread: median over blocks of 8 x 8 pixels of the standard deviation over the mean; NaN if too few.
        speckle: third central moment over the square of the variance, both relative to the mean, in the smoother half
            of the blocks. 2 for power whatever the number of looks, about 1 for amplitude; NaN if too few blocks.
        structure: standard deviation of the blocks' means over that of the pixels: 1/8 for noise alone, above .3 where
            there is a picture; NaN if too few blocks.
        roughness: median distance of a pixel from the mean of its four neighbours, over the width of the middle 98 %.
    """

    count: int
    valid_share: float
    negative_share: float
    low: float
    middle: float
    high: float
    minimum: float
    maximum: float
    distinct: int
    local_spread: float
    speckle: float
    structure: float
    roughness: float


def suspected_no_data(constant: Constant) -> str | None:
    """Why a value that no file declares stands for "no value" all the same; None where it is a value.

    A pure rule: a fill value is far away from all others, or fills whole areas at the edge of the scene.
    """
    if abs(constant.value) >= _HUGE:
        return f"{constant.value:g} is no value of backscatter"
    extreme = constant.lowest or constant.highest
    if extreme and constant.value in KNOWN_FILL and constant.gap >= 1:
        return f"{constant.value:g} lies alone, {constant.gap:.0f} times the spread of the others away"
    if constant.lowest and constant.value < 0 and constant.gap >= 3:
        return f"{constant.value:g} lies alone, {constant.gap:.0f} times the spread of the others away"
    if constant.count < _FEWEST_PIXELS:
        return None
    area = constant.blocks >= 0.9 and constant.solid >= 0.3 and constant.stands_out >= _STANDS_OUT
    area = area and not constant.floor
    if constant.eight_bits:
        alone = constant.stands_out >= _STANDS_OUT and (extreme or (area and constant.others >= 32))
        if alone and constant.solid >= 0.8 and constant.frame >= 0.05:
            return f"{constant.value:g} fills whole areas at {constant.frame:.0%} of the edge"
        return None
    at_edge = constant.frame >= 0.02 and constant.solid >= 0.3
    alone = extreme and constant.gap >= 0.1 and constant.others >= 32
    if at_edge and (constant.value == 0 or constant.value in KNOWN_FILL or alone):
        return f"{constant.value:g} fills whole areas at {constant.frame:.0%} of the edge"
    if constant.value == 0 and constant.solid >= 0.5:
        return "0 fills whole areas, which no speckled value does"
    if area and constant.others >= 32 and (constant.frame >= 0.02 or constant.share >= 0.02):
        return f"{constant.value:g} fills whole areas, {constant.share:.0%} of the scene, which no speckled value does"
    return None


def find_no_data(patches: Sequence[Patch]) -> tuple[dict[float, str], np.ndarray]:
    """Values of one band that stand for "no value" though the file does not say so.

    Returns:
        Value -> why, and the remaining valid finite values, one-dimensional, as they are stored.
    """
    found: dict[float, str] = {}
    values = np.concatenate([patch.values[_finite(patch)].ravel() for patch in patches])
    present, counts = np.unique(values, return_counts=True)
    total = max(len(values), 1)
    for _ in range(_ROUNDS):
        if len(present) < 2:
            break
        candidates = {0, len(present) - 1, *_common(counts), *np.flatnonzero(present == 0)}
        hits = {}
        for index in sorted(candidates):
            constant = _constant(index, present, counts, total, patches)
            if why := suspected_no_data(constant):
                hits[index] = why
        if not hits:
            break
        found |= {float(present[index]): why for index, why in hits.items()}
        keep = np.ones(len(present), bool)
        keep[list(hits)] = False
        present, counts = present[keep], counts[keep]
    if found:
        values = values[~np.isin(values, np.array(list(found), values.dtype))]
    return found, values


def measure(patches: Sequence[Patch], no_data: Sequence[float], scale: float = 1.0, offset: float = 0.0) -> Values:
    """Statistics of the valid values of one band. no_data: values, as stored, that stand for none."""
    looked_at = max(sum(patch.values.size for patch in patches), 1)
    scaled = []
    for patch in patches:
        valid = _finite(patch)
        for value in no_data:
            valid &= patch.values != value
        with np.errstate(over="ignore", invalid="ignore"):
            scaled.append(np.where(valid, patch.values.astype(np.float64) * scale + offset, np.nan))
    flat = np.concatenate([values[np.isfinite(values)] for values in scaled])
    if not len(flat):
        nan = float("nan")
        return Values(0, 0.0, 0.0, nan, nan, nan, nan, nan, 0, nan, nan, nan, nan)
    low, middle, high = np.percentile(flat, [1, 50, 99])
    some = flat[:: max(1, len(flat) // 50_000)]
    spread, speckle, structure = _speckle(scaled)
    return Values(
        len(flat),
        len(flat) / looked_at,
        float((flat < 0).mean()),
        float(low),
        float(middle),
        float(high),
        float(flat.min()),
        float(flat.max()),
        min(len(np.unique(some)), 1000),
        spread,
        speckle,
        structure,
        _roughness(scaled, high - low),
    )


def _finite(patch: Patch) -> np.ndarray:
    return patch.valid & np.isfinite(patch.values) if patch.values.dtype.kind == "f" else patch.valid.copy()


def _constant(index: int, present: np.ndarray, counts: np.ndarray, total: int, patches: Sequence[Patch]) -> Constant:
    value, count = present[index], int(counts[index])
    others, weights = np.delete(present, index), np.delete(counts, index)
    ranks = np.cumsum(weights)
    low, high = (float(others[np.searchsorted(ranks, share * ranks[-1])]) for share in (0.005, 0.995))
    nearest = float(np.abs(others.astype(np.float64) - float(value)).min())
    solid = frame = framed = blocks = 0
    if count >= _FEWEST_PIXELS:  # below, no rule looks at them
        for patch in patches:
            same = _finite(patch) & (patch.values == value)
            inner = np.asarray(ndimage.binary_erosion(same, np.ones((3, 3)), border_value=1))
            solid += int(inner.sum())
            blocks += int((ndimage.binary_dilation(inner, np.ones((3, 3))) & same).sum())
            for at_edge, line in zip(patch.edges, (same[0], same[-1], same[:, 0], same[:, -1]), strict=True):
                if at_edge:
                    frame, framed = frame + int(line.sum()), framed + line.size
    return Constant(
        value=float(value),
        count=count,
        share=count / total,
        solid=solid / count,
        frame=frame / max(framed, 1),
        gap=nearest / max(high - low, 1e-30),
        lowest=index == 0,
        highest=index == len(present) - 1,
        stands_out=_stands_out(index, counts),
        eight_bits=patches[0].values.dtype.itemsize == 1,
        others=len(others),
        blocks=blocks / count,
        floor=index == 0 and nearest <= 0.005 * (high - low) and (value <= 0 or nearest <= 0.05 * float(value)),
    )


def _stands_out(index: int, counts: np.ndarray) -> float:
    return float(counts[index] / max(1, *(counts[i] for i in (index - 1, index + 1) if 0 <= i < len(counts))))


def _common(counts: np.ndarray) -> list[int]:
    """Places of the most common value, and of the next ones that may fill areas."""
    most = np.argpartition(counts, -min(_MOST_COMMON, len(counts)))[-_MOST_COMMON:]
    most = most[np.argsort(-counts[most])]
    first, *rest = (int(index) for index in most)
    return [first, *(i for i in rest if counts[i] >= _FEWEST_PIXELS and _stands_out(i, counts) >= _STANDS_OUT)]


def _speckle(arrays: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """(local_spread, speckle, structure) as `Values` has them."""
    blocks = []
    for values in arrays:
        rows, columns = (size - size % _BLOCK for size in values.shape)
        cut = values[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
        cut = cut.swapaxes(1, 2).reshape(-1, _BLOCK * _BLOCK)
        blocks.append(cut[np.isfinite(cut).all(axis=1)])
    values = np.concatenate(blocks)
    mean, variance = values.mean(axis=1), values.var(axis=1, ddof=1)
    usable = (mean != 0) & (variance > 0)
    if usable.sum() < _ENOUGH_BLOCKS:
        return float("nan"), float("nan"), float("nan")
    values, mean, variance = values[usable], mean[usable], variance[usable]
    size = values.shape[1]
    third = ((values - mean[:, None]) ** 3).sum(axis=1) * size / ((size - 1) * (size - 2)) / mean**3
    relative = variance / mean**2
    smooth = relative <= np.median(relative)
    both = (
        third[smooth].mean() / (relative[smooth] ** 2).mean(),
        np.median(third) / np.median(relative) ** 2,
    )
    return float(np.sqrt(np.median(relative))), float(np.mean(both)), float(mean.std() / values.std())


def _roughness(arrays: Sequence[np.ndarray], width: float) -> float:
    if not width > 0:
        return float("nan")
    distances = []
    for values in arrays:
        if min(values.shape) < 3:
            continue
        mean = (values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]) / 4
        distance = np.abs(values[1:-1, 1:-1] - mean)
        distances.append(distance[np.isfinite(distance)])
    flat = np.concatenate(distances) if distances else np.array([])
    return float(np.median(flat) / width) if len(flat) else float("nan")
