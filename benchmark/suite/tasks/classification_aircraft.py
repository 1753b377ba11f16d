"""Types of civil aircraft, one a chip."""

from benchmark.suite.tasks.classification import ClassificationTask

CLASSIFICATION_AIRCRAFT = ClassificationTask(
    "types of civil aircraft, one a chip (SAR-ACD, by near-duplicate group)", ("sar_acd",)
)
