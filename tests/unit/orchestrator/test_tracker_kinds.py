"""Which trackers there are, and one that is added from outside the project by the public registry alone."""

import inspect

import pytest
from pydantic import ValidationError

from corpus.storage.errors import ConfigError
from corpus.storage.state_files import StateFolder
from orchestrator.config.load import load_config
from orchestrator.tracking.base import TrackedRun, Tracker
from orchestrator.tracking.mlflow import MlflowTracker
from orchestrator.tracking.none import NoTracker
from orchestrator.tracking.registry import TRACKERS, TrackingConfig, make_tracker
from support.json_lines_tracker import JsonLinesTracker, told
from support.paths import ROOT
from support.records import record


def test_an_unknown_kind_is_answered_with_the_nearest_one_and_all_there_are():
    with pytest.raises(ValidationError, match=r"There is no kind of tracker 'mlflo'; .*mlflow.*Did you mean 'mlflow'"):
        TrackingConfig(kind="mlflo")


@pytest.mark.parametrize("kind", ["mlflow", "none"])
def test_making_a_tracker_writes_nothing(tmp_path, kind):
    tracker = make_tracker(TrackingConfig(kind=kind), TrackedRun(StateFolder(tmp_path), "e", "r"))
    assert tracker.waiting == 0
    assert tracker.undelivered is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [MlflowTracker, NoTracker, JsonLinesTracker])
def test_every_kind_has_each_method_of_the_protocol_with_its_arguments(tmp_path, kind):
    tracker = kind(TrackedRun(StateFolder(tmp_path), "e", "r"))
    methods = [name for name, member in vars(Tracker).items() if inspect.isfunction(member) and name[0] != "_"]
    assert len(methods) == 18
    for name in methods:
        wanted = inspect.signature(getattr(Tracker, name)).parameters
        found = inspect.signature(getattr(tracker, name)).parameters
        assert list(found) == list(wanted)[1:], name
    for name in ("waiting", "undelivered", "view"):
        assert hasattr(tracker, name)


def test_a_run_that_tells_nobody_leaves_nothing_of_a_tracker(tmp_path):
    tracker = make_tracker(TrackingConfig(kind="none"), TrackedRun(StateFolder(tmp_path), "e", "r"))
    tracker.check_reachable()
    tracker.start({"seed": 0})
    with tracker.round(1) as round_:
        assert (round_.number, round_.run_id) == (1, None)
        tracker.log_losses(round_, [{"step": 0, "total": 1.0}])
        tracker.log_record(round_, record(1))
    tracker.finish("finished")
    tracker.deliver()
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_registers_a_kind_before_the_configuration_is_read():
    smoke = ROOT / "configs" / "smoke.yaml"
    config = load_config(smoke, ["plugins=[support.json_lines_tracker]", "tracking.kind=json_lines"])
    assert config.tracking.kind == "json_lines"
    with pytest.raises(
        ConfigError, match=r"tracking.kind: .*no kind of tracker 'json_line'.*Did you mean 'json_lines'"
    ):
        load_config(smoke, ["tracking.kind=json_line"])


def test_a_tracker_from_outside_is_told_all_of_a_round(tmp_path):
    assert "json_lines" in TRACKERS
    tracker = make_tracker(TrackingConfig(kind="json_lines"), TrackedRun(StateFolder(tmp_path), "e", "r"))
    tracker.start({"seed": 3})
    with tracker.round(1) as round_:
        tracker.log_losses(round_, [{"step": 0, "total": 1.0}, {"step": 1, "total": 0.5}])
        tracker.log_record(round_, record(1))
    tracker.finish("interrupted")
    assert [each["what"] for each in told(tmp_path)] == ["start", "begin", "losses", "record", "end", "finish"]
    assert told(tmp_path)[2]["steps"] == [0, 1]
