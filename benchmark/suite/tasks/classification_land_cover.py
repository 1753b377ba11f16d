"""Scenes and land cover, one class a patch."""

from benchmark.suite.tasks.classification import ClassificationTask

CLASSIFICATION_LAND_COVER = ClassificationTask(
    "scenes and land cover, one class a patch (PolSF, simulated)", ("polsf_patches", "simulated_functions")
)
