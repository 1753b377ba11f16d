"""What Ray says of itself is left out only where it is a full disk."""

import logging
import os

import pytest
import ray._private.worker as worker

from orchestrator.cluster.ray_output import quiet_ray, without_constructor_notice


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


def test_the_notice_of_constructor_arguments_is_dropped_and_every_other_line_is_passed_on(capfd):
    notice = (
        "[2026 E 1 1] core_worker.cc:2465: Actor has constructor arguments in the object store and max_restarts > 0."
    )
    with without_constructor_notice():
        os.write(2, b"before\n")
        os.write(2, notice.encode() + b" If they are lost, the restart will fail.\n")
        os.write(2, b"after, without an end of line")
    os.write(2, b"\nlater\n")
    assert capfd.readouterr().err == "before\nafter, without an end of line\nlater\n"


def test_standard_error_is_put_back_after_an_error(capfd):
    with pytest.raises(OSError, match="no way on"), without_constructor_notice():
        raise OSError("no way on")
    os.write(2, b"said\n")
    assert capfd.readouterr().err == "said\n"
