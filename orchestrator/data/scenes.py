"""The scenes that a real corpus is cut from: their state names it, and a run goes on only with the same ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from corpus.geotiff.read import TileError
from corpus.ingest.ingest import IngestConfig, scene_sha256
from corpus.ingest.scenes import IngestError, find_scenes
from corpus.storage.models import FrozenModel


class SceneState(FrozenModel):
    """One scene at one time. Without size and time: no file here, as it is virtual, remote or missing."""

    size_bytes: int | None = None
    modified_ns: int | None = Field(default=None, description="time of the file, nanoseconds since 1970")
    sha256: str = Field(
        default="", description="of its content, see corpus.ingest.scene_sha256; '' if unknown or unreadable"
    )

    @property
    def stamp(self) -> list[int | None]:
        """Size and time; [] where there is no file."""
        return [] if self.size_bytes is None else [self.size_bytes, self.modified_ns]


@dataclass(frozen=True)
class SceneChanges:
    """Names of the scenes that have changed, are gone or are new."""

    changed: list[str]
    gone: list[str]
    new: list[str]


def list_scenes(source: Path, ingest: IngestConfig) -> dict[str, SceneState]:
    """The scenes of a source as they are now; their content is not read.

    Args:
        source: A folder, or a list of scenes.
        ingest: Settings of the ingest.

    Returns:
        Name -> state of the scene.

    Raises:
        IngestError: There are no scenes.
    """
    return {name: _state(path) for name, path in _paths(source, ingest).items()}


def listing(scenes: Mapping[str, SceneState]) -> list[list]:
    """Names, sizes and times of the scenes. The name of a corpus derives from them: changed scenes make another one."""
    return [[name, *scene.stamp] for name, scene in scenes.items()]


def contents_table(contents: Mapping[str, str]) -> pa.Table:
    """`IngestReport.contents` as columns name and sha256."""
    return pa.table(
        {"name": pa.array(contents.keys(), pa.string()), "sha256": pa.array(contents.values(), pa.string())}
    )


def with_contents(scenes: Mapping[str, SceneState], contents: pa.Table) -> dict[str, SceneState]:
    """The same scenes with the content that was cut, as `contents_table` has it."""
    sha256 = dict(zip(contents["name"].to_pylist(), contents["sha256"].to_pylist(), strict=True))
    return {name: scene.model_copy(update={"sha256": sha256.get(name, "")}) for name, scene in scenes.items()}


def compare_scenes(
    was: Mapping[str, SceneState],
    source: Path,
    ingest: IngestConfig,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> SceneChanges | None:
    """What is different of a source now; None where nothing of it is there any more, which tells of no change.

    Only files whose size or time differs are read: one that was merely copied anew has not changed.
    `progress(done, total)` is called after each of them.
    """
    try:
        paths = _paths(source, ingest)
    except IngestError:
        return None
    now = {name: _state(path) for name, path in paths.items()}
    if not any(now[name].stamp or isinstance(path, str) for name, path in paths.items()):
        return None  # a list whose files lie on a disk that is not mounted; a str is no local file
    gone = [name for name in was if name not in now or (was[name].stamp and not now[name].stamp)]
    new = [name for name in now if name not in was or (now[name].stamp and not was[name].stamp)]
    differing = [name for name in now if name not in {*gone, *new} and now[name].stamp != was[name].stamp]
    changed = []
    for done, name in enumerate(differing, start=1):
        if _sha256(paths[name], ingest) != was[name].sha256:
            changed.append(name)
        progress(done, len(differing))
    return SceneChanges(changed, gone, new)


def _paths(source: Path, ingest: IngestConfig) -> dict[str, Path | str]:
    scenes, _ = find_scenes(source, allow_virtual=ingest.allow_virtual)
    return {scene.name: scene.path for scene in scenes}


def _state(path: Path | str) -> SceneState:
    if not Path(path).is_file():
        return SceneState()
    stat = Path(path).stat()
    return SceneState(size_bytes=stat.st_size, modified_ns=stat.st_mtime_ns)


def _sha256(path: Path | str, ingest: IngestConfig) -> str:
    try:
        return scene_sha256(path, ingest)
    except (OSError, TileError):
        return ""
