"""Simulated SAR scenes whose truth is known exactly."""

from corpus.simulate.config import SceneConfig, SensorShares
from corpus.simulate.scene import Scene, simulate_scene
from corpus.simulate.truth import FACTS, SceneObject, SceneTruth
from corpus.simulate.write import simulate_corpus

__all__ = [
    "FACTS",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "SceneTruth",
    "SensorShares",
    "simulate_corpus",
    "simulate_scene",
]
