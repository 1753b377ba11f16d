"""Finding the scenes of an ingest: every GeoTIFF below a folder, or those that a text file lists."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.geotiff import products
from corpus.geotiff.files import ALLOWED_BY, is_remote
from corpus.geotiff.reasons import Reason, TileError
from corpus.storage.errors import InputError

SUFFIXES = (".tif", ".tiff")
_NOT_READ = re.compile(
    r"\.(?:zip|tar|tgz|gz|bz2|xz|7z|rar|kmz"
    r"|vrt|img|jp2|j2k|ntf|nitf|h5|hdf|hdf5|nc|zarr|dim|grd|slc|mli|ers|bil|bsq|bip|gpkg|mbtiles|png|jpe?g|gif|bmp|webp)"
)
"""Archives, and pictures in formats that are not read."""


class IngestError(InputError):
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


def left_out(source: Path) -> dict[str, int]:
    """Kind -> number of the files of a folder that could hold pictures and are not read; {} of a list of files.

    A kind is "hidden", of GeoTIFFs that are hidden or in a hidden folder, or the suffix of archives and of pictures in
    other formats.
    """
    found: Counter[str] = Counter()
    for path in source.rglob("*") if source.is_dir() else ():
        name, suffix = path.relative_to(source).as_posix(), path.suffix.lower()
        if suffix in SUFFIXES and _is_hidden(name) and not path.is_dir():
            found["hidden"] += 1
        elif _NOT_READ.fullmatch(suffix) and not _is_hidden(name) and not path.is_dir():
            found[suffix] += 1
    return dict(sorted(found.items()))


def left_out_in_words(kinds: Mapping[str, int]) -> str:
    """What `left_out` counts, as "2 hidden GeoTIFFs, 1 .zip"; "" where that is nothing."""
    return ", ".join(f"{n:,} {'hidden GeoTIFFs' if kind == 'hidden' else kind}" for kind, n in kinds.items())


def group_scenes(scenes: Sequence[Scene]) -> list[tuple[Scene, ...]]:
    """Files that may be the polarisations of one scene, together.

    Their names differ in the polarisation alone or, where no such file lies in the same folder, those of their folders
    do.

    The order is that of the first file of each, and inside of a group VV or HH comes first.
    """
    groups: dict[object, dict[str, Scene]] = {}
    for scene in scenes:
        key, polarisation = products.scene_key(scene.name) or (scene.name, "")
        if not isinstance(scene.path, Path):
            key = scene.name
        if polarisation in groups.get(key, {}):
            key = scene.name
        groups.setdefault(key, {})[polarisation] = scene
    order = ("VV", "HH", "VH", "HV", "")
    return [tuple(group[name] for name in sorted(group, key=order.index)) for group in _across_folders(groups)]


def _across_folders(groups: Mapping[object, dict[str, Scene]]) -> Iterable[dict[str, Scene]]:
    """The groups, with those of one file that lie in folders of other polarisations joined."""
    joined: dict[object, dict[str, Scene]] = {}
    for key, group in groups.items():
        first = next(iter(group.values()))
        found = products.folder_key(first.name) if len(group) == 1 and isinstance(first.path, Path) else None
        if found is None or found[1] in joined.get(found[0], {}):
            joined[key] = group
        else:
            joined.setdefault(found[0], {})[found[1]] = first
    return joined.values()


def beside_backscatter(scenes: Sequence[Scene]) -> set[str]:
    """Names of the files that lie beside a file of backscatter of the same product: X_area.tif beside X_VV.tif."""
    stems: dict[str, set[str]] = {}
    for scene in scenes:
        if found := products.scene_key(scene.name):
            prefix = found[0].stem.split("*")[0].rstrip("_-. ")
            if len(prefix) >= 4:
                stems.setdefault(found[0].folder, set()).add(prefix)
    names = set()
    for scene in scenes:
        folder, stem = str(Path(scene.name).parent.as_posix()), products.stem_of(scene.name)
        if products.scene_key(scene.name) is None and any(stem.startswith(prefix) for prefix in stems.get(folder, ())):
            names.add(scene.name)
    return names


def _is_hidden(name: str) -> bool:
    """Whether a file or a folder that it lies in is hidden. macOS's ._x.tif beside x.tif is refused by name instead."""
    *folders, file = name.split("/")
    return any(each.startswith(".") or each == "__MACOSX" for each in folders) or (
        file.startswith(".") and not file.startswith("._")
    )


def _in_folder(folder: Path) -> tuple[list[Scene], list[TileError]]:
    root = folder.resolve()
    scenes, refused = [], []
    # rglob does not follow linked folders, so only links to files can lead out.
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if _is_hidden(name):
            continue
        if (shown := name.encode("utf-8", "backslashreplace").decode()) != name:
            refused.append(TileError(shown, Reason.NAME_NOT_UTF8, "Rename the file."))
        elif path.name.startswith("._"):
            refused.append(
                TileError(
                    name,
                    Reason.NOT_BACKSCATTER,
                    "macOS writes such a file beside another one; it holds no picture and can be removed.",
                )
            )
        elif path.resolve().is_relative_to(root):
            scenes.append(Scene(path, name))
        else:
            refused.append(TileError(name, Reason.OUTSIDE_FOLDER, _COPY))
    refused += _linked_folders(folder, root)
    if not scenes and not refused:
        products_of_snap = sorted(path.name for path in folder.rglob("*.dim"))
        said = (
            f"It holds BEAM-DIMAP products ({products_of_snap[0]}): write them as GeoTIFF with SNAP or "
            "`gpt Write -Pfile=OUT.tif -PformatName=GeoTIFF IN.dim`."
            if products_of_snap
            else "Check the path, or convert the images with `gdal_translate -of GTiff IN OUT.tif`."
        )
        counted = f" What is left out: {left_out_in_words(ignored)}." if (ignored := left_out(folder)) else ""
        raise IngestError(
            f"The folder {folder} holds no GeoTIFF (*.tif, *.tiff), nor do the folders in it. {said}{counted}"
        )
    return scenes, refused


_COPY = "Copy the file into the folder, or name it in a text file and give that as the source."


def _linked_folders(folder: Path, root: Path) -> Iterator[TileError]:
    """Folders behind a link, with GeoTIFFs that are read nowhere else: a link out of the folder is not followed."""
    for parent, folders, _ in os.walk(folder):
        for name in sorted(folders):
            path = Path(parent, name)
            if not path.is_symlink() or path.resolve().is_relative_to(root):
                continue
            files = sum(found.suffix.lower() in SUFFIXES for found in path.resolve().rglob("*"))
            if files:
                shown = path.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()
                yield TileError(
                    shown,
                    Reason.OUTSIDE_FOLDER,
                    f"It is a link to a folder with {files} GeoTIFFs, and links are not followed. Copy it into the "
                    "folder, or name its files in a text file and give that as the source.",
                )


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
