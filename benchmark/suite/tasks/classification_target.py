"""Ships and vehicles, one a chip."""

from benchmark.suite.tasks.classification import ClassificationTask

CLASSIFICATION_TARGET = ClassificationTask(
    "classes of ships and vehicles, one a chip (MSTAR, FUSAR-Ship)",
    ("mstar_soc", "mstar_soc_rim", "fusar_ship", "simulated_targets"),
)
