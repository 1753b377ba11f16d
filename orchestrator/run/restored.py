"""A run directory made of what is published: where it goes, what of it is of one machine alone, and a copy to read."""

import hashlib
import logging
import re
from pathlib import Path

from corpus.storage.config import StorageConfig
from corpus.storage.lock import LEASE, LOCK
from corpus.storage.objects import StoreUri
from corpus.storage.published import HeadMoved, Published
from corpus.storage.stores import open_store
from corpus.storage.writer import PRIVATE, UNGUARDED
from corpus.storage.yaml import dump_yaml, load_yaml
from orchestrator.data.inputs import INPUTS_FILE, move_inputs
from orchestrator.state.durable import DATA
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError

RUN, CORPUS = "run", "corpus"
"""Names of the trees that are published."""
_OF_THIS_MACHINE = (LEASE, LOCK, DATA, "mlflow.db", "mlartifacts")
_FETCHES = 10
_log = logging.getLogger(__name__)


def folder_name(uri: StoreUri) -> str:
    """Return the name of a stored run's working folder: the same on every machine, and another one for another URI."""
    digest = hashlib.sha256(str(uri).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]*', '', uri.name, count=1) or 'run'}-{digest}"


def working_folder(settings: StorageConfig) -> Path:
    """Return the working folder of a stored run for which none is named."""
    return (Path("runs") / folder_name(settings.place)).absolute()


def is_published(settings: StorageConfig) -> bool:
    """Return whether a run is published below a URI. Nothing is written there.

    Raises:
        StoreAway: The store does not answer.
    """
    published = Published(open_store(settings.place, settings.give_up_after_s))
    published.read(RUN)
    return RUN in published.trees


def of_this_machine(path: str) -> bool:
    """Return whether a file of a working folder is of this machine alone, and not published."""
    return path in _OF_THIS_MACHINE


def restore(published: Published, folder: Path, at: Path | None = None) -> int:
    """Make a folder the run directory that is published, with its corpus inside.

    What names places of the machine that published it names those of this machine then: data_dir of the configuration,
    and where the tiles lie.

    Args:
        published: What is published.
        folder: The folder.
        at: Where the folder will lie, if it is still to be moved there.

    Returns:
        Bytes that were downloaded.
    """
    head, at = published.head, at or folder
    if head is None or head.corpus is None:
        raise RuntimeError("a run is published with its corpus")
    size = published.restore(RUN, folder, of_this_machine)
    size += published.restore(CORPUS, folder / DATA / head.corpus)
    config = RunDirectory(folder).config
    content = load_yaml(config.read_text(encoding="utf-8"))
    content["corpus"]["data_dir"] = str(at / DATA)
    content["storage"]["uri"] = str(published.store.uri)
    UNGUARDED.write_text(config, dump_yaml(content), mode=PRIVATE)
    if (folder / INPUTS_FILE).exists():
        move_inputs(folder, at / DATA / head.corpus / "corpus")
    return size


def fetch_run(uri: StoreUri, folder: Path) -> int:
    """Copy what is published below a URI to a folder, whole or not at all, and return how many bytes that were.

    No lease is needed. Where a driver publishes another state meanwhile, that one is copied.

    Raises:
        RunDirectoryError: The folder is not empty, or nothing is published.
        StoreAway: The store does not answer.
    """
    RunDirectory.check_free(folder)
    published = Published(open_store(uri, StorageConfig(uri=str(uri)).give_up_after_s))
    with UNGUARDED.place(folder.absolute(), "the copy of the run") as partial:
        for _ in range(_FETCHES):
            published.read()
            if RUN not in published.trees:
                raise RunDirectoryError(f"{uri} holds no run: correct the URI.")
            try:
                return restore(published, partial, folder.absolute())
            except HeadMoved as error:
                _log.info("what is published has changed, so it is read again: %s", error)
    raise HeadMoved(f"{uri} is published faster than it can be copied. Try again.")
