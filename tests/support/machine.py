"""Machines that share nothing but a store, in which a run lies."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from corpus.storage.config import StorageConfig
from corpus.storage.objects import StoreUri
from corpus.storage.snapshot import list_folder
from orchestrator.config.load import save_config
from orchestrator.run.restored import folder_name, of_this_machine
from orchestrator.run.stored import StoredRun
from orchestrator.state.run_directory import RunDirectory


class Machine:
    """A working folder on a machine of its own, with the run of `made` in it where it is the first."""

    def __init__(self, place, folder: Path, made: Path | None = None) -> None:
        uri = place if isinstance(place, StoreUri) else place.uri("runs/a")
        self.settings = StorageConfig(uri=str(uri), publish_every_s=0.1, give_up_after_s=5)
        self.folder = folder / folder_name(self.settings.place)
        self._made = made

    def stored(self, lasts_s: float = 60.0) -> StoredRun:
        return StoredRun(self.settings, self.folder, Console(quiet=True), lasts_s)

    def begin(self) -> StoredRun:
        """Have the run of `made` in the working folder, as a driver that has just begun; nobody ends it."""
        stored = self.stored().__enter__()
        if self._made is not None:
            shutil.copytree(self._made / "run", self.folder)
            config = RunDirectory.open(self.folder)[1].model_copy(update={"storage": self.settings})
            save_config(config, self.folder / "config.yaml")
        stored.begin(self.settings, grace_s=5)
        return stored

    @contextmanager
    def driving(self) -> Iterator[StoredRun]:
        stored = self.begin()
        try:
            yield stored
        except BaseException as error:
            stored.__exit__(type(error), error, None)
            raise
        stored.__exit__(None, None, None)

    def published(self) -> dict[str, bytes]:
        """What of the folder is to be published, without what is of the machine."""
        files = list_folder(self.folder, of_this_machine)
        return {path: (self.folder / path).read_bytes() for path in files if path not in ("config.yaml", "corpus.json")}
