"""Retention: what goes, what never goes, and that nothing outside the run directory is touched."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.storage.lock import LeaseLost
from orchestrator.policies.retention import CHAMPION_METRIC, KINDS, Leftover, RetentionConfig, champion, plan_retention
from orchestrator.state.deletion import carry_out, find_leftovers
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.run_directory import RunDirectory
from support.records import record
from support.unguarded import unguarded


def recorded(values) -> list:
    return [
        record(number, metrics={"annotation_accuracy": None, CHAMPION_METRIC: value})
        for number, value in enumerate(values, start=1)
    ]


def leftovers(root, last: int) -> list[Leftover]:
    return [Leftover(kind, round_, root / kind / f"round-{round_:04d}") for kind in KINDS for round_ in range(last + 1)]


metrics = st.lists(st.none() | st.floats(-5, 0), max_size=9)

settings = st.builds(
    RetentionConfig, delete=st.booleans(), keep_rounds=st.integers(2, 5), champion=st.sampled_from(["held_out", "last"])
)


@given(values=metrics, config=settings, under_way=st.integers(0, 2))
def test_of_champion_last_two_start_and_what_is_under_way_nothing_goes(values, config, under_way):
    records = recorded(values)
    found = leftovers(Path("/run"), len(records) + under_way)
    plan = plan_retention(records, found, config)
    gone = {each.round for each in plan.delete}
    last = len(records)
    assert not gone & {0, last, last - 1, plan.champion}
    assert all(round_ <= last for round_ in gone)
    assert set(plan.delete) <= set(found)
    if not config.delete:
        assert not gone
    else:  # and nothing else is kept
        assert gone == set(range(1, last - config.keep_rounds + 1)) - {plan.champion}


@given(values=metrics, config=settings)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(values, config):
    records = recorded(values)
    found = leftovers(Path("/run"), len(records))
    plan = plan_retention(records, found, config)
    rest = [each for each in found if each not in plan.delete]
    assert plan_retention(records, rest, config).delete == ()


@given(values=metrics, config=settings)
def test_the_champion_has_the_largest_metric_and_truth_has_no_say(values, config):
    records = recorded(values)
    best = champion(records, config)
    told = [
        each.model_copy(update={"metrics": each.metrics | {"annotation_accuracy": each.round / 10}}) for each in records
    ]
    assert champion(told, config) == best
    known = [value for value in values if value is not None]
    if not values:
        assert best is None
    elif config.champion == "last" or not known:
        assert best == len(values)
    else:
        assert values[best - 1] == max(known)
        assert values[best:].count(max(known)) == 0


@pytest.fixture
def directory(tmp_path):
    """Five recorded rounds and a sixth under way, with files of the size that tells them apart."""
    directory = unguarded(tmp_path / "run")
    for round_ in range(7):
        for folder in (directory.weights(round_), directory.weights(round_, fold=1), directory.shards(round_)):
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "file").write_bytes(bytes(round_ + 1))
        directory.feedback(round_).parent.mkdir(exist_ok=True)
        directory.feedback(round_).write_bytes(b"feedback")
    return directory


RECORDS = recorded([-3.0, -1.0, -2.0, -2.0, -2.0])

CONFIG = RetentionConfig()


def rounds_left(directory) -> dict[str, list[int]]:
    found = find_leftovers(directory)
    return {kind: sorted({each.round for each in found if each.kind == kind}) for kind in KINDS}


def test_only_old_rounds_go_and_mlflow_is_told_before(directory):
    told = []

    def tell(round_):
        told.append((round_, directory.weights(round_).exists()))

    carry_out(plan_retention(RECORDS, find_leftovers(directory), CONFIG), directory, tell=tell)
    assert rounds_left(directory) == {key: [0, 2, 4, 5, 6] for key in KINDS}
    assert told == [(1, True), (3, True)]
    assert not directory.weights(1, fold=1).exists()
    assert directory.weights(2, fold=1).exists()
    assert [path.name for path in directory.path.rglob(".*")] == []


def test_killed_anywhere_it_leaves_things_whole_or_nameless_and_the_next_call_finishes(directory, monkeypatch):
    plan = plan_retention(RECORDS, find_leftovers(directory), CONFIG)

    class Killed(BaseException):
        pass

    def killed(path):
        for file in path.rglob("file"):  # half of it is gone
            file.unlink()
        raise Killed

    monkeypatch.setattr("orchestrator.state.deletion.shutil.rmtree", killed)
    with pytest.raises(Killed):
        carry_out(plan, directory)
    monkeypatch.undo()
    for each in find_leftovers(directory):
        if each.kind != "feedback":
            assert (each.path / "deep" / "file").stat().st_size == each.round + 1
    carry_out(plan_retention(RECORDS, find_leftovers(directory), CONFIG), directory)
    assert rounds_left(directory) == {key: [0, 2, 4, 5, 6] for key in KINDS}
    assert [path.name for path in directory.path.rglob(".*")] == []


@pytest.mark.parametrize("what", ["a round", "the folder of weights", "inside a round"])
def test_what_lies_behind_a_link_stays(directory, tmp_path, what):
    precious = tmp_path / "precious"
    shutil.copytree(directory.weights(1), precious / "round-0001")
    if what == "a round":
        shutil.rmtree(directory.weights(1))
        directory.weights(1).symlink_to(precious / "round-0001")
    elif what == "the folder of weights":
        shutil.rmtree(directory.path / "weights")
        (directory.path / "weights").symlink_to(precious)
    else:
        (directory.weights(1) / "link").symlink_to(precious)
    carry_out(plan_retention(RECORDS, find_leftovers(directory), CONFIG), directory)
    assert (precious / "round-0001" / "deep" / "file").stat().st_size == 2


def test_a_link_that_takes_the_place_of_a_round_after_the_plan_is_refused(directory, tmp_path):
    plan = plan_retention(RECORDS, find_leftovers(directory), CONFIG)
    precious = tmp_path / "precious"
    os.rename(directory.path / "weights", precious)
    (directory.path / "weights").symlink_to(precious)
    with pytest.raises(ValueError, match="is not deleted"):
        carry_out(plan, directory)
    assert len(list(precious.iterdir())) == 14


def test_a_driver_that_lost_the_directory_deletes_nothing(directory):
    lost, other = RunDirectory(directory.path), RunDirectory(directory.path)
    first, second = LeaseKeeper(lost), LeaseKeeper(other)
    first.acquire()
    writer = lost.writer
    first.release()
    second.acquire()
    lost.writer = writer  # as of a driver that was paused
    plan = plan_retention(RECORDS, find_leftovers(directory), CONFIG)
    with pytest.raises(LeaseLost):
        carry_out(plan, lost)
    assert rounds_left(directory) == {key: list(range(7)) for key in KINDS}
    carry_out(plan, other)
    second.release()
    assert rounds_left(directory) == {key: [0, 2, 4, 5, 6] for key in KINDS}
