"""The evaluation tasks that come with the project, one file each. Importing this package registers them.

A task that needs torch imports it when it runs, so that the command line can check a configuration without torch.
"""

from benchmark.base import TASKS
from benchmark.tasks.annotation_accuracy import AnnotationAccuracy
from benchmark.tasks.annotation_repairs import AnnotationRepairs
from benchmark.tasks.flag_precision import FlagPrecision
from benchmark.tasks.held_out_clauses import HeldOutClauses
from benchmark.tasks.held_out_retrieval import HeldOutRetrieval
from benchmark.tasks.nearest_neighbours import NAME, NearestNeighbours
from benchmark.tasks.rare_tiles import RareTiles
from benchmark.tasks.training_target_accuracy import TrainingTargetAccuracy

TASKS.add("annotation_accuracy", AnnotationAccuracy())
TASKS.add("annotation_repairs", AnnotationRepairs())
TASKS.add("training_target_accuracy", TrainingTargetAccuracy())
TASKS.add("flag_precision", FlagPrecision())
TASKS.add("rare_tiles", RareTiles())
TASKS.add("held_out_clauses", HeldOutClauses())
TASKS.add("held_out_retrieval", HeldOutRetrieval())
TASKS.add(NAME, NearestNeighbours())

DEFAULT_TASKS = (
    "annotation_accuracy",
    "annotation_repairs",
    "training_target_accuracy",
    "flag_precision",
    "rare_tiles",
    "held_out_clauses",
    "held_out_retrieval",
)
"""What a round is evaluated with unless the configuration lists something else."""
