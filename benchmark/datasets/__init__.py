"""Readers of labelled data sets in their public formats, and the registry of the sets that the benchmark knows.

Importing this package registers the sets.
"""

from benchmark.datasets import (
    air_polsar_seg,
    bigearthnet,
    detection_sets,
    eurosat,
    fusar_map,
    image_questions,
    image_text,
    ombria,
    polsf,
    simulated,
    simulated_boxes,
    target_chips,
    terramesh,
)
from benchmark.datasets.base import DATA_SETS

__all__ = [
    "DATA_SETS",
    "air_polsar_seg",
    "bigearthnet",
    "detection_sets",
    "eurosat",
    "fusar_map",
    "image_questions",
    "image_text",
    "ombria",
    "polsf",
    "simulated",
    "simulated_boxes",
    "target_chips",
    "terramesh",
]
