"""How well the encoder's features tell the classes of labelled data sets apart: a cheap look at every round."""

from collections.abc import Mapping
from pathlib import Path

from benchmark.base import EvaluationInputs, Need, TaskResult

NAME = "nearest_neighbours"
"""The task; it is run where `evaluation.data_sets` names any."""


class NearestNeighbours:
    """Accuracy of five nearest neighbours on data sets of the benchmark, as its setting `knn5` has it.

    It reads neither the truth of the run nor anything that a run learns from.
    """

    needs = frozenset({Need.HELD_OUT})
    metrics = ()

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Judge the weights of the round on each data set that the evaluation names.

        Raises:
            DataSetMissing: a data set is not there.
            DataSetError: a data set cannot be used.
        """
        weights = inputs.held_out.weights_dir
        return TaskResult({f"knn5/{name}": _accuracy(name, path, weights) for name, path in inputs.data_sets.items()})


def check_data_sets(data_sets: Mapping[str, Path]) -> None:
    """Read each data set once, before a run begins.

    Raises:
        DataSetMissing: one is not there; says where it comes from.
        DataSetError: one cannot be used; says why.
    """
    from benchmark.datasets import DATA_SETS

    for name, path in data_sets.items():
        DATA_SETS.find(name).open(path)


def _accuracy(name: str, path: Path, weights_dir: Path) -> float:
    """The headline score of a data set."""
    import torch

    from benchmark.baselines.own_encoder import OpenedEncoder
    from benchmark.datasets import DATA_SETS
    from benchmark.suite.tasks import SUITE

    torch.set_num_threads(1)
    data = DATA_SETS.find(name).open(path)
    task = next(task for task in SUITE.values() if "knn5" in task.settings and name in task.data_sets)
    return next(iter(task.run(data, "knn5", OpenedEncoder(weights_dir), 0).scores.values())).value
