"""Folders that are published to a store: a head that names trees, trees that name objects, objects written first.

    head.json             token and version of the head; name -> key of a tree
    objects/T-V/SHA256    a tree (path -> key, SHA-256, size), or the content of a file

The head is the only object that is ever replaced, and always under the condition that it is the one that was read or
written last. So what it names is whole at every moment, and two drivers cannot both write it. T and V are token and
version of the head that an object was written for: a key is written once and never again, so a driver that lost its
lease and wakes up removes nothing that its successor uses.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from corpus.storage.disk import writing
from corpus.storage.errors import UserError
from corpus.storage.lock import LeaseLost
from corpus.storage.objects import Conflict, ObjectStore, StoreAway, put_mine
from corpus.storage.snapshot import (
    FileState,
    Moved,
    file_sha256,
    is_replaced,
    is_small,
    list_folder,
    read_small,
    state_of,
)
from corpus.storage.trees import Blob, Head, StoreDamaged, Tree, keys_of, read_head, read_tree, tree_as_json
from corpus.storage.writer import PRIVATE, UNGUARDED

HEAD, OBJECTS = "head.json", "objects/"
_AT_ONCE = 8  # transfers
_TRIES = 20
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class HeadMoved(UserError):
    """The published state was replaced while it was read."""


@dataclass(frozen=True)
class Folder:
    """A folder to publish, and which paths in it are left out."""

    root: Path
    left_out: Callable[[str], bool] = lambda _: False


@dataclass
class Published:
    """What is published below one URI, as this process has read or written it last. One thread at a time uses it.

    Attributes:
        store: The store.
        token: Fencing token under which this process writes; None: it only reads.
        head: The head; None where nobody has worked here.
        trees: The trees that the head names, by name.
    """

    store: ObjectStore
    token: int | None = None
    head: Head | None = None
    trees: dict[str, Tree] = field(default_factory=dict)
    _etag: str | None = None
    _known: dict[tuple[str, str], tuple[FileState, Blob]] = field(default_factory=dict)
    _fresh: dict[str, Blob] = field(default_factory=dict)
    _garbage: set[str] = field(default_factory=set)

    def read(self, only: str | None = None) -> None:
        """Read the head and its trees.

        Args:
            only: The one tree to read; None: all.

        Raises:
            StoreDamaged: One of them is not what was published.
            HeadMoved: It was replaced again and again meanwhile.
        """
        for _ in range(_TRIES):
            found = self.store.get(HEAD)
            self.head, self._etag = (None, None)
            if found is not None:
                self.head, self._etag = read_head(found.body, self.store.uri), found.etag
            named = {} if self.head is None else self.head.trees
            trees = {name: self._tree(key) for name, key in named.items() if only in (None, name)}
            if None not in trees.values():
                self.trees = {name: tree for name, tree in trees.items() if tree is not None}
                return
        raise HeadMoved(f"{self.store.uri} names objects that are not there, or changes too often. Try again.")

    def fence(self, token: int, name: str) -> None:
        """Write the head under a new token, so that no driver with an older one can write it any more, and read it.

        Args:
            token: Of the lease that this process holds.
            name: Of the working folder, where none is published yet.

        Raises:
            LeaseLost: A driver with a newer token has written the head.
        """
        for _ in range(_TRIES):
            self.read()
            before = self.head
            if before is not None and before.token > token:
                break
            self.token = token
            version = 1 if before is None else before.version + 1
            kept = before.model_dump(include={"name", "corpus", "trees"}) if before is not None and before.trees else {}
            try:
                self._write(Head(**{"name": name, **kept}, token=token, version=version, at=time.time()))
            except Conflict:
                continue  # the driver before us was still writing
            return
        self.token = None
        raise self._lost()

    def publish(self, folders: Mapping[str, Folder], corpus: str | None, everything: bool = True) -> bool:
        """Publish folders as they are at one moment each; return whether there was anything new.

        Args:
            folders: By the name of the tree. Trees of other names stay as they are.
            corpus: Name of the corpus's folder; None: as it is.
            everything: Publish files again that nothing depends on, such as logs. False: only those not published yet.

        Raises:
            LeaseLost: Another driver has taken over; nothing was published.
            StoreAway: The store does not answer; what was published before is whole.
        """
        if self.token is None or self.head is None:
            raise RuntimeError(f"this process holds no lease of {self.store.uri}, so it publishes nothing there")
        for _ in range(_TRIES):
            trees = {name: self._uploaded(name, folder, everything) for name, folder in folders.items()}
            if all(trees[name] == self.trees.get(name) for name in trees):
                return False
            if self._name_in_head(trees, corpus):
                return True
        raise self._lost()

    def _name_in_head(self, trees: Mapping[str, Tree], corpus: str | None) -> bool:
        """Write a head that names these trees; return False where the head has to be looked at again first.

        Raises:
            LeaseLost: Another driver has taken over; nothing was published.
        """
        if self.head is None:
            raise RuntimeError("a head is written before anything is published")
        keys = dict(self.head.trees)
        for name, tree in trees.items():
            if tree != self.trees.get(name):
                keys[name] = self._put(tree_as_json(tree)).key
        unused = keys_of(self.trees) | set(self.head.trees.values())
        update = {"version": self.head.version + 1, "at": time.time(), "trees": keys}
        try:
            self._write(self.head.model_copy(update=update if corpus is None else {**update, "corpus": corpus}))
        except Conflict as error:
            self.read()
            if self.head is not None and self.head.token == self.token:
                return False  # our own, of a request that seemed to fail
            raise self._lost() from error
        self.trees = {**self.trees, **trees}
        unused |= {blob.key for blob in self._fresh.values()}
        self._fresh.clear()
        self._garbage |= unused - keys_of(self.trees) - set(keys.values())
        self._remove_garbage()
        return True

    def sweep(self) -> None:
        """Remove objects that the head does not name: what drivers that were killed have left."""
        if self.token is None or self.head is None:
            raise RuntimeError(f"this process holds no lease of {self.store.uri}, so it removes nothing there")
        named = keys_of(self.trees) | set(self.head.trees.values())
        self.store.remove_unfinished(OBJECTS)
        self.store.remove([key for key in self.store.keys(OBJECTS) if key not in named])

    def restore(self, name: str, root: Path, keep: Callable[[str], bool] = lambda _: False) -> int:
        """Make a folder hold what is published of a tree; return the number of bytes that were downloaded.

        Args:
            name: Of the tree.
            root: The folder. Files in it that are the published ones stay; others are removed.
            keep: Whether a file or folder of this path, which is not published, is no part of the tree and stays.

        Raises:
            StoreDamaged: An object is not what was published.
            HeadMoved: A driver has published another state meanwhile, and removed a file of this one.
            DiskFull: It does not fit on the disk.
        """
        tree = self.trees[name]
        root.mkdir(parents=True, exist_ok=True)
        for path in list_folder(root, keep):
            if path not in tree:
                (root / path).unlink()
        _remove_empty(root, keep)
        return sum(_in_parallel(lambda item: self._fetch(root / item[0], item[1]), tree.items()))

    def read_file(self, name: str, path: str) -> bytes | None:
        """Return the content of one small published file, None where there is none.

        Raises:
            StoreDamaged: It is not what was published.
            HeadMoved: A driver has published another state meanwhile, and removed this file.
        """
        blob = self.trees.get(name, {}).get(path)
        if blob is None:
            return None
        found = self.store.get(blob.key)
        if found is None:
            raise self._moved(blob)
        self._check(hashlib.sha256(found.body).hexdigest(), blob)
        return found.body

    def _fetch(self, path: Path, blob: Blob) -> int:
        if path.is_file() and path.stat().st_size == blob.size and file_sha256(path) == blob.sha256:
            return 0
        with UNGUARDED.place(path) as partial, writing(path.name, path):
            if not self.store.download(blob.key, partial):
                raise self._moved(blob)
            self._check(file_sha256(partial), blob)
            partial.chmod(PRIVATE)
        return blob.size

    def _check(self, found: str, blob: Blob) -> None:
        if found != blob.sha256:
            raise StoreDamaged(
                f"{blob.key} of {self.store.uri} is not what was published (SHA-256 {found[:12]}...). Restore the "
                "object from a version or a copy that the store has."
            )

    def _moved(self, blob: Blob) -> HeadMoved:
        return HeadMoved(
            f"{self.store.uri} has no {blob.key} any more: a driver has published another state meanwhile. Try again."
        )

    def _uploaded(self, name: str, folder: Folder, everything: bool) -> Tree:
        """The tree of a folder, all of whose files are in the store then."""
        for _ in range(_TRIES):
            try:
                files = list_folder(folder.root, folder.left_out)
                there = keys_of(self.trees) | {blob.key for blob in self._fresh.values()}
                earlier = self.trees.get(name, {})
                tree: Tree = {}
                changed: list[tuple[str, FileState]] = []
                for path, state in files.items():
                    known = self._known.get((name, path))
                    if known is not None and known[0] == state and known[1].key in there:
                        tree[path] = known[1]
                    elif not everything and is_replaced(path) and path in earlier and path != "status.json":
                        tree[path] = earlier[path]
                    else:
                        changed.append((path, state))
                blobs = self._uploads(folder.root, changed, (*tree.values(), *earlier.values(), *self._fresh.values()))
            except Moved:
                continue
            for (path, state), blob in zip(changed, blobs, strict=True):
                tree[path] = blob
                self._known[name, path] = state, blob
            return dict(sorted(tree.items()))
        raise StoreAway(f"{folder.root} changed faster than it could be published. Try again.")

    def _uploads(self, root: Path, files: list[tuple[str, FileState]], there: Iterable[Blob]) -> Sequence[Blob]:
        same = {blob.sha256: blob for blob in there}
        return _in_parallel(lambda file: self._upload(root / file[0], file[1], same), files)

    def _upload(self, path: Path, state: FileState, same: Mapping[str, Blob]) -> Blob:
        if is_small(path.name, state):
            body = read_small(path)
            digest = hashlib.sha256(body).hexdigest()
            return same[digest] if digest in same else self._put(body)
        digest = file_sha256(path)
        if digest in same:
            return same[digest]
        blob = Blob(key=self._key(digest), sha256=digest, size=state.size)
        try:
            self.store.upload(blob.key, path)
        except FileNotFoundError as error:
            raise Moved(str(path)) from error
        self._fresh[digest] = blob
        if state_of(path) != state:
            raise Moved(str(path))
        return blob

    def _put(self, body: bytes) -> Blob:
        digest = hashlib.sha256(body).hexdigest()
        blob = Blob(key=self._key(digest), sha256=digest, size=len(body))
        self.store.put(blob.key, body)
        self._fresh[digest] = blob
        return blob

    def _key(self, digest: str) -> str:
        version = 1 if self.head is None else self.head.version + 1
        return f"{OBJECTS}{self.token}-{version}/{digest}"

    def _write(self, head: Head) -> None:
        body = json.dumps(head.model_dump(mode="json"), indent=2).encode()
        self._etag = put_mine(self.store, HEAD, body, self._etag)
        self.head = head

    def _remove_garbage(self) -> None:
        try:
            self.store.remove(sorted(self._garbage))
            self._garbage.clear()
        except StoreAway as error:  # the state is published; `sweep` of the next driver removes what is left at last
            _log.warning("old objects were not removed, which is tried again: %s", error)

    def _tree(self, key: str) -> Tree | None:
        found = self.store.get(key)
        # None is of a head that was replaced since.
        return None if found is None else read_tree(key, found.body, self.store.uri)

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"Another driver has taken over {self.store.uri}. This process stops and publishes nothing more."
        )


def _remove_empty(root: Path, keep: Callable[[str], bool]) -> None:
    """Remove folders without files: some steps look whether a folder exists."""
    for folder, _, _ in os.walk(root, topdown=False):
        path = Path(folder)
        if path != root and not keep(path.relative_to(root).as_posix()) and not any(path.iterdir()):
            path.rmdir()


def _in_parallel(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Sequence[_Result]:
    """What `work` returns of each item, in their order. The first error is raised when those under way have ended."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="storage") as pool:
        found = [pool.submit(work, item) for item in items]
        try:
            return [each.result() for each in found]
        finally:
            for each in found:
                each.cancel()
