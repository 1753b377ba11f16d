"""Imaging radars as a few physical parameters. A new sensor is one entry of `SENSORS`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.registry import Registry
from corpus.simulate.backscatter import C_BAND, CROSS_POLARISATIONS, X_BAND, RadarBand
from corpus.simulate.canvas import FINE_GSD_M

_POLARISATIONS = ("VV", "HH", *CROSS_POLARISATIONS)
_GSD_M = (0.5, 20.0)  # houses, ships and roads are drawn in sizes that suit these pixels
_AIRCRAFT_GSD_M = 8.0  # in larger pixels an aircraft is too small to be told from its apron


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A radar and its product: everything the simulator asks of it.

    Attributes:
        platform: the satellite's name, as it stands in the metadata of tiles.
        band: what its wavelength sees of the ground.
        polarisations: of the product's channels, in their order: VV, VH, HH or HV.
        gsd_m: ground sample distance, the pixel spacing of the product in m.
        resolution_m: -3 dB width of the impulse response in m.
        looks: lowest and highest equivalent number of looks.
        incidence_deg: lowest and highest incidence in degrees.
        nesz_db: noise-equivalent sigma zero in dB, one per polarisation.
        hamming: lowest and highest alpha of the spectral weighting: 1 is none (-13 dB sidelobes), 0.54 Hamming.

    Raises:
        ValueError: a trait is one that the simulator cannot draw.
    """

    platform: str
    band: RadarBand
    polarisations: tuple[str, ...]
    gsd_m: float
    resolution_m: float
    looks: tuple[float, float]
    incidence_deg: tuple[float, float]
    nesz_db: tuple[float, ...]
    hamming: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.polarisations or not set(self.polarisations) <= set(_POLARISATIONS):
            raise ValueError(f"A sensor's polarisations are of {', '.join(_POLARISATIONS)}, not {self.polarisations}.")
        if len(self.nesz_db) != len(self.polarisations):
            raise ValueError(
                f"A sensor has one nesz_db per polarisation: {len(self.polarisations)}, not {len(self.nesz_db)}."
            )
        if not _GSD_M[0] <= self.gsd_m <= _GSD_M[1]:
            raise ValueError(f"gsd_m is {self.gsd_m}: the simulator draws pixels of {_GSD_M[0]} to {_GSD_M[1]} m.")

    @property
    def is_fine(self) -> bool:
        """Whether a tile shows single houses, and so little ground that it has no landform."""
        return self.gsd_m < FINE_GSD_M

    @property
    def shows_aircraft(self) -> bool:
        """Whether aircraft are large enough to be seen."""
        return self.gsd_m < _AIRCRAFT_GSD_M


SENSORS: Registry[Sensor] = Registry("sensor")
"""Every sensor by the name that `corpus.simulated.sensors` gives it."""

SENSORS.add(
    "sentinel1_iw",
    Sensor(
        platform="Sentinel-1",
        band=C_BAND,
        polarisations=("VV", "VH"),
        gsd_m=10.0,
        resolution_m=20.0,
        looks=(4.4, 4.4),
        incidence_deg=(30.0, 45.0),
        nesz_db=(-25.0, -26.0),
        hamming=(0.75, 0.95),
    ),
)
SENSORS.add(
    "gaofen3_fsii",
    Sensor(
        platform="Gaofen-3",
        band=C_BAND,
        polarisations=("HH", "HV"),
        gsd_m=5.0,
        resolution_m=9.0,
        looks=(3.0, 4.0),
        incidence_deg=(27.0, 45.0),
        nesz_db=(-23.0, -24.0),
        hamming=(0.75, 1.0),
    ),
)
SENSORS.add(
    "xband_spotlight",
    Sensor(
        platform="X-SAR",
        band=X_BAND,
        polarisations=("HH",),
        gsd_m=1.0,
        resolution_m=1.5,
        looks=(1.8, 2.0),
        incidence_deg=(30.0, 48.0),
        nesz_db=(-21.0,),
        hamming=(0.60, 1.0),
    ),
)
BUILT_IN = frozenset({"sentinel1_iw", "gaofen3_fsii", "xband_spotlight"})
"""The sensors that come with the project; a change of their traits raises `config.RECIPE_VERSION`."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One pass of a sensor: its geometry and processing.

    Attributes:
        sensor: the radar.
        incidence_deg: incidence in degrees.
        look_azimuth_deg: direction of the beam over ground in degrees, clockwise from the top of the image.
        looks: equivalent number of looks.
        hamming: alpha of the spectral weighting.
    """

    sensor: Sensor
    incidence_deg: float
    look_azimuth_deg: float
    looks: float
    hamming: float

    @property
    def look(self) -> tuple[float, float]:
        """Unit vector of the beam over ground as (row, column); the sensor lies at the opposite side."""
        a = np.deg2rad(self.look_azimuth_deg)
        return float(-np.cos(a)), float(np.sin(a))

    @property
    def tan_incidence(self) -> float:
        """Tangent of the incidence: metres over ground per metre of height in a shadow."""
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
