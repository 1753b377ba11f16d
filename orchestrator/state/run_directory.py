"""The files of one run, and the rules for making and finding them."""

import itertools
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.storage.errors import InputError
from corpus.storage.links import link_out_of
from corpus.storage.lock import LOCK, lease_lock
from corpus.storage.state_files import StateFolder, read_json
from corpus.storage.writer import Writer, is_unfinished
from orchestrator.state.format import check_format
from orchestrator.state.records import RoundRecord, record_path

if TYPE_CHECKING:
    from orchestrator.config.schema import RunConfig

_CONFIG = "config.yaml"


class RunDirectoryError(InputError):
    """A run directory that cannot be made or used; the message says what to do."""


class RunDirectory(StateFolder):
    """The directory of a run: everything that the run writes lies below `path` and goes through `writer`.

    A process writes only while it holds the lease: `LeaseKeeper.acquire` puts a writer with the lease's token here, and
    `LeaseKeeper.release` takes it away. Before and after that, every write is refused.

    Args:
        path: The directory.
        writer: Another writer, such as `UNGUARDED` for a directory that no lease guards.
    """

    def __init__(self, path: Path, writer: Writer | None = None) -> None:
        super().__init__(path, writer or Writer(str(path)))

    @property
    def config(self) -> Path:
        """File of the run's whole configuration."""
        return self.path / _CONFIG

    @property
    def annotations(self) -> Path:
        """Delta table of the annotations, a version a round."""
        return self.path / "annotations"

    @property
    def statistics(self) -> Path:
        """File of what shallow classifiers say of the tiles, where they are a label source."""
        return self.path / "statistics.parquet"

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.path / "figures"

    def weights(self, round_: int, fold: int = 0) -> Path:
        """Folder of a round's weights. Those of fold 0 are the ones that the round publishes."""
        return self.path / "weights" / f"{f'fold-{fold}-' if fold else ''}round-{round_:04d}"

    def shards(self, round_: int) -> Path:
        """Folder of the captioner's answers in a round."""
        return self.path / "labels" / f"round-{round_:04d}"

    def feedback(self, round_: int) -> Path:
        """File of what a round's encoder says to the next round's training."""
        return self.path / "feedback" / f"round-{round_:04d}.parquet"

    def evidence(self, round_: int) -> Path:
        """File of what every label source said in a round."""
        return self.path / "evidence" / f"round-{round_:04d}.parquet"

    def losses(self, round_: int) -> Path:
        """File of the losses of a round's steps."""
        return self.path / "losses" / f"round-{round_:04d}.json"

    def trained(self, fold: int) -> Path:
        """File of what a fold's newest training came to, where another training began before its round was recorded."""
        return self.path / "trained" / f"fold-{fold}.json"

    @property
    def run_id(self) -> str:
        """Name that the directory had when its first round was recorded: a run that is moved stays the same run."""
        first = record_path(self.path, 1)
        return read_json(self.path, first, RoundRecord).run_id if first.exists() else self.path.name

    @staticmethod
    def check_free(path: Path | None) -> None:
        """Refuse a directory that holds something. What a start left that was killed at once does not count.

        Raises:
            RunDirectoryError: The directory is not empty, or is a file.
        """
        if path is not None and path.exists() and (not path.is_dir() or any(map(_is_something, path.iterdir()))):
            raise RunDirectoryError(
                f"The run directory {path} exists and is not empty. Continue that run with `knowlip resume {path}`, "
                "or name another directory with --run-dir."
            )

    @staticmethod
    def create(config: "RunConfig", path: Path | None, root: Path = Path("runs")) -> "RunDirectory":
        """Make a new directory: the given one, which must be empty or absent, or runs/<config>-<UTC time>.

        Of two runs that begin in the same second one has -2 behind that name.

        Raises:
            RunDirectoryError: The directory is not empty, or is a file.
            LockHeld: A process that makes a run there was stopped in the middle of it.
        """
        from orchestrator.config.load import save_config

        if path is None:
            chosen = _new_folder(root / f"{config.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        else:
            RunDirectory.check_free(path)
            (chosen := path).mkdir(parents=True, exist_ok=True)
        directory = RunDirectory(chosen.resolve())
        with lease_lock(directory.path):
            RunDirectory.check_free(chosen)  # another run may have begun here since
            for left in directory.path.iterdir():
                if is_unfinished(left, f"{_CONFIG}."):
                    left.unlink()
            save_config(config, directory.config)
        _point_latest(root, directory.path)
        return directory

    @staticmethod
    def open(path: Path) -> tuple["RunDirectory", "RunConfig"]:
        """Open an existing run and read its configuration.

        Raises:
            RunDirectoryError: There is no run in `path`, or a link in it leads out of it.
            FormatError: Another version of knowlip wrote it.
            ConfigError: Its configuration is damaged.
        """
        from orchestrator.config.load import load_saved_config

        directory, _ = RunDirectory.find(path)
        return directory, load_saved_config(directory.config)

    @staticmethod
    def find(path: Path) -> tuple["RunDirectory", dict[str, Any]]:
        """Open an existing run; its configuration is returned as its file has it, unchecked: that takes no time.

        Raises:
            RunDirectoryError: There is no run in `path`, or a link in it leads out of it.
            FormatError: Another version of knowlip wrote it.
        """
        directory = RunDirectory(path.resolve())
        if not directory.config.is_file():
            raise RunDirectoryError(
                f"{path} is not a run directory: it has no {_CONFIG}. Runs lie in runs/, the last one at runs/latest."
            )
        _refuse_links(directory.path)
        return directory, check_format(path, directory.config)


def _is_something(path: Path) -> bool:
    return path.is_symlink() or (path.name != LOCK and not is_unfinished(path, f"{_CONFIG}."))


def _refuse_links(root: Path) -> None:
    """Refuse links that lead out: a run directory may have come from elsewhere."""
    if (link := link_out_of(root)) is not None:
        raise RunDirectoryError(
            f"{link} leads to {link.resolve()}, outside the run directory; it is not "
            "followed. Remove the link, or copy there what it leads to."
        )


def _new_folder(wanted: Path) -> Path:
    """Make a folder that nobody else has made: of the wanted name, or with a number behind it."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("there are always more numbers")


def _point_latest(root: Path, target: Path) -> None:
    """Have runs/latest point to the run that started last; the link is replaced in one step.

    The link is a convenience. Where it cannot be set, as in a folder that is read-only, a warning says so and the run
    goes on.
    """
    temporary = root / f".latest-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        os.replace(temporary, root / "latest")
    except OSError as error:
        print(
            f"Warning: the link {root / 'latest'} could not be set to {target} ({error.strerror}); the run goes on.",
            file=sys.stderr,
            flush=True,
        )
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
