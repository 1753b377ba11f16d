"""What the numbers of one band mean: decided from all that is known of the band, with the reasons in words.

The decision is a pure function of `BandFacts`. What a file declares comes first, what the user configured second, what
the values themselves tell last; and a declaration that the values contradict is no decision, but an unclear band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from corpus.geotiff import integers, products
from corpus.geotiff.integers import UNITS_KEY
from corpus.geotiff.measure import SPECKLE_OF_POWER, SPREAD_OF_AMPLITUDE, SPREAD_OF_DECIBELS, Values
from corpus.geotiff.products import Unit

_UNIT_NAMES = products.UNIT_NAMES
# Decibels of backscatter, or of digital numbers (a 16-bit number has 96 dB), lie inside.
LOWEST_DB: Final = -150.0
HIGHEST_DB: Final = 150.0
# 98 % of one scene: speckle of one look has 27 dB, water against a town 50.
_WIDEST_DB: Final = 90.0
# 99th over 1st percentile. Decibels of digital numbers are mostly below 2, amplitudes above 3, powers above 10.
_RATIO_OF_DECIBELS: Final = 2.2
_RATIO_OF_LINEAR: Final = 2.8
# A filter may leave 1.3 of the speckle of power; that of amplitude is .7 to 1.5. One look of it has a spread of .5.
_SPECKLE_OF_AMPLITUDE: Final = 1.2
_SPREAD_OF_POWER: Final = 0.6
# Sigma nought of any surface has a median below; above, the numbers are digital numbers.
_HIGHEST_MEDIAN_OF_SIGMA: Final = 5.0


class Verdict(StrEnum):
    """What a band is taken for."""

    BACKSCATTER = "backscatter"
    NOT_BACKSCATTER = "not_backscatter"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class BandFacts:
    """All that is known of one band before its meaning is decided.

    Attributes:
        name: of the file, with the folders it lies in.
        dtype: of the stored pixels, as rasterio names it.
        values: statistics in the unit that scale and offset lead to; None where no pixel was looked at.
        description: of the band; "" where there is none.
        declared_unit: what the tag UNITS or the band's unit says; "" where neither does.
        scale, offset: declared for the band, 1 and 0 where none is.
        calibration_db: tag CALIBRATION_DB or what a side-car of the product declares, None where none does.
        calibration_why: where calibration_db comes from.
        interpretation: colour interpretation in lower case: "gray", "red", "palette", "alpha".
        colour_table: whether the band has one.
        polarised: whether the file, its tags or its name says which polarisation the band is.
        beside_backscatter: whether a file of backscatter of the same product lies beside.
    """

    name: str
    dtype: str
    values: Values | None
    description: str = ""
    declared_unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    calibration_db: float | None = None
    calibration_why: str = ""
    interpretation: str = "gray"
    colour_table: bool = False
    polarised: bool = True
    beside_backscatter: bool = False


@dataclass(frozen=True)
class Meaning:
    """The decision on one band.

    Attributes:
        verdict: what the band is.
        unit: of the scaled values; None where the band is not backscatter, or unclear.
        calibration_db: taken off 20 log10 of digital numbers.
        stretched: whether the values are 8-bit grey values, of which 0 is the darkest and not "no value".
        reasons: sentences, the deciding one first.
        hint: what the user can do, where the band is unclear.
    """

    verdict: Verdict
    unit: Unit | None = None
    calibration_db: float = 0.0
    stretched: bool = False
    reasons: tuple[str, ...] = field(default=())
    hint: str = ""


def decide(facts: BandFacts, configured: Unit | None = None) -> Meaning:
    """What the numbers of a band mean. configured: the unit of bands whose files do not declare one."""
    if what := _what_else(facts):
        return Meaning(Verdict.NOT_BACKSCATTER, reasons=(what,))
    scaled = facts.scale != 1 or facts.offset != 0
    if facts.dtype.startswith("float") or scaled:
        meaning = _of_real_numbers(facts, configured)
        said = f"the file's scale {facts.scale:g} and offset {facts.offset:g} are applied"
        return _with_reason(meaning, said) if scaled else meaning
    return _of_digital_numbers(facts, configured)


def _what_else(facts: BandFacts) -> str | None:
    """What a band is that is no backscatter, as a sentence; None where it may be backscatter."""
    if facts.colour_table or facts.interpretation == "palette":
        return "it has a colour table, so its values are classes"
    if facts.interpretation == "alpha":
        return "it is an alpha band: a mask"
    if what := products.not_backscatter(facts.name, beside_backscatter=facts.beside_backscatter):
        return f"its name says that it is {what}"
    if facts.description and (what := products.band_not_backscatter(facts.description)):
        return f"its description {facts.description!r} says that it is {what}"
    if facts.interpretation in ("red", "green", "blue") and not facts.polarised and facts.dtype == "uint8":
        return "its bands are red, green and blue: a picture of a product"
    values = facts.values
    if values is None or values.count == 0 or values.minimum == values.maximum or facts.polarised:
        return None
    if facts.dtype == "uint8" and values.distinct <= 12 and values.count >= 4096:
        return f"it has {values.distinct} different values and names no polarisation: a map of classes"
    if values.roughness < 0.004 and values.count >= 4096 and values.distinct > 12:
        return "it is as smooth as terrain or an angle, without speckle, and names no polarisation"
    return None


def _of_digital_numbers(facts: BandFacts, configured: Unit | None) -> Meaning:
    """Integers without scale: an amplitude, unless the file says otherwise."""
    values = facts.values if facts.values is not None and facts.values.count else None
    chosen, named = _declared(facts, by_name=False), products.unit_of_product(facts.name)
    # A word in a file's name ("power_plant.tif") does not make digital numbers a power, but their speckle may.
    if chosen is None and named and values is not None and (named[0] == "db" or values.negative_share > 0):
        chosen = named
    if chosen and values is not None and (against := integers.objection(chosen[0], values)):
        if configured is None or integers.objection(configured, values, confirmed=True):
            why = f"whole numbers called {_UNIT_NAMES[chosen[0]]}: {chosen[1]}; but {against}"
            return Meaning(Verdict.UNCLEAR, reasons=(why,), hint=integers.HINT)
        chosen = (configured, f"{UNITS_KEY} says so, and {against}")
    elif chosen is None and configured and not (values and integers.objection(configured, values, confirmed=True)):
        chosen = (configured, f"{UNITS_KEY} says so")
    calibration = products.calibration_of_product(facts.name)
    if facts.calibration_db is not None:
        calibration = (facts.calibration_db, facts.calibration_why or "the tag CALIBRATION_DB")
    if chosen is None and values is not None and calibration is None:  # what is calibrated so is an amplitude
        power = _is_sigma(facts) or (named is not None and named[0] == "power")
        told = integers.objection("amplitude", values) or integers.told_by_values(
            values, power=power, eight_bits=facts.dtype == "uint8"
        )
        if isinstance(told, str):
            return Meaning(Verdict.UNCLEAR, reasons=(told,), hint=integers.HINT)
        chosen = told
    unit, why = chosen or ("amplitude", "")
    stretched = facts.dtype == "uint8" and unit != "db"
    reasons = [f"{_UNIT_NAMES[unit]}: {why}" if why else f"digital numbers of an amplitude ({facts.dtype})"]
    if unit == "amplitude" and calibration:
        reasons.append(f"calibrated with {calibration[0]:g} dB: {calibration[1]}")
    elif unit != "db":
        reasons.append("not calibrated: known up to a constant")
    if stretched and unit == "amplitude":
        reasons.append("8 bits: a stretched picture, in which 0 is the darkest value")
    level = calibration[0] if calibration and unit == "amplitude" else 0.0
    return Meaning(Verdict.BACKSCATTER, unit, level, stretched and unit == "amplitude", tuple(reasons))


def _of_real_numbers(facts: BandFacts, configured: Unit | None) -> Meaning:
    values = facts.values
    declared = _declared(facts)
    if values is None or values.count < 2 or values.minimum == values.maximum:
        default = "db" if values is not None and values.count and values.minimum < 0 else "power"
        unit, why = declared or (configured or default, "nothing else can be told of a band without values")
        return Meaning(Verdict.BACKSCATTER, unit, reasons=(f"{_UNIT_NAMES[unit]}: {why}",))
    chosen = declared or ((configured, f"{UNITS_KEY} says so") if configured else None)
    if chosen is None:
        return _from_values(values, sigma=_is_sigma(facts))
    unit, why = chosen
    if declared and configured and _contradiction(unit, values) and not _contradiction(configured, values):
        unit, why = configured, f"{UNITS_KEY} says so, and the values contradict that {why}"
    if objection := _contradiction(unit, values):
        return Meaning(
            Verdict.UNCLEAR,
            reasons=(f"{_UNIT_NAMES[unit]}: {why}; but {objection}",),
            hint=_hint("Correct the file's declaration or its name") if declared else _hint("Correct the key"),
        )
    return _calibrated(facts, Meaning(Verdict.BACKSCATTER, unit, reasons=(f"{_UNIT_NAMES[unit]}: {why}",)))


def _calibrated(facts: BandFacts, meaning: Meaning) -> Meaning:
    """With what a product's side-car declares. The tag CALIBRATION_DB is for digital numbers, not for floats."""
    if facts.calibration_db is None or facts.calibration_why == "" or meaning.unit != "amplitude":
        return meaning
    said = (*meaning.reasons, f"calibrated with {facts.calibration_db:g} dB: {facts.calibration_why}")
    return Meaning(meaning.verdict, meaning.unit, facts.calibration_db, meaning.stretched, said, meaning.hint)


def _declared(facts: BandFacts, by_name: bool = True) -> tuple[Unit, str] | None:
    """(unit, why) where the band's unit or description, the file's tag or, unless not `by_name`, its name says it."""
    if unit := products.unit_in_words(facts.declared_unit):
        return unit, f"the file declares the unit {facts.declared_unit.strip()!r}"
    if unit := products.unit_in_words(facts.description):
        return unit, f"the band's description {facts.description!r} says so"
    return products.unit_of_product(facts.name) if by_name else None


def _is_sigma(facts: BandFacts) -> bool:
    """Whether the band names a calibrated coefficient, which is a power, or that in decibels, never an amplitude."""
    texts = (facts.description.lower(), products.stem_of(facts.name))
    return any(word in text for word in ("sigma0", "gamma0", "beta0", "sigma_0", "gamma_0", "nrb") for text in texts)


def _from_values(values: Values, sigma: bool) -> Meaning:
    """The unit that the values tell, where nothing declares it."""
    negative, low, middle, high = values.negative_share, values.low, values.middle, values.high
    said = (
        f"{negative:.1%} of the values are negative, 1 % lie below {low:.4g}, half below {middle:.4g}, "
        f"99 % below {high:.4g}"
    )
    in_range = low >= LOWEST_DB and high <= HIGHEST_DB and high - low > 1
    if negative >= 0.02 and low < -2:
        # A part of a complex value has both signs everywhere, and so no picture in the means of its blocks.
        symmetric = abs(middle) < 0.1 * (high - low) and 0.3 < negative < 0.7 and abs(high + low) < 0.3 * (high - low)
        if in_range and (not symmetric or values.structure > 0.3):
            return Meaning(Verdict.BACKSCATTER, "db", reasons=(f"decibels: {said}",))
        return _unclear(f"neither decibels nor a linear unit: {said}", "Say what it is")
    if negative > 0 and low < -0.3 * high:
        return _unclear(f"neither decibels nor a linear unit: {said}", "Say what it is")
    if negative == 0 and low > 3 and high < HIGHEST_DB and (digital := _decibels_of_numbers(values, said)):
        return digital
    looks_like_amplitude = values.local_spread < _SPREAD_OF_POWER and (
        values.speckle < _SPECKLE_OF_AMPLITUDE
        or (values.speckle < SPECKLE_OF_POWER and values.local_spread < SPREAD_OF_AMPLITUDE)
    )
    if sigma:
        return Meaning(Verdict.BACKSCATTER, "power", reasons=(f"power: a calibrated coefficient, and {said}",))
    speckled = (
        "" if math.isnan(values.speckle) else f"; its speckle measures {values.speckle:.2f} (power 2, amplitude 1)"
    )
    if middle > _HIGHEST_MEDIAN_OF_SIGMA and not values.speckle >= SPECKLE_OF_POWER:
        return _unclear(f"digital numbers of an amplitude or of a power: {said}{speckled}", "Say which")
    if looks_like_amplitude:
        return _unclear(
            f"nothing declares the unit, and the speckle looks like an amplitude's: {said}{speckled}", "Say which"
        )
    return Meaning(Verdict.BACKSCATTER, "power", reasons=(f"power: {said}{speckled}",))


def _decibels_of_numbers(values: Values, said: str) -> Meaning | None:
    """Positive values as decibels of digital numbers, or as unclear; None where they are linear.

    Linear values of a speckled scene span far more than a factor of two, and skew to large values; decibels do neither.
    """
    ratio = values.high / values.low
    close = not values.local_spread > SPREAD_OF_DECIBELS
    skewed = values.speckle > 0.5
    if close and not skewed and (ratio < _RATIO_OF_DECIBELS or (ratio < 8 and values.speckle < 0)):
        return Meaning(
            Verdict.BACKSCATTER,
            "db",
            reasons=(f"decibels of digital numbers, known up to a constant: {said}, too close for a linear unit",),
        )
    if ratio < _RATIO_OF_LINEAR or (close and ratio < 8):
        return _unclear(f"decibels of digital numbers or a linear unit: {said}", "Say which")
    return None


def _contradiction(unit: Unit, values: Values) -> str | None:
    """Why values cannot be in a unit, in words; None where they can."""
    if unit == "db":
        if values.low < LOWEST_DB or values.high > HIGHEST_DB or values.high - values.low > _WIDEST_DB:
            return f"its values run from {values.low:.4g} to {values.high:.4g}"
        positive = values.negative_share == 0 and values.low > 0
        if positive and values.high < _HIGHEST_MEDIAN_OF_SIGMA and values.high > 10 * values.low:
            return f"all values lie between {values.low:.4g} and {values.high:.4g}, as linear ones do"
    elif values.negative_share > 0.5:
        return f"{values.negative_share:.0%} of its values are negative"
    return None


def _unclear(why: str, what_to_do: str) -> Meaning:
    return Meaning(Verdict.UNCLEAR, reasons=(why,), hint=_hint(what_to_do))


def _hint(what_to_do: str) -> str:
    return (
        f"{what_to_do}, or set {UNITS_KEY} to db, amplitude or power for scenes that do not declare their unit"
        " (`gdal_edit.py -mo UNITS=power FILE` declares it)."
    )


def _with_reason(meaning: Meaning, reason: str) -> Meaning:
    reasons = (*meaning.reasons, reason)
    return Meaning(meaning.verdict, meaning.unit, meaning.calibration_db, meaning.stretched, reasons, meaning.hint)
