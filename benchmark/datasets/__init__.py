"""Readers of labelled data sets in their public formats, and the registry of the sets that the benchmark knows.

Importing this package registers the sets.
"""

from benchmark.datasets import (
    bigearthnet,
    detection_sets,
    eurosat,
    image_text,
    ombria,
    polsf,
    segmentation_folder,
    simulated,
    simulated_boxes,
    target_chips,
    terramesh,
)
from benchmark.datasets.base import DATA_SETS

__all__ = [
    "DATA_SETS",
    "bigearthnet",
    "detection_sets",
    "eurosat",
    "image_text",
    "ombria",
    "polsf",
    "segmentation_folder",
    "simulated",
    "simulated_boxes",
    "target_chips",
    "terramesh",
]
