"""Mean sigma zero of land cover and water, by radar band, polarisation and incidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corpus.simulate import canvas as cv

CROSS_POLARISATIONS = ("HV", "VH")
ROOF_DB = {"co": -8.0, "cross": -17.0}
# Loss of sigma zero in dB per degree of incidence, the same in every band.
_LOSS_DB_PER_DEGREE = {
    cv.BEACH: 0.15,
    cv.CROPLAND: 0.12,
    cv.GRASS: 0.12,
    cv.FOREST: 0.06,
    cv.BARE: 0.18,
    cv.URBAN: 0.10,
    cv.PAVED: 0.18,
    cv.ROAD: 0.20,
    cv.RUNWAY: 0.20,
}


@dataclass(frozen=True)
class RadarBand:
    """What a band of wavelengths sees of the ground.

    Attributes:
        name: the letter that stands in the metadata of tiles, such as "C".
        land_db: land cover (its place in `canvas.LAND_COVER`) -> (co-polarised, cross-polarised) sigma zero in dB at 35
            degrees of incidence.
        water_db: offset in dB of open water against C-band.
        water_hh_db: offset in dB of open water in HH against VV.
    """

    name: str
    land_db: Mapping[int, tuple[float, float]]
    water_db: float
    water_hh_db: float


C_BAND = RadarBand(
    "C",
    {
        cv.BEACH: (-17.0, -27.0),
        cv.CROPLAND: (-11.0, -18.5),
        cv.GRASS: (-13.5, -20.5),
        cv.FOREST: (-8.0, -13.5),
        cv.BARE: (-10.5, -20.0),
        cv.URBAN: (-11.0, -18.0),
        cv.PAVED: (-15.0, -24.0),
        cv.ROAD: (-20.0, -27.0),
        cv.RUNWAY: (-22.0, -29.0),
    },
    water_db=0.0,
    water_hh_db=-2.0,
)
X_BAND = RadarBand(
    "X",
    {
        cv.BEACH: (-15.5, -25.0),
        cv.CROPLAND: (-10.5, -17.5),
        cv.GRASS: (-12.5, -19.5),
        cv.FOREST: (-8.5, -14.0),
        cv.BARE: (-9.5, -19.0),
        cv.URBAN: (-11.0, -18.0),
        cv.PAVED: (-14.5, -23.5),
        cv.ROAD: (-19.5, -26.5),
        cv.RUNWAY: (-21.0, -28.0),
    },
    water_db=0.0,
    water_hh_db=-3.0,
)
# The long wave passes through grass and crops, and smooth ground mirrors it away; a wood's trunks answer it.
L_BAND = RadarBand(
    "L",
    {
        cv.BEACH: (-20.0, -31.0),
        cv.CROPLAND: (-14.0, -23.0),
        cv.GRASS: (-17.0, -26.0),
        cv.FOREST: (-8.0, -12.5),
        cv.BARE: (-15.0, -26.0),
        cv.URBAN: (-9.5, -17.0),
        cv.PAVED: (-18.5, -28.0),
        cv.ROAD: (-22.0, -30.0),
        cv.RUNWAY: (-24.0, -32.0),
    },
    water_db=-1.5,
    water_hh_db=-3.0,
)


def water_db(band: RadarBand, polarisation: str, incidence_deg: float, wind_m_s: float) -> float:
    """Sigma zero of open water in dB: it rises with wind, falls with incidence, and is lower in HH than in VV."""
    base = -16.5 + 14.0 * np.log10(max(wind_m_s, 0.5) / 7.0) - 0.38 * (incidence_deg - 35.0) + band.water_db
    if polarisation == "HH":
        base += band.water_hh_db
    if polarisation in CROSS_POLARISATIONS:
        base = min(base - 11.0, -27.0 + 5.0 * np.log10(max(wind_m_s, 0.5) / 7.0))
    ceiling = -15.5 - 0.1 * (incidence_deg - 30.0)  # a gale's sea is still darker than fields
    return float(np.clip(base, -35.0, ceiling))


def class_table(band: RadarBand, polarisation: str, incidence_deg: float, wind_m_s: float) -> np.ndarray:
    """Mean sigma zero of every land cover; inland water feels less wind than the sea.

    Args:
        band: the radar's band.
        polarisation: VV, VH, HH or HV.
        incidence_deg: incidence in degrees.
        wind_m_s: wind over the sea in m/s.

    Returns:
        Linear power, float32 [land covers], in the order of `canvas.LAND_COVER`.
    """
    cross = polarisation in CROSS_POLARISATIONS
    table = np.zeros(len(cv.LAND_COVER))
    for name, shelter in ((cv.SEA, 1.0), (cv.LAKE, 0.8), (cv.RIVER, 0.8)):
        table[name] = water_db(band, polarisation, incidence_deg, wind_m_s * shelter)
    for name, loss in _LOSS_DB_PER_DEGREE.items():
        table[name] = band.land_db[name][int(cross)] - loss * (incidence_deg - 35.0)
    table[cv.BUILDING] = ROOF_DB["cross" if cross else "co"]
    return (10.0 ** (table / 10.0)).astype(np.float32)
