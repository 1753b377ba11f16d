"""Losses in the run directory: kept by round, and a damaged file is named."""

import pytest

from corpus.storage.state_files import RecordError
from orchestrator.state.loss_history import read_losses, write_losses
from orchestrator.state.run_directory import RunDirectory
from support.unguarded import unguarded

ROUNDS = {
    1: [{"step": 1, "total": 3.25, "itc": 1.5}, {"step": 2, "total": 3.0, "itc": 1.25}],
    2: [{"step": 3, "total": 1 / 3, "itc": 1e-9}],
}


@pytest.fixture
def directory(tmp_path) -> RunDirectory:
    directory = unguarded(tmp_path)
    for round_, steps in ROUNDS.items():
        write_losses(directory, round_, steps)
    return directory


def test_a_resumed_run_finds_all_rounds_up_to_its_own(directory):
    assert read_losses(directory, 2) == ROUNDS
    assert read_losses(directory, 1) == {1: ROUNDS[1]}


def test_a_round_that_runs_again_is_kept_once(directory):
    again = [{"step": 3, "total": 0.5, "itc": 0.25}]
    write_losses(directory, 2, again)
    assert read_losses(directory, 3) == {1: ROUNDS[1], 2: again}


@pytest.mark.parametrize("content", ["", "{", '{"steps": [{"step": "three"}]}', '{"steps": [], "more": 1}'])
def test_a_damaged_file_is_named_with_what_to_do(directory, content):
    directory.losses(1).write_text(content)
    with pytest.raises(RecordError, match="round-0001.json is damaged.*remove it: the picture of losses"):
        read_losses(directory, 2)
