"""A store from outside the project: objects in the memory of one process, for `storage: memory://bucket/prefix`."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus.storage.objects import Conflict, Stored, StoreUri
from corpus.storage.stores import STORES

_OBJECTS: dict[str, tuple[bytes, float]] = {}
_LOCK = threading.Lock()


class MemoryStore:
    """The objects below one URI."""

    def __init__(self, uri: StoreUri) -> None:
        self._uri = uri

    @property
    def uri(self) -> StoreUri:
        return self._uri

    def get(self, key: str) -> Stored | None:
        found = _OBJECTS.get(self._full(key))
        return None if found is None else Stored(found[0], _etag(found[0]), time.monotonic() - found[1])

    def put(self, key: str, body: bytes) -> None:
        _OBJECTS[self._full(key)] = body, time.monotonic()

    def put_if(self, key: str, body: bytes, etag: str | None) -> str:
        with _LOCK:
            found = self.get(key)
            if (None if found is None else found.etag) != etag:
                raise Conflict(key)
            self.put(key, body)
            return _etag(body)

    def upload(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def download(self, key: str, path: Path) -> bool:
        if (found := self.get(key)) is None:
            return False
        path.write_bytes(found.body)
        return True

    def keys(self, below: str) -> Iterator[str]:
        full = self._full(below)
        return iter([key.removeprefix(self._full("")) for key in list(_OBJECTS) if key.startswith(full)])

    def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            _OBJECTS.pop(self._full(key), None)

    def remove_unfinished(self, below: str) -> None:
        """An object is there whole or not at all."""

    def _full(self, key: str) -> str:
        return f"{self._uri}/{key}"


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


STORES.add("memory", MemoryStore)
