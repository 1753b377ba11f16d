"""Ships."""

from benchmark.suite.tasks.detection import DetectionTask

DETECTION_SHIP = DetectionTask("ships (SSDD, HRSID, simulated scenes)", ("ssdd", "hrsid", "simulated_ships"))
