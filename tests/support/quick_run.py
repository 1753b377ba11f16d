"""A stand-in for `knowlip run` and `resume` that writes real records within a second: what it comes to is made up."""

import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

from orchestrator.config.load import load_config
from orchestrator.state.records import is_over, read_records, write_record
from orchestrator.state.run_directory import RunDirectory
from support.records import record
from support.unguarded import unguarded

BEST_RATE = 4e-3
SAVED = "saved"  # what lies in a run directory once a run that was told to end has ended
_SAVING_S = 3.0


def main(arguments: list[str]) -> None:
    """The best learning rate is BEST_RATE; every round is better than the one before."""
    if arguments[0] == "run":
        settings = [value for option, value in pairwise(arguments) if option == "--set"]
        directory = Path(arguments[arguments.index("--run-dir") + 1])
        RunDirectory.create(load_config(Path(arguments[1]), settings), directory)
    else:
        directory = Path(arguments[1])
    config = RunDirectory.open(directory)[1]

    def end(number: int, frame: object) -> None:
        time.sleep(_SAVING_S)
        (directory / SAVED).touch()
        sys.exit(3)

    signal.signal(signal.SIGTERM, end)
    while not is_over(records := read_records(directory), config.rounds):
        number = len(records) + 1
        value = -abs(config.train.learning_rate - BEST_RATE) - 1e-4 / number - 1e-6 * config.seed
        metrics = {"held_out_log_likelihood": value, "annotation_accuracy": 0.9}
        write_record(unguarded(directory), record(number, seed=config.seed, metrics=metrics))
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1:])
