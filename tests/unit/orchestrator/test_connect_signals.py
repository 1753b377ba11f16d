"""Connecting to Ray leaves SIGTERM with whoever handles it."""

import signal
import sys

import pytest

from orchestrator.cluster.connect import connect
from orchestrator.cluster.signals import ending_on_signals


def test_a_signal_while_ray_starts_is_handled_as_before(monkeypatch):
    def init(**settings):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as ray.init does first
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("ray.init", init)
    with ending_on_signals():
        mine = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            connect("auto")
        assert signal.getsignal(signal.SIGTERM) is mine
