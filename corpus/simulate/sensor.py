"""Imaging radars as a few physical parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sensor:
    """A radar and its product. Lengths in m, angles in degrees, powers in dB."""

    key: str
    platform: str
    band: str  # "C" or "X"
    polarisations: tuple[str, ...]
    gsd_m: float  # pixel spacing of the product
    resolution_m: float  # -3 dB width of the impulse response
    looks: tuple[float, float]  # range of equivalent numbers of looks
    incidence_deg: tuple[float, float]
    nesz_db: tuple[float, ...]  # noise-equivalent sigma zero, one per polarisation
    # range of the spectral weighting's alpha: 1 is none (-13 dB sidelobes), 0.54 Hamming
    hamming: tuple[float, float]


SENSORS: dict[str, Sensor] = {
    s.key: s
    for s in (
        Sensor(
            "sentinel1_iw",
            "Sentinel-1",
            "C",
            ("VV", "VH"),
            10.0,
            20.0,
            (4.4, 4.4),
            (30.0, 45.0),
            (-25.0, -26.0),
            (0.75, 0.95),
        ),
        Sensor(
            "gaofen3_fsii",
            "Gaofen-3",
            "C",
            ("HH", "HV"),
            5.0,
            9.0,
            (3.0, 4.0),
            (27.0, 45.0),
            (-23.0, -24.0),
            (0.75, 1.0),
        ),
        Sensor("xband_spotlight", "X-SAR", "X", ("HH",), 1.0, 1.5, (1.8, 2.0), (30.0, 48.0), (-21.0,), (0.60, 1.0)),
    )
}


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One pass of a sensor: its geometry and processing."""

    sensor: Sensor
    incidence_deg: float
    look_azimuth_deg: float  # direction the beam travels over ground, clockwise from the top of the image
    looks: float
    hamming: float

    @property
    def look(self) -> tuple[float, float]:
        """Unit vector of the beam over ground as (row, column); the sensor lies at the opposite side."""
        a = np.deg2rad(self.look_azimuth_deg)
        return float(-np.cos(a)), float(np.sin(a))

    @property
    def tan_incidence(self) -> float:
        return float(np.tan(np.deg2rad(self.incidence_deg)))


def draw_acquisition(sensor: Sensor, rng: np.random.Generator, sidelobes: bool = False) -> Acquisition:
    """A pass at random: ascending (looks about east) or descending (about west), right-looking.

    The spectral weighting is drawn from the weak end of its range where sidelobes are to be seen, else from the
    strong end.
    """
    low, high = sensor.hamming
    third = (high - low) / 3
    ascending = rng.random() < 0.5
    azimuth = (79.0 if ascending else 281.0) + rng.uniform(-2.0, 2.0)
    return Acquisition(
        sensor,
        float(rng.uniform(*sensor.incidence_deg)),
        float(azimuth),
        float(rng.uniform(*sensor.looks)),
        float(rng.uniform(high - third, high) if sidelobes else rng.uniform(low, low + third)),
    )
