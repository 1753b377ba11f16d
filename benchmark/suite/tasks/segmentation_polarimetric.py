"""Land cover in several polarisations."""

from benchmark.suite.tasks.segmentation import SegmentationTask

SEGMENTATION_POLARIMETRIC = SegmentationTask(
    "land cover in several polarisations (PolSF, AIR-PolSAR-Seg)", ("polsf_airsar", "air_polsar_seg")
)
