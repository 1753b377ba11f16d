"""One driver per stored run: the lease of orchestrator/state/lease.py, kept in the store.

It tells drivers from one another by an object that is only ever replaced under the condition of what it was. Its age is
taken from the store's own clock. It keeps two drivers from doing the same work; that they do not write the same state
is seen to by the head (corpus/storage/published.py), which is written under the lease's token.
"""

import json
import logging
import threading
import time
from collections.abc import Callable

from pydantic import ValidationError

from corpus.storage.errors import UserError
from corpus.storage.lock import LeaseLost
from corpus.storage.objects import Conflict, ObjectStore, Patient, StoreAway, Stored, StoreRefused, put_mine
from corpus.storage.trees import StoreDamaged
from orchestrator.state.lease import Lease, LeaseHeld, Owner

LEASE = "lease.json"
_PROBE = "conditions"
LASTS_S = 60.0
_log = logging.getLogger(__name__)


def read_stored_lease(store: ObjectStore) -> tuple[Lease, float | None, str] | None:
    """Return the lease of a stored run, its age in seconds and its etag; None where none was ever taken.

    Raises:
        StoreDamaged: It is no lease.
    """
    found = store.get(LEASE)
    return None if found is None else (_parsed(store, found), found.age_s, found.etag)


def is_held(lease: Lease, age_s: float | None, lasts_s: float = LASTS_S) -> bool:
    """Return whether the owner of a lease may still be at work.

    Args:
        lease: The lease.
        age_s: Seconds since it was renewed, by the store's clock; None: by the clocks of both machines.
        lasts_s: Seconds after its last renewal for which it is respected.
    """
    age_s = time.time() - lease.renewed if age_s is None else age_s
    return not lease.released and age_s < lasts_s and not lease.owner.is_dead()


class StoredLease:
    """Takes, renews and releases the lease of a stored run.

    Args:
        store: Where it lies. A renewal asks it once.
        on_lost: Called by the renewing thread once another driver has taken over, with that driver's lease.
        lasts_s: Seconds after its last renewal for which a lease is respected.
    """

    def __init__(
        self, store: Patient, on_lost: Callable[[Lease], None] = lambda _: None, lasts_s: float = LASTS_S
    ) -> None:
        self._store, self._on_lost, self._lasts_s = store, on_lost, lasts_s
        self._owner = Owner.of_this_process()
        self._etag: str | None = None
        self._token: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def acquire(self) -> int:
        """Take the lease, keep renewing it, and return the fencing token.

        Raises:
            LeaseHeld: Another driver holds it.
            StoreRefused: The store does not keep the conditions of writes.
        """
        self._see_to_conditions()
        found = read_stored_lease(self._store)
        if found is not None and is_held(found[0], found[1], self._lasts_s):
            raise self._held(found[0])
        self._token = 1 if found is None else found[0].token + 1
        try:
            self._etag = self._write(None if found is None else found[2])
        except Conflict as error:
            now = read_stored_lease(self._store)
            raise self._held(now[0]) if now is not None else LeaseLost(f"{self._store.uri} was removed.") from error
        self._thread = threading.Thread(target=self._renew, name="stored lease", daemon=True)
        self._thread.start()
        return self._token

    def release(self) -> None:
        """Give the lease back, if it is still ours.

        Raises:
            StoreAway: The store does not answer; the lease runs out by itself.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if not self.lost:
            try:
                self._write(self._etag, released=True)
            except Conflict:
                if self._is_still_ours():
                    self._write(self._etag, released=True)

    def _renew(self) -> None:
        while not self._stop.wait(self._lasts_s / 4):
            try:
                self._etag = self._write(self._etag, store=self._store.once)
            except (StoreAway, StoreRefused) as error:
                # The head still guards what is published, and publishing meets the same store.
                _log.warning("the lease was not renewed, which is tried again: %s", error)
            except Conflict:
                if not self._is_still_ours():
                    return

    def _is_still_ours(self) -> bool:
        try:
            found = read_stored_lease(self._store.once)
        except UserError as error:
            _log.warning("the lease could not be read, which is tried again: %s", error)
            return True
        if found is not None and found[0].token == self._token:
            self._etag = found[2]  # of an earlier request of ours that seemed to fail
            return True
        self.lost = True
        if found is not None:
            self._on_lost(found[0])
        return False

    def _write(self, etag: str | None, released: bool = False, store: ObjectStore | None = None) -> str:
        if self._token is None:
            raise RuntimeError("the lease was not acquired")
        lease = Lease(token=self._token, owner=self._owner, renewed=time.time(), released=released)
        body = json.dumps(lease.model_dump(mode="json"), indent=2).encode()
        return put_mine(store or self._store, LEASE, body, etag)

    def _see_to_conditions(self) -> None:
        """Write an object twice on condition that there is none: a store that does it cannot tell two drivers apart."""
        try:
            for _ in range(2):
                self._store.put_if(_PROBE, b"", None)
        except Conflict:
            return
        raise StoreRefused(
            f"The store {self._store.uri} writes although the condition of the write (If-None-Match) does not hold, so "
            "two drivers could write one run. Use one that keeps conditions, such as AWS S3, MinIO or Ceph."
        )

    def _held(self, lease: Lease) -> LeaseHeld:
        return LeaseHeld(
            f"Another driver ({lease.owner}) is working on {self._store.uri}. Wait until it has ended (one that dies "
            f"elsewhere is given up after {self._lasts_s:.0f} s), or end it."
        )


def _parsed(store: ObjectStore, found: Stored) -> Lease:
    try:
        return Lease.model_validate_json(found.body)
    except ValidationError as error:
        raise StoreDamaged(f"{LEASE} of {store.uri} is damaged. Restore it from a copy, or remove it.") from error
