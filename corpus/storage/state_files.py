"""The JSON files of a folder's state: written whole and under its lease, checked when they are read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from corpus.storage.errors import InputError
from corpus.storage.writer import PRIVATE, UNGUARDED, Writer

_Model = TypeVar("_Model", bound=BaseModel)


class RecordError(InputError):
    """A file of a run's state that cannot be written or read; the message names the file and what to do."""


@dataclass
class StateFolder:
    """A folder with files of state, and the writer that all of them go through.

    Args:
        path: The folder.
        writer: What writes into it. The default writes without a lease.
    """

    path: Path
    writer: Writer = UNGUARDED

    def write_json(self, name: str | Path, model: BaseModel) -> Path:
        """Write a model as JSON in one step and return the file's path.

        A reader sees the old file or the new one, never a part.

        Args:
            name: Path below the folder, or absolute inside of it.
            model: The content. Its numbers must be finite.

        Raises:
            LeaseLost: Another driver has taken over; the old file stays.
            DiskFull: The file does not fit on the disk; the old file stays.
            RecordError: The path leads out of the folder.
        """
        path = self.path / name
        write_json(self.path, path, model, self.writer)
        return path


def write_json(root: Path, path: Path, model: BaseModel, writer: Writer = UNGUARDED) -> None:
    """Write a model as JSON in one step; arguments and errors as of `StateFolder.write_json`."""
    _check_inside(root, path)
    text = json.dumps(model.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    writer.write_text(path, text, mode=PRIVATE)


def read_json(
    root: Path, path: Path, kind: type[_Model], otherwise: str = "remove it and every later record and resume"
) -> _Model:
    """Read a file that `write_json` wrote.

    Args:
        root: The folder that the file must lie in.
        path: The file.
        kind: The model that it holds.
        otherwise: What the user can do about a damaged file without a copy of it.

    Raises:
        RecordError: The file is damaged, or leads out of the folder.
    """
    _check_inside(root, path)
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise RecordError(
            f"{path} is damaged: {where}: {problem['msg']}. It is written in one step, so it was changed afterwards; "
            f"restore it from a copy, or {otherwise}."
        ) from error


def _check_inside(root: Path, path: Path) -> None:
    folder = Path(root).resolve()
    if not path.resolve().is_relative_to(folder):
        raise RecordError(
            f"{path} leads to {path.resolve()}, outside the run directory {folder}; it is not followed. Remove the "
            "link."
        )
