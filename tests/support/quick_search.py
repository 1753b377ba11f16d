"""The command `knowlip`, whose search has made-up runs: `python -m support.quick_search tune CONFIG --space FILE`."""

import sys
from functools import partial

from orchestrator import cli
from orchestrator.experiments import tune

if __name__ == "__main__":
    tune.SearchJob = partial(tune.SearchJob, program=(sys.executable, "-m", "support.quick_run"))
    cli.main()
