"""Stores of objects by URI, such as `s3://bucket/prefix`: what a run needs of one, and its errors.

A store holds whole objects under keys. Reading after writing sees what was written, and an object can be written under
the condition that nobody has written it meanwhile. Nothing else is asked of it: no rename, no lock, no folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import stamina

from corpus.storage.errors import InputError, UserError

_URI = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEME_ALONE = re.compile(r"[a-z][a-z0-9+.-]+:/")
_PREFIX = re.compile(r"[\w.=+-]+(/[\w.=+-]+)*", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_PAUSE_S = 10.0
_Result = TypeVar("_Result")


class StoreUriError(InputError, ValueError):
    """A URI that names no place in a store.

    It is a ValueError, too, so that a pydantic validator may let it pass.
    """


class StoreAway(UserError):
    """The store does not answer, or is overloaded; what was asked may have happened or not."""


class StoreRefused(InputError):
    """The store refuses: no such bucket, no right, or it cannot do what a run needs of it."""


class Conflict(Exception):
    """An object is not what the condition of a write says. Callers turn this into an error of their own."""


@dataclass(frozen=True)
class StoreUri:
    """A place in a store.

    Attributes:
        scheme: Kind of the store, such as s3.
        bucket: Name of the bucket.
        prefix: What all keys begin with, without a slash at either end; never empty.
    """

    scheme: str
    bucket: str
    prefix: str

    @staticmethod
    def parse(text: str) -> StoreUri:
        """Read `scheme://bucket/prefix`.

        Raises:
            StoreUriError: It is not of that form, or holds a user or a password.
        """
        found = _URI.fullmatch(text.strip())
        if found is None:
            raise StoreUriError("A storage URI is written s3://BUCKET/PREFIX; correct it.")
        scheme, rest = found.groups()
        if "@" in rest:
            raise StoreUriError(
                "A storage URI holds no user and no password, as it is stored with the run: put them into the "
                "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
            )
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.rstrip("/")
        if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/"):
            raise StoreUriError(
                f"The storage URI {text} names no bucket and prefix: write {scheme}://BUCKET/PREFIX, the prefix of "
                "letters, digits and the signs . _ - = + /. A run has a prefix of its own."
            )
        return StoreUri(scheme, bucket, prefix)

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.prefix.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}"


def is_uri(text: str) -> bool:
    """Return whether a text is meant as a URI and not as a path, also one that lost a slash, such as `s3:/bucket`."""
    return _SCHEME_ALONE.match(text) is not None


@dataclass(frozen=True)
class Stored:
    """An object as the store had it.

    Attributes:
        body: Its content.
        etag: What the store calls this content of this object.
        age_s: Seconds since it was written, by the store's own clock; None where the store does not say.
    """

    body: bytes
    etag: str
    age_s: float | None


class ObjectStore(Protocol):
    """The objects below one URI. Keys are relative to it. Methods may be called from several threads.

    Every method raises StoreAway where the store does not answer, and StoreRefused where it refuses.
    """

    @property
    def uri(self) -> StoreUri:
        """Where the objects lie."""
        ...

    def get(self, key: str) -> Stored | None:
        """Return a small object, None where there is none."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Write a small object whatever there was."""
        ...

    def put_if(self, key: str, body: bytes, etag: str | None) -> str:
        """Write a small object if it still is `etag`, or if there is none (None); return what it is now.

        Raises:
            Conflict: The condition does not hold; nothing was written.
        """
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write a file of any size as an object, which appears whole or not at all."""
        ...

    def download(self, key: str, path: Path) -> bool:
        """Write an object to a file; return False where there is none."""
        ...

    def keys(self, below: str) -> Iterator[str]:
        """Iterate over the keys that begin with `below`."""
        ...

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there do not matter."""
        ...

    def remove_unfinished(self, below: str) -> None:
        """Remove what uploads that were killed have left below a key."""
        ...


def put_mine(store: ObjectStore, key: str, body: bytes, etag: str | None) -> str:
    """As `put_if`, and sees that an attempt of this call that seemed to fail has succeeded.

    Args:
        store: The store.
        key: The key.
        body: Content that no other writer writes: it holds a token or a time.
        etag: What the object has to be; None: it must not exist.

    Raises:
        Conflict: Somebody else has written the object.
    """
    try:
        return store.put_if(key, body, etag)
    except Conflict:
        found = store.get(key)
        if found is not None and found.body == body:
            return found.etag
        raise


class Patient:
    """A store that is asked again while it is away.

    Args:
        store: The store.
        patience_s: Seconds after which one request is given up.
        advice: What to do then; default: what who runs in the store has to know.
    """

    def __init__(self, store: ObjectStore, patience_s: float, advice: str | None = None) -> None:
        self._store, self.patience_s = store, patience_s
        self._advice = advice or (
            "storage.give_up_after_s says for how long. What the run had published before is whole. When the store "
            f"answers again: knowlip resume {store.uri}"
        )

    @property
    def once(self) -> ObjectStore:
        """The store itself, which is asked once."""
        return self._store

    @property
    def uri(self) -> StoreUri:
        """See ObjectStore; the same of all methods."""
        return self._store.uri

    def get(self, key: str) -> Stored | None:
        """See ObjectStore."""
        return self._asked(lambda: self._store.get(key))

    def put(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        self._asked(lambda: self._store.put(key, body))

    def put_if(self, key: str, body: bytes, etag: str | None) -> str:
        """See ObjectStore. After a StoreAway the object may be there: `put_mine` finds out."""
        return self._asked(lambda: self._store.put_if(key, body, etag))

    def upload(self, key: str, path: Path) -> None:
        """See ObjectStore."""
        self._asked(lambda: self._store.upload(key, path))

    def download(self, key: str, path: Path) -> bool:
        """See ObjectStore."""
        return self._asked(lambda: self._store.download(key, path))

    def keys(self, below: str) -> Iterator[str]:
        """See ObjectStore."""
        return iter(self._asked(lambda: list(self._store.keys(below))))

    def remove(self, keys: Sequence[str]) -> None:
        """See ObjectStore."""
        self._asked(lambda: self._store.remove(keys))

    def remove_unfinished(self, below: str) -> None:
        """See ObjectStore."""
        self._asked(lambda: self._store.remove_unfinished(below))

    def _asked(self, ask: Callable[[], _Result]) -> _Result:
        """What `ask` returns, tried for `patience_s` seconds.

        Raises:
            StoreAway: The store was away for as long.
        """
        patience_s = self.patience_s
        if patience_s <= 0:
            return ask()
        try:
            for attempt in stamina.retry_context(
                StoreAway, attempts=None, timeout=patience_s, wait_initial=0.2, wait_max=_LONGEST_PAUSE_S
            ):
                with attempt:
                    return ask()
        except StoreAway as error:
            raise StoreAway(f"{error} It was asked for {patience_s:.0f} s. {self._advice}") from error
        raise AssertionError("stamina returns or raises")


def in_batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """Iterate over lists of at most `size` keys."""
    batch: list[str] = []
    for key in keys:
        batch.append(key)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
