"""The watchdog: when it speaks, what it says, and that it gets a driver out of a wait that never ends."""

import contextlib
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.load import load_config
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.policies.stall import PendingDemand, Verdict, WatchdogConfig, judge
from orchestrator.run.phases import Phases
from support.paths import ROOT
from support.unguarded import unguarded

CONFIG = WatchdogConfig(warn_after_s=10, give_up_after_s=30)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def warned():
    return []


@pytest.fixture
def dog(clock, warned):
    demand = PendingDemand(("1 x actor or task that asks for 64 CPU",), "2 CPU of 6 CPU")
    return Watchdog(CONFIG, lambda: demand, warned.append, clock=clock)


@given(idle_s=st.floats(0, 100), warned=st.booleans())
def test_silence_is_named_once_and_then_ended(idle_s, warned):
    verdict = judge(idle_s, CONFIG, warned)
    if idle_s < 10:
        assert verdict is Verdict.QUIET
    elif idle_s >= 30:
        assert verdict is Verdict.GIVE_UP
    else:
        assert verdict is (Verdict.QUIET if warned else Verdict.WARN)


def test_the_warning_names_phase_time_and_what_ray_waits_for(dog, clock, warned):
    with dog.phase("label", 3):
        clock.now = 9
        assert dog.poll() is Verdict.QUIET
        clock.now = 12
        assert dog.poll() is Verdict.WARN
        assert dog.poll() is Verdict.QUIET
    [said] = warned
    assert "Nothing has moved in label of round 3 for 12 s" in said
    assert "Ray waits for 1 x actor or task that asks for 64 CPU; free: 2 CPU of 6 CPU" in said
    assert "watchdog.give_up_after_s" in said


def test_every_step_and_tile_is_life_and_repeating_one_is_not(dog, clock, warned):
    with dog.phase("train", 1):
        for step in range(50):  # slow, but it moves
            clock.now += 9
            dog.heartbeat(("step", step))
            assert dog.poll() is Verdict.QUIET
        clock.now += 9
        dog.heartbeat(("step", 49))
        clock.now += 9
        assert dog.poll() is Verdict.WARN


def test_every_response_of_the_captioner_is_life_also_one_that_ends_no_tile(dog, clock, tmp_path):
    shown = []
    progress = SimpleNamespace(advance=lambda *parts: shown.append(parts))
    phases = Phases(unguarded(tmp_path), progress, dog, 1, 3)
    with dog.phase("label", 1):
        for _ in range(50):
            clock.now += 9
            phases.response_received(0, 512)
            assert dog.poll() is Verdict.QUIET
    assert shown == [(0, 512, "tiles")] * 50


def test_between_phases_nothing_is_watched(dog, clock, warned):
    with dog.phase("score", 1):
        pass
    clock.now = 1000
    assert dog.poll() is Verdict.QUIET
    assert warned == []


@pytest.mark.parametrize("next_phase", [None, "label", "score"])
def test_a_phase_that_ends_before_it_is_interrupted_ends_no_run(clock, monkeypatch, next_phase):
    exits = []
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: None)  # it comes late, see below
    monkeypatch.setattr(os, "_exit", exits.append)
    dog = Watchdog(CONFIG, str, print, exit_after_s=1.0, interval_s=0.01, clock=clock)
    with dog.phase("score", 1):
        clock.now = 31
        watching = threading.Thread(target=dog._watch)
        watching.start()
        while dog._given_up is None:
            time.sleep(0.001)
    with contextlib.nullcontext() if next_phase is None else dog.phase(next_phase, 1):
        dog._interrupt(signal.SIGUSR1, None)
        time.sleep(1.3)
    dog.stop()
    watching.join()
    assert exits == []
    with pytest.raises(KeyboardInterrupt), dog.phase("evaluate", 1):
        raise KeyboardInterrupt  # of the user


def test_a_ray_that_fails_to_answer_is_quoted(clock, warned):
    def broken():
        raise ConnectionError("GCS is gone")

    dog = Watchdog(CONFIG, broken, warned.append, clock=clock)
    with dog.phase("evaluate", 2):
        clock.now = 15
        dog.poll()
    assert "Ray does not say what it waits for: GCS is gone" in warned[0]


def test_an_interrupt_by_the_user_stays_one(dog):
    with pytest.raises(KeyboardInterrupt), dog.phase("train", 1):
        raise KeyboardInterrupt


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="warn_after_s .* is larger than give_up_after_s"):
        WatchdogConfig(warn_after_s=10, give_up_after_s=5)


def test_by_default_a_phase_may_be_silent_longer_than_any_wait_of_the_run_lasts():
    """The trainer, the captioner and their regrouping have limits of their own, which say more."""
    config = load_config(ROOT / "configs" / "default.yaml")
    waits = (config.train.start_timeout_s, config.train.regroup_timeout_s, config.captioner.start_timeout_s)
    assert max(waits) < config.watchdog.warn_after_s < config.watchdog.give_up_after_s
