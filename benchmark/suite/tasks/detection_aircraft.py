"""Aircraft."""

from benchmark.suite.tasks.detection import DetectionTask

DETECTION_AIRCRAFT = DetectionTask(
    "aircraft (SAR-AIRcraft-1.0 and the sample that its authors show, simulated scenes)",
    ("sar_aircraft", "sar_aircraft10_sample", "simulated_aircraft"),
)
