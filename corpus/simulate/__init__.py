"""Simulated SAR scenes whose truth is known exactly."""

from corpus.simulate.backscatter import C_BAND, L_BAND, X_BAND, RadarBand
from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import Scene, simulate_scene
from corpus.simulate.sensor import SENSORS, Sensor
from corpus.simulate.truth import FACT_VALUES, FACTS, SceneObject, SceneTruth
from corpus.simulate.write import simulate_corpus

__all__ = [
    "C_BAND",
    "FACTS",
    "FACT_VALUES",
    "L_BAND",
    "SENSORS",
    "X_BAND",
    "RadarBand",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "SceneTruth",
    "Sensor",
    "simulate_corpus",
    "simulate_scene",
]
