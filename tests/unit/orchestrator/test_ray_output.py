"""What Ray says of itself is left out only where it is a full disk."""

import logging

import ray._private.worker as worker

from orchestrator.cluster.ray_output import quiet_ray


def test_of_a_full_disk_nothing_is_said_and_of_all_else_everything(caplog, monkeypatch):
    printed, ours = [], logging.getLogger("ray.data.exceptions")
    monkeypatch.setattr(worker, "print_to_stdstream", lambda data, ignore_prefix: printed.extend(data["lines"]))
    monkeypatch.setattr(ours, "propagate", True)

    def say(number: int) -> None:
        for error in (RuntimeError("Local disk is full"), RuntimeError("a block was lost")):
            try:
                raise error
            except RuntimeError:
                ours.error("a bug report, please %s", number)
            worker.print_to_stdstream({"lines": [str(error)], "pid": "raylet", "is_err": False}, ignore_prefix=False)

    with quiet_ray():
        say(1)
    assert [record.getMessage() for record in caplog.records] == ["a bug report, please 1"]
    assert printed == ["Ray: a block was lost"]
    say(2)
    assert len(caplog.records) == 3
    assert printed[1:] == ["Local disk is full", "a block was lost"]


def test_how_many_workers_ray_has_started_is_logged_and_not_printed(caplog, monkeypatch):
    printed, many = [], "WARNING: 8 PYTHON worker processes have been started on node: 66f0 with address: 192.0.2.2"
    monkeypatch.setattr(worker, "print_to_stdstream", lambda data, ignore_prefix: printed.extend(data["lines"]))
    with caplog.at_level(logging.INFO, "orchestrator.cluster.ray_output"), quiet_ray():
        worker.print_to_stdstream({"lines": [many, "WARNING: another thing"], "is_err": True}, ignore_prefix=False)
    assert printed == ["Ray: WARNING: another thing"]
    assert [record.getMessage() for record in caplog.records] == [many]
