"""A sensor added from outside: one entry in the registry, and nothing else."""

from corpus.simulate.backscatter import L_BAND
from corpus.simulate.sensor import SENSORS, Sensor

NAME = "toy_lband"
TOY_SENSOR = SENSORS.add(
    NAME,
    Sensor(
        platform="Toy-L",
        band=L_BAND,
        polarisations=("HH", "HV"),
        gsd_m=6.0,
        resolution_m=10.0,
        looks=(3.0, 4.0),
        incidence_deg=(28.0, 40.0),
        nesz_db=(-30.0, -31.0),
        hamming=(0.75, 1.0),
    ),
)
