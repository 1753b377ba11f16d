"""Finding the scenes of an ingest: every GeoTIFF below a folder, or those that a text file lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.geotiff.read import ALLOWED_BY, Reason, TileError, is_remote
from corpus.storage.errors import UserError

SUFFIXES = (".tif", ".tiff")


class IngestError(UserError):
    """The ingest as a whole failed; the message says what, where and what to do."""


@dataclass(frozen=True)
class Scene:
    """One candidate file. `name` is how it is named in reports: relative to the folder, or as listed.

    `path` is a str where it is no local file.
    """

    path: Path | str
    name: str


def find_scenes(source: Path, *, allow_virtual: bool = False) -> tuple[list[Scene], list[TileError]]:
    """Scenes of `source` sorted by name, and what was refused by its path alone.

    `source` is a folder (searched recursively for *.tif and *.tiff, any case) or a text file with one path a line
    ('#' starts a comment; relative paths are relative to the file). In a folder a symbolic link that leads out
    of it is refused; a list is written by its user and may name files anywhere, but URLs and GDAL's virtual paths only
    with `allow_virtual`.
    Raises IngestError: `source` is absent, or names no GeoTIFF.
    """
    if source.is_dir():
        return _in_folder(source)
    if source.is_file():
        return _in_list(source, allow_virtual)
    raise IngestError(
        f"There is no folder or list of GeoTIFFs at {source}. Give --tiles a folder with .tif files, or "
        "a text file that names one a line."
    )


def _in_folder(folder: Path) -> tuple[list[Scene], list[TileError]]:
    root = folder.resolve()
    scenes, refused = [], []
    # rglob does not follow linked folders, so only links to files can lead out.
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if (shown := name.encode("utf-8", "backslashreplace").decode()) != name:
            refused.append(TileError(shown, Reason.NAME_NOT_UTF8, "Rename the file."))
        elif path.resolve().is_relative_to(root):
            scenes.append(Scene(path, name))
        else:
            refused.append(
                TileError(
                    name,
                    Reason.OUTSIDE_FOLDER,
                    "Copy the file into the folder, or name it in a text file and give that as the source.",
                )
            )
    if not scenes and not refused:
        raise IngestError(
            f"The folder {folder} holds no GeoTIFF (*.tif, *.tiff), nor do the folders in it. Check the "
            "path, or convert the images with `gdal_translate -of GTiff IN OUT.tif`."
        )
    return scenes, refused


def _in_list(listing: Path, allow_virtual: bool) -> tuple[list[Scene], list[TileError]]:
    if listing.suffix.lower() in SUFFIXES:
        return [Scene(listing, listing.name)], []
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise IngestError(
            f"{listing} is neither a folder nor a text file: {error}. Give a folder with .tif files, or "
            "a text file that names one a line."
        ) from error
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    scenes, refused = [], []
    for name in dict.fromkeys(names):
        if is_remote(name) and allow_virtual:
            scenes.append(Scene(name, name))
        elif is_remote(name):
            refused.append(
                TileError(name, Reason.VIRTUAL_OR_REMOTE, f"Download it and name the local file instead{ALLOWED_BY}.")
            )
        else:
            scenes.append(Scene(listing.parent / name, name))
    if not names:
        raise IngestError(f"The list {listing} names no file. Write the path of one GeoTIFF a line.")
    return scenes, refused
