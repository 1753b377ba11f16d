"""Scenes and land cover, one class or several labels a patch."""

from benchmark.suite.tasks.classification import ClassificationTask

CLASSIFICATION_LAND_COVER = ClassificationTask(
    "scenes and land cover, one class or several labels a patch (Sentinel-1, PolSF, simulated)",
    (
        *("terramesh_s1_lulc", "bigearthnet_s1", "bigearthnet_s1_sample", "eurosat_s1"),
        *("polsf_patches", "simulated_functions"),
    ),
)
