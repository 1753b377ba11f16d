"""Land cover and floods in one polarisation."""

from benchmark.suite.tasks.segmentation import SegmentationTask

SEGMENTATION_LAND_COVER = SegmentationTask(
    "land cover and floods in one polarisation (OMBRIA by event and by area, FUSAR-Map)",
    ("ombria_2021", "ombria_by_area", "fusar_map", "simulated_cover"),
)
