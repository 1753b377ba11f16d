"""What whole numbers without a declared scale are: an amplitude, unless the file or the numbers say otherwise."""

from __future__ import annotations

from typing import Final

from corpus.geotiff.measure import SPECKLE_OF_POWER, SPREAD_OF_AMPLITUDE, SPREAD_OF_DECIBELS, Values
from corpus.geotiff.products import Unit

UNITS_KEY: Final = "corpus.ingest.units"
HINT: Final = (
    "A scale and an offset say what whole numbers are (value = scale x number + offset): for decibels times 100, "
    "`gdal_edit.py -scale 0.01 -units dB FILE`; for decibels plus 30 times 5, `gdal_edit.py -scale 0.2 -offset -30 "
    f"-units dB FILE`. Whole decibels are read with {UNITS_KEY}=db, digital numbers with {UNITS_KEY}=amplitude or "
    "=power."
)
# 1st to 99th percentile of one scene: single-look speckle has 27 dB, and surfaces add 30.
_WIDEST_DB: Final = 60.0
_LOWEST_DB, _HIGHEST_DB = -100.0, 150.0
# Half of a scene lies above: cross-polarised calm water reaches the noise floor of a sensor at -35.
_LOWEST_MEDIAN_DB: Final = -40.0
# Logarithms skew to small values, and lie close.
_RATIO_OF_LOGARITHMS: Final = 8.0


def objection(unit: Unit, values: Values, *, confirmed: bool = False) -> str | None:
    """Why whole numbers cannot be in a unit as they are, in words; None where they can.

    Args:
        unit: that the file or the configuration says.
        values: the numbers.
        confirmed: whether the configuration says it, so that decibels may all be positive, as those of digital numbers.
    """
    if unit != "db":
        negative = f"{values.negative_share:.0%} of the whole numbers are negative, and no scale is declared"
        return negative if values.negative_share > 0.5 else None
    if values.low < _LOWEST_DB or values.high > _HIGHEST_DB or values.high - values.low > _WIDEST_DB:
        return f"they run from {values.low:.4g} to {values.high:.4g}, and no scale is declared"
    if values.middle < _LOWEST_MEDIAN_DB:
        return f"half of them lie below {values.middle:.4g}, and no scale is declared"
    if values.negative_share < 0.02 and not confirmed:
        return f"{values.negative_share:.0%} of them are negative, and no offset is declared"
    return None


def told_by_values(values: Values, *, power: bool, eight_bits: bool) -> tuple[Unit, str] | str | None:
    """(unit, why) of numbers of which nothing declares the unit, or why they are unclear; None for an amplitude.

    Args:
        values: the numbers.
        power: whether something names a power, as Sigma0 does, which may be stored as one or as an amplitude.
        eight_bits: whether they are grey values, which are stretched in many ways.
    """
    said = (
        f"half lie below {values.middle:.4g}, 98 % lie from {values.low:.4g} to {values.high:.4g}, and speckle is "
        f"{values.speckle:.2f} (power 2, amplitude 1)"
    )
    close = values.low > 0 and values.high < _RATIO_OF_LOGARITHMS * values.low
    close = close and values.local_spread < SPREAD_OF_DECIBELS
    if values.speckle < 0 and (power or (close and not eight_bits)):
        return f"whole numbers that look like decibels with a scale or an offset, which nothing declares: {said}"
    if not power:
        return None
    if values.speckle >= SPECKLE_OF_POWER and values.local_spread >= SPREAD_OF_AMPLITUDE:
        return "power", f"its name is that of a power, and {said}"
    if values.speckle < SPECKLE_OF_POWER and values.local_spread < SPREAD_OF_AMPLITUDE:
        return None
    return f"whole numbers that are a power or an amplitude: {said}"
