"""Vehicles of ten classes in large scenes."""

from benchmark.suite.tasks.detection import DetectionTask

DETECTION_DENSE = DetectionTask(
    "vehicles of ten classes in large scenes (MSTAR chips pasted into MSTAR clutter: semi-real)",
    ("mstar_scenes_composite",),
)
