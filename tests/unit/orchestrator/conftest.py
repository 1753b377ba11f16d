"""What several files of tests share."""

import pickle

import pytest

from support.made_once import made_once
from support.made_run import MadeRun, make_run


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> MadeRun:
    """A run of 48 tiles and two rounds. Tests that change something change a copy."""

    def make(folder):
        (folder / "made.pickle").write_bytes(pickle.dumps(make_run(folder, tiles=48)))

    return pickle.loads((made_once(tmp_path_factory, "made", make) / "made.pickle").read_bytes())
