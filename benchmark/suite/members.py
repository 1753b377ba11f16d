"""Importing this module registers the tasks, methods and data sets that come with the benchmark."""

from benchmark import datasets
from benchmark.baselines import methods
from benchmark.suite import tasks

__all__ = ["datasets", "methods", "tasks"]
