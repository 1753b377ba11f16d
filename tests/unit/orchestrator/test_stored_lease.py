"""The lease of a stored run: one driver at a time, whatever it does and wherever it dies."""

import time

import pytest

from corpus.storage.objects import Patient, StoreRefused
from corpus.storage.stores import open_store
from orchestrator.state.lease import Lease, LeaseHeld, Owner
from orchestrator.state.stored_lease import LEASE, StoredLease, is_held, read_stored_lease

ELSEWHERE = Owner(host="elsewhere", pid=7, started=1.0)


def opened(s3) -> Patient:
    return open_store(s3.uri("a"), 5.0)


def leave(s3, token: int = 3, released: bool = False) -> None:
    """The lease of a driver on another machine, renewed now."""
    lease = Lease(token=token, owner=ELSEWHERE, renewed=time.time(), released=released)
    s3.overwrite("a", LEASE, lease.model_dump_json().encode())


def token_in(s3) -> int:
    found = read_stored_lease(opened(s3))
    assert found is not None
    return found[0].token


def test_a_second_driver_is_refused_with_the_name_of_the_first(s3):
    first = StoredLease(opened(s3))
    assert first.acquire() == 1
    with pytest.raises(LeaseHeld, match=f"{first._owner}.*is working on s3://"):
        StoredLease(opened(s3)).acquire()
    first.release()
    second = StoredLease(opened(s3))
    assert second.acquire() == 2
    second.release()


def test_a_driver_that_died_elsewhere_is_given_up_after_a_while(s3):
    leave(s3)
    with pytest.raises(LeaseHeld, match="process 7 on elsewhere"):
        StoredLease(opened(s3), lasts_s=2.0).acquire()
    time.sleep(2.0)
    lease = StoredLease(opened(s3), lasts_s=2.0)
    assert lease.acquire() == 4
    lease.release()


def test_a_lease_that_was_given_back_is_taken_at_once(s3):
    leave(s3, released=True)
    lease = StoredLease(opened(s3))
    assert lease.acquire() == 4
    lease.release()


def test_its_age_is_by_the_clock_of_the_store():
    lease = Lease(token=1, owner=ELSEWHERE, renewed=time.time() - 1e6)
    assert is_held(lease, age_s=5.0)
    assert not is_held(lease, age_s=61.0)
    assert not is_held(lease, age_s=None)  # a store without a clock: by those of the machines


def test_a_lease_is_renewed_while_it_is_held(s3):
    lease = StoredLease(opened(s3), lasts_s=0.4)
    lease.acquire()
    before = read_stored_lease(opened(s3))
    time.sleep(0.5)
    after = read_stored_lease(opened(s3))
    assert before is not None
    assert after is not None
    assert after[0].renewed > before[0].renewed
    lease.release()


def test_a_driver_that_slept_too_long_hears_who_has_taken_over(s3):
    told: list[Lease] = []
    lease = StoredLease(opened(s3), told.append, lasts_s=0.4)
    lease.acquire()
    leave(s3, token=2)
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [each.owner for each in told] == [ELSEWHERE]
    assert lease.lost
    lease.release()  # of what is another driver's nothing is given back
    assert token_in(s3) == 2


def test_a_store_that_is_away_for_a_while_costs_no_lease(s3):
    lease = StoredLease(opened(s3), lasts_s=0.4)
    lease.acquire()
    s3.proxy.go_away()
    time.sleep(0.5)
    s3.proxy.return_()
    time.sleep(0.3)
    assert not lease.lost
    lease.release()
    found = read_stored_lease(opened(s3))
    assert found is not None
    assert found[0].released


class _WithoutConditions(Patient):
    """A store of an old kind: it writes whatever the condition says."""

    def put_if(self, key: str, body: bytes, etag: str | None) -> str:
        self.put(key, body)
        return "etag"


def test_a_store_that_keeps_no_conditions_is_refused(s3):
    with pytest.raises(StoreRefused, match="If-None-Match"):
        StoredLease(_WithoutConditions(opened(s3).once, 1.0)).acquire()
