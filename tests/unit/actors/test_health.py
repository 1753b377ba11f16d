"""An engine may label only with weights that a probe has shown it to serve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.captioner.health import EngineEvent, EngineHealth, EngineState, IllegalTransition


def after(*events):
    health = EngineHealth()
    for event in events:
        health = health.on(*event) if isinstance(event, tuple) else health.on(event)
    return health


def test_a_started_engine_is_stale_until_its_probe_matches():
    started = after(EngineEvent.STARTED)
    assert started.state is EngineState.STALE
    assert not started.may_label
    published = started.on(EngineEvent.PUBLISHED, "a")
    assert not published.may_label
    assert published.on(EngineEvent.PROBE_MATCHED, "a").may_label


def test_new_weights_make_a_current_engine_stale():
    current = after(EngineEvent.STARTED, (EngineEvent.PUBLISHED, "a"), (EngineEvent.PROBE_MATCHED, "a"))
    assert current.on(EngineEvent.PUBLISHED, "a").may_label
    assert not current.on(EngineEvent.PUBLISHED, "b").may_label


def test_a_probe_of_old_weights_proves_nothing():
    health = after(EngineEvent.STARTED, (EngineEvent.PUBLISHED, "b"), (EngineEvent.PROBE_MATCHED, "a"))
    assert health.state is EngineState.STALE
    assert not health.may_label


def test_a_restarted_engine_must_prove_itself_again():
    health = after(
        EngineEvent.STARTED,
        (EngineEvent.PUBLISHED, "a"),
        (EngineEvent.PROBE_MATCHED, "a"),
        EngineEvent.CRASHED,
        EngineEvent.STARTED,
    )
    assert health.state is EngineState.STALE
    assert health.wanted == "a"
    assert not health.may_label


def test_a_differing_probe_fails_the_engine():
    health = after(EngineEvent.STARTED, (EngineEvent.PUBLISHED, "a"), EngineEvent.PROBE_DIFFERED)
    assert health.state is EngineState.FAILED
    with pytest.raises(IllegalTransition, match="failed"):
        health.on(EngineEvent.PROBE_MATCHED, "a")


@given(st.lists(st.tuples(st.sampled_from(EngineEvent), st.sampled_from("ab")), max_size=12))
def test_whatever_happens_labelling_needs_a_matching_probe_of_the_wanted_weights(events):
    health = EngineHealth()
    last_wanted, proven = None, None
    for event, weights in events:
        try:
            health = health.on(event, weights)
        except IllegalTransition:
            continue
        if event is EngineEvent.PUBLISHED:
            last_wanted = weights
        elif event is EngineEvent.PROBE_MATCHED:
            proven = weights
        elif event in (EngineEvent.CRASHED, EngineEvent.PROBE_DIFFERED, EngineEvent.STARTED):
            proven = None
        if health.may_label:
            assert proven == last_wanted is not None
