"""The files of one run, and the rules for making and finding them."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from corpus.storage.errors import UserError
from corpus.storage.fence import LOCK, lease_lock
from corpus.storage.links import link_out_of
from orchestrator.config.schema import RunConfig, load_saved_config, save_config
from orchestrator.state.records import RoundRecord, read_json, record_path

_UNFINISHED_CONFIG = ".config.yaml-"  # how `write_whole` calls it until it is complete


class RunDirectoryError(UserError):
    """A run directory that cannot be made or used; the message says what to do."""


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run: everything it writes lies below `path`."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def annotations(self) -> Path:
        return self.path / "annotations"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def weights(self, round_: int, fold: int = 0) -> Path:
        """The first fold's weights are those that the round publishes."""
        return self.path / "weights" / f"{f'fold-{fold}-' if fold else ''}round-{round_:04d}"

    def shards(self, round_: int) -> Path:
        return self.path / "labels" / f"round-{round_:04d}"

    def feedback(self, round_: int) -> Path:
        return self.path / "feedback" / f"round-{round_:04d}.parquet"

    def losses(self, round_: int) -> Path:
        return self.path / "losses" / f"round-{round_:04d}.json"

    @property
    def run_id(self) -> str:
        """The directory's name when its first round was recorded: a run that is moved or renamed stays the same run."""
        first = record_path(self.path, 1)
        return read_json(self.path, first, RoundRecord).run_id if first.exists() else self.path.name

    @staticmethod
    def check_free(path: Path | None) -> None:
        """Refuse a directory that holds something; what a start that was killed at once has left is nothing.

        Raises:
            RunDirectoryError: the directory is not empty or is a file.
        """
        if path is not None and path.exists() and (not path.is_dir() or any(map(_is_something, path.iterdir()))):
            raise RunDirectoryError(
                f"The run directory {path} exists and is not empty. Continue that run with `knowlip resume {path}`, "
                "or name another directory with --run-dir."
            )

    @staticmethod
    def create(config: RunConfig, path: Path | None, root: Path = Path("runs")) -> "RunDirectory":
        """A new directory: the given one, which must be empty or absent, or runs/<config>-<UTC time>.

        Raises:
            RunDirectoryError: the directory is not empty or is a file. LockHeld: a process that makes a run there does
                not go on.
        """
        chosen = path or root / f"{config.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        RunDirectory.check_free(chosen)
        chosen.mkdir(parents=True, exist_ok=True)
        directory = RunDirectory(chosen.resolve())
        with lease_lock(directory.path):
            RunDirectory.check_free(chosen)  # another run may have begun here since
            for left in directory.path.glob(f"{_UNFINISHED_CONFIG}*"):
                left.unlink()
            save_config(config, directory.config)
        _point_latest(root, directory.path)
        return directory

    @staticmethod
    def open(path: Path) -> tuple["RunDirectory", RunConfig]:
        """An existing run and its configuration.

        Raises:
            RunDirectoryError: there is no run in `path`, or a link in it leads out of it.
            ConfigError: its configuration is damaged.
        """
        directory = RunDirectory(path.resolve())
        if not directory.config.is_file():
            raise RunDirectoryError(
                f"{path} is not a run directory: it has no config.yaml. Runs lie in runs/, the last one at runs/latest."
            )
        _refuse_links(directory.path)
        return directory, load_saved_config(directory.config)


def _is_something(path: Path) -> bool:
    return path.is_symlink() or (path.name != LOCK and not path.name.startswith(_UNFINISHED_CONFIG))


def _refuse_links(root: Path) -> None:
    """A run directory may have come from elsewhere; nothing in it makes a run write or read at another place."""
    if (link := link_out_of(root)) is not None:
        raise RunDirectoryError(
            f"{link} leads to {link.resolve()}, outside the run directory; it is not "
            "followed. Remove the link, or copy there what it leads to."
        )


def _point_latest(root: Path, target: Path) -> None:
    """runs/latest points to the run that started last; the link is replaced in one step.

    It is a convenience: where it cannot be set, as in a folder that is read-only, that is said and the run goes on.
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
