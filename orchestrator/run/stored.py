"""A run whose state lies in a store: restored into a working folder, worked on there, and published.

The working folder is a run directory like any other; docs/decisions/0010 says why the run does not write to the store
itself. While this driver holds the lease in the store a thread looks for new files; a round is published by the session
as its record is written.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from pydantic import Field
from rich.console import Console

from corpus.storage.config import StorageConfig
from corpus.storage.errors import Interrupted, UserError
from corpus.storage.lock import LEASE, LeaseLost, lease_lock
from corpus.storage.models import StateModel
from corpus.storage.objects import StoreAway, StoreUri
from corpus.storage.published import Folder, Published
from corpus.storage.state_files import read_json, write_json
from corpus.storage.stores import open_store
from corpus.storage.trees import Head
from orchestrator.data.inputs import read_inputs
from orchestrator.run.restored import CORPUS, RUN, of_this_machine, restore, working_folder
from orchestrator.state.lease import Lease, LeaseKeeper, read_lease
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from orchestrator.state.stored_lease import LASTS_S, StoredLease

_log = logging.getLogger(__name__)


class Copy(StateModel):
    """A file beside a working folder: what of the store it holds."""

    uri: str
    trees: dict[str, str] = Field(description="of the head that was restored or published last: name -> key")
    whole: bool = Field(description="false while the folder is being restored")


class StoredRun:
    """Holds the lease of a stored run, keeps its working folder as the store has it, and publishes what comes.

    Args:
        settings: Where the state lies.
        folder: The working folder; None: one in runs/, of the name that the published run has, or that follows from the
            URI where none is published.
        console: Console that the user reads.
        lasts_s: Seconds after its last renewal for which a lease is respected.
    """

    def __init__(
        self, settings: StorageConfig, folder: Path | None, console: Console, lasts_s: float = LASTS_S
    ) -> None:
        self.settings, self._console = settings, console
        self.store = open_store(settings.place, settings.give_up_after_s)
        self._published = Published(self.store)
        self._lease = StoredLease(self.store, self._stop_writers, lasts_s)
        self._is_named = folder is not None
        self.folder = folder.absolute() if folder is not None else working_folder(settings)
        self._lock, self._end = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self.grace_s = settings.give_up_after_s

    @property
    def uri(self) -> StoreUri:
        """Where the state lies."""
        return self.settings.place

    @property
    def publishes(self) -> bool:
        """Whether `begin` was called."""
        return self._thread is not None

    @property
    def has_run(self) -> bool:
        """Whether a run has begun here, be it published or not."""
        return (self.folder / "config.yaml").is_file()

    def __enter__(self) -> "StoredRun":
        with self._console.status(f"opening {self.uri}"):
            self._open()
        return self

    def _open(self) -> None:
        token = self._lease.acquire()
        try:
            self._published.fence(token, self.folder.name)
            self._published.sweep()
            self._restore()
        except BaseException:
            with suppress(UserError):  # the lease runs out, and the first error is the one to hear of
                self._lease.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if isinstance(error, (KeyboardInterrupt, Interrupted)):
            self.store.patience_s = min(self.store.patience_s, self.grace_s)
        elif isinstance(error, StoreAway):
            self.store.patience_s = 0.0  # it was asked for long enough
        if self._thread is not None:
            self._thread.join()
        try:
            try:
                if self.publishes and not self._lease.lost and not isinstance(error, LeaseLost):
                    self.publish()
            finally:
                self._lease.release()
        except UserError as trouble:
            if error is None:
                raise
            self._console.print(
                f"The end of the run was not published: {trouble}", highlight=False, soft_wrap=True, markup=False
            )

    def begin(self, settings: StorageConfig, grace_s: float) -> None:
        """Publish the run, corpus and all, and from now on look for new files.

        Args:
            settings: As the run's configuration has them.
            grace_s: Seconds that an interrupted driver has to publish its end.

        Raises:
            StoreAway: The store does not answer.
            LeaseLost: Another driver has taken over.
        """
        self.settings, self.grace_s, self.store.patience_s = settings, grace_s, settings.give_up_after_s
        self._thread = threading.Thread(target=self._look, name="publishing", daemon=True)
        self.publish()
        self._thread.start()

    def publish(self) -> None:
        """See `Durable`."""
        with self._lock:
            begun = time.monotonic()
            self._publish(everything=True)
            _log.info("the run is published, which took %.1f s", time.monotonic() - begun)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """See `Durable`."""
        with self._lock:
            yield

    def _look(self) -> None:
        while not self._end.wait(self.settings.publish_every_s):
            with self._lock:
                try:
                    self._publish(everything=False)
                except LeaseLost:
                    return  # the lease's own thread stops the writers, and the session meets the same
                except UserError as error:
                    _log.warning("nothing was published, which is tried again: %s", error)

    def _publish(self, everything: bool) -> None:
        if self._lease.lost:
            raise LeaseLost(f"Another driver has taken over {self.uri}. This process stops and publishes nothing more.")
        folders, corpus = {RUN: Folder(self.folder, of_this_machine)}, None
        if self._head.corpus is None:
            root = read_inputs(self.folder).corpus_dir.parent
            folders, corpus = {CORPUS: Folder(root), **folders}, root.name
        if self._published.publish(folders, corpus, everything):
            self._note(whole=True)

    @property
    def _head(self) -> Head:
        if self._published.head is None:
            raise RuntimeError("the store is read only under its lease")
        return self._published.head

    @property
    def _copy_file(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.stored.json")

    def _note(self, whole: bool) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        copy = Copy(uri=str(self.uri), trees=self._head.trees, whole=whole)
        write_json(self.folder.parent, self._copy_file, copy)

    def _restore(self) -> None:
        """Have the working folder hold what is published, unless it does, and maybe more that this machine did since.

        Raises:
            RunDirectoryError: The folder is another run's.
        """
        head = self._head
        if not self._is_named:
            self.folder = self.folder.with_name(head.name)
        if head.name != self.folder.name:
            raise RunDirectoryError(
                f"{self.uri} holds a run whose folder is called {head.name}, and not {self.folder.name}. Name a "
                "folder of that name with --run-dir, or leave --run-dir out."
            )
        there = self.folder.is_dir() and any(self.folder.iterdir())
        noted = read_json(self.folder.parent, self._copy_file, Copy) if self._copy_file.exists() else None
        if there and (noted is None or noted.uri != str(self.uri)):
            raise RunDirectoryError(
                f"{self.folder} is no working folder of {self.uri}. Move it away, or name another one with --run-dir."
            )
        if noted is not None and there and noted.whole and noted.trees == head.trees:
            return
        if there and RUN not in head.trees:
            raise RunDirectoryError(
                f"{self.uri} is empty, but {self.folder} holds a run that was published there. Put the objects back, "
                "or move the folder away to begin anew."
            )
        self._note(whole=False)
        if RUN in head.trees:
            self._console.print(
                f"restoring {self.uri} into {self.folder}", highlight=False, soft_wrap=True, markup=False
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            keeper = LeaseKeeper(RunDirectory(self.folder))
            keeper.acquire()  # a driver of this machine that was paused writes into the folder no more
            try:
                restore(self._published, self.folder)
            finally:
                keeper.release()
        self._note(whole=True)

    def _stop_writers(self, other: Lease) -> None:
        """Have every process that writes into the working folder, on any node, stop: the lease there is lost, too."""
        if not (self.folder / LEASE).exists():
            return
        with lease_lock(self.folder):
            if (ours := read_lease(self.folder)) is not None:
                lease = Lease(token=ours.token + 1, owner=other.owner, renewed=time.time(), released=True)
                write_json(self.folder, self.folder / LEASE, lease)
