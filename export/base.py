"""What a format of an export is, and what each gets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from corpus.storage.errors import InputError
from export.source import ExportSource

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""


class ExportError(InputError):
    """An export that cannot be made; the message says what, where and what to do."""


class Exporter(Protocol):
    """Writes a version of a corpus, or its model, in one format."""

    @property
    def needs(self) -> Mapping[str, str]:
        """Module -> package on the registry, of libraries that are looked for before work starts."""
        ...

    @property
    def reads(self) -> str:
        """What a user opens the folder with, one line for the command line."""
        ...

    def check(self, source: ExportSource) -> None:
        """See, before work starts, that this source can be written in this format.

        Raises:
            ExportError: It cannot.
        """
        ...

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write everything below a folder that exists and is empty.

        It is given its final name when this returns. So nothing that is written may hold the folder's own path.

        Args:
            source: The corpus, read tile by tile.
            out: The folder.
            progress: Called after each tile.
        """
        ...


def check_libraries(name: str, exporter: Exporter) -> None:
    """See that the libraries of a format are there.

    Raises:
        ExportError: One is not; the message says how to install it.
    """
    missing = [package for module, package in exporter.needs.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ExportError(
            f"The format {name} is written with {', '.join(missing)}, which this environment does not have. Install "
            f"the extra with `pip install 'knowlip[export]'`, or `pip install {' '.join(missing)}`."
        )


def check_places(source: ExportSource) -> None:
    """See that all tiles have a place on Earth, which every format states.

    Raises:
        ExportError: Some have none, as those of a labelled set.
    """
    if without := source.tiles["lon"].null_count:
        raise ExportError(
            f"{without:,} of the {len(source):,} tiles of {source.corpus_dir} have no place on Earth, and every format "
            "of an export says where a tile lies. The annotations of such a run are in the Delta table of its "
            "directory, annotations/."
        )
