"""Mean sigma zero of land cover, by band, polarisation and incidence."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.sensor import Acquisition

# dB at 35 degrees: C-band co-pol, C-band cross-pol, X-band HH; and the loss in dB per degree of incidence.
_CLASSES = {
    cv.BEACH: (-17.0, -27.0, -15.5, 0.15),
    cv.CROPLAND: (-11.0, -18.5, -10.5, 0.12),
    cv.GRASS: (-13.5, -20.5, -12.5, 0.12),
    cv.FOREST: (-8.0, -13.5, -8.5, 0.06),
    cv.BARE: (-10.5, -20.0, -9.5, 0.18),
    cv.URBAN: (-11.0, -18.0, -11.0, 0.10),
    cv.PAVED: (-15.0, -24.0, -14.5, 0.18),
    cv.ROAD: (-20.0, -27.0, -19.5, 0.20),
    cv.RUNWAY: (-22.0, -29.0, -21.0, 0.20),
}
ROOF_DB = {"co": -8.0, "cross": -17.0}


def water_db(band: str, polarisation: str, incidence_deg: float, wind_m_s: float) -> float:
    """Sigma zero of open water in dB: rises with wind, falls with incidence, is lower in HH."""
    base = -16.5 + 14.0 * np.log10(max(wind_m_s, 0.5) / 7.0) - 0.38 * (incidence_deg - 35.0)
    if polarisation == "HH":
        base -= 2.0 if band == "C" else 3.0
    if polarisation in ("HV", "VH"):
        base = min(base - 11.0, -27.0 + 5.0 * np.log10(max(wind_m_s, 0.5) / 7.0))
    ceiling = -15.5 - 0.1 * (incidence_deg - 30.0)  # a gale's sea is still darker than fields
    return float(np.clip(base, -35.0, ceiling))


def class_table(acquisition: Acquisition, polarisation: str, wind_m_s: float) -> np.ndarray:
    """Linear sigma zero float32 [classes] for one polarisation; inland water feels less wind than the sea."""
    band, incidence = acquisition.sensor.band, acquisition.incidence_deg
    cross = polarisation in ("HV", "VH")
    table = np.zeros(len(cv.LAND_COVER))
    for name, shelter in ((cv.SEA, 1.0), (cv.LAKE, 0.8), (cv.RIVER, 0.8)):
        table[name] = water_db(band, polarisation, incidence, wind_m_s * shelter)
    for name, (co, cr, x, slope) in _CLASSES.items():
        table[name] = (x if band == "X" else cr if cross else co) - slope * (incidence - 35.0)
    table[cv.BUILDING] = ROOF_DB["cross" if cross else "co"]
    return (10.0 ** (table / 10.0)).astype(np.float32)
