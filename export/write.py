"""Writes an export whole or not at all: checks first, a folder beside the final one, then its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpus.storage.disk import DiskFull, room, why_unwritable
from corpus.storage.writer import UNGUARDED
from export.base import Exporter, ExportError, Progress, check_libraries, check_places
from export.json_stream import write_json
from export.licence import Licence
from export.source import ExportSource

FACTS_FILE, LICENCE_FILE = "knowlip_export.json", "LICENSE.md"
SCHEMA_FILE = "annotation_schema.json"


def check_out(out: Path) -> None:
    """See that an export may be written to a folder.

    Raises:
        ExportError: It is a file, is not empty, or cannot be made there.
    """
    if out.is_symlink() and not out.exists():
        raise ExportError(f"{out} is a link that leads nowhere. Remove it, or name another folder.")
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file. Name a folder that is empty or does not exist.")
    if out.is_dir() and any(out.iterdir()):
        raise ExportError(f"The folder {out} is not empty. Name one that is empty or does not exist.")
    if refused := why_unwritable(out.resolve().parent):
        raise ExportError(
            f"Nothing can be written to {out.parent}: {refused}. Check its rights, or name another folder."
        )


def write_export(name: str, exporter: Exporter, source: ExportSource, out: Path, progress: Progress) -> None:
    """Write an export. A folder of its name is there when it is whole, and not before.

    Args:
        name: of the format.
        exporter: of the format.
        source: what is exported.
        out: the folder, empty or absent.
        progress: called after each tile.

    Raises:
        UserError: It cannot be made. Nothing of it is left then.
    """
    check_out(out)
    check_libraries(name, exporter)
    check_places(source)
    exporter.check(source)
    try:
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
        with UNGUARDED.place(out.resolve(), "the export") as partial:
            partial.mkdir()
            exporter.write(source, partial, progress)
            licences = source.licences()
            (partial / LICENCE_FILE).write_text(licence_text(licences), encoding="utf-8")
            (partial / SCHEMA_FILE).write_text(source.schema.content + "\n", encoding="utf-8")
            write_json(partial / FACTS_FILE, {"format": name, **source.facts()})
    except DiskFull as error:
        raise ExportError(
            f"The disk is full: the export to {out} needs more than there is ({room(out)}). Nothing of it is left. "
            "Make room, or name a folder on another disk."
        ) from error


def licence_text(licences: Mapping[Licence, int]) -> str:
    """The licences of the imagery as Markdown."""
    lines = ["# Licence of the imagery", ""]
    for licence, tiles in licences.items():
        lines.append(f"- {tiles:,} tiles: {licence.title} ({licence.spdx}). {licence.url}".rstrip())
        if licence.attribution:
            lines.append(f"  Say with whatever you make of them: {licence.attribution}.")
    lines += ["", "The annotations were made by knowlip, and follow the imagery's terms where these bind them.", ""]
    return "\n".join(lines)


def main_licence(licences: Mapping[Licence, int]) -> Licence:
    """The licence of the whole: that of all tiles, or where they have several, "other" that points to LICENCE_FILE."""
    if len({licence.spdx for licence in licences}) == 1 and len({licence.title for licence in licences}) == 1:
        return next(iter(licences))
    return Licence("other", f"several, by tile: see {LICENCE_FILE}")
