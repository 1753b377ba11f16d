"""What `knowlip benchmark --list` prints."""

from typing import Any

from rich.console import Console

import benchmark.suite.members  # noqa: F401  # registers what is listed
from benchmark.datasets.base import DATA_SETS
from benchmark.suite.base import METHODS, SUITE
from benchmark.suite.config import BenchmarkConfig
from orchestrator.report.tables import titled_table


def listing(config: BenchmarkConfig) -> dict[str, Any]:
    """Tasks with their settings and data sets, and methods, as plain values; where each set lies and whether it does.

    Args:
        config: the section `benchmark`, which says where data sets lie.
    """
    tasks = {
        name: {
            "about": task.about,
            "settings": {setting: each.about for setting, each in task.settings.items()},
            "data_sets": {
                data_set: {
                    "pixels": DATA_SETS[data_set].real,
                    "path": str(config.path_of(data_set)),
                    "found": config.path_of(data_set).is_dir(),
                    "source": DATA_SETS[data_set].source,
                }
                for data_set in task.data_sets
            },
        }
        for name, task in SUITE.items()
    }
    return {"tasks": tasks, "methods": {name: method.about for name, method in METHODS.items()}}


def print_listing(config: BenchmarkConfig, console: Console) -> None:
    """Print tasks, data sets and methods."""
    found = listing(config)
    for name, task in found["tasks"].items():
        table = titled_table(f"{name}: {task['about']}")
        table.add_column("data set")
        table.add_column("pixels")
        table.add_column("where", overflow="fold")
        for data_set, where in task["data_sets"].items():
            at = where["path"] if where["found"] else f"not found at {where['path']}, get it from {where['source']}"
            table.add_row(data_set, where["pixels"], at)
        console.print(table)
        console.print("settings: " + ", ".join(task["settings"]), end="\n\n", soft_wrap=True)
    table = titled_table("methods")
    table.add_column("name")
    table.add_column("what it is", overflow="fold")
    for name, about in found["methods"].items():
        table.add_row(name, about)
    console.print(table)
