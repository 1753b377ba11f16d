"""The inputs that a run was started on; a run that goes on later has to find the same ones."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from corpus.storage.lock import lease_lock
from corpus.storage.models import FrozenModel
from corpus.storage.state_files import read_json, write_json
from corpus.tiles import CorpusError
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.scenes import SceneState, compare_scenes

INPUTS_FILE = "corpus.json"
NAMED = 5
"""Tiles or scenes of a kind that an error names."""


class CorpusInputs(FrozenModel):
    """INPUTS_FILE of a run directory."""

    corpus_dir: Path = Field(description="where the tiles lay")
    tiles: dict[str, str] = Field(description="tile_id -> SHA-256 of its file")
    initial_sha256: str = Field(description="of the initial annotations of these tiles")
    knowledge_sha256: str = Field(description="of their geographic knowledge")
    scenes: dict[str, SceneState] = Field(
        default_factory=dict,
        description="name -> what tiles were cut from, as it was then; {} if simulated, or of an older run",
    )

    @staticmethod
    def of(prepared: PreparedCorpus) -> "CorpusInputs":
        """The inputs of a corpus as it is now."""
        tiles = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["sha256"].to_pylist(), strict=True))
        knowledge = [(tile_id, prepared.knowledge[tile_id]) for tile_id in sorted(tiles)]
        return CorpusInputs(
            corpus_dir=prepared.corpus_dir,
            tiles=tiles,
            initial_sha256=_rows_sha256(prepared.initial),
            knowledge_sha256=_sha256(knowledge),
            scenes=prepared.scenes,
        )

    def changes(self, now: "CorpusInputs") -> list[str]:
        """Sentences on what has changed; empty where nothing has."""
        found = []
        for what, tile_ids in (
            ("can no longer be used", set(self.tiles) - set(now.tiles)),
            (
                "have changed",
                {tile for tile in self.tiles if now.tiles.get(tile, self.tiles[tile]) != self.tiles[tile]},
            ),
            ("are new", set(now.tiles) - set(self.tiles)),
        ):
            found += _named("tile", what, tile_ids)
        if set(self.tiles) == set(now.tiles):
            found += ["the initial annotations have changed"] if self.initial_sha256 != now.initial_sha256 else []
            found += ["the geographic knowledge has changed"] if self.knowledge_sha256 != now.knowledge_sha256 else []
        return found


def read_inputs(run_dir: Path) -> CorpusInputs:
    """Read the inputs that a run was started on.

    Args:
        run_dir: Directory of the run.

    Raises:
        CorpusError: The run had not begun with its corpus.
    """
    path = Path(run_dir) / INPUTS_FILE
    if not path.exists():
        raise CorpusError(
            f"The run {run_dir} has no {INPUTS_FILE}: it had not begun with its corpus. Start it with `knowlip resume`."
        )
    return read_json(run_dir, path, CorpusInputs)


def move_inputs(run_dir: Path, corpus_dir: Path) -> None:
    """Write where the tiles lie now, in a run directory that came from elsewhere with its corpus."""
    moved = read_inputs(run_dir).model_copy(update={"corpus_dir": corpus_dir})
    write_json(run_dir, Path(run_dir) / INPUTS_FILE, moved)


def check_scenes(
    run_dir: Path, inputs: CorpusInputs, config: CorpusConfig, progress: Callable[[int, int], None] = lambda *_: None
) -> bool:
    """Check, before anything is cut, that the scenes are those that a run was started on.

    Args:
        run_dir: Directory of the run, for the message.
        inputs: What the run was started on.
        config: The corpus as the configuration names it now.
        progress: Called with the number of compared scenes and of all, see `compare_scenes`.

    Returns:
        False where no scene is left. The tiles that were cut may still be there; `keep_or_check_inputs` compares them.

    Raises:
        CorpusError: Scenes have changed, are gone or are new; the message names them.
    """
    if not inputs.scenes or config.tiles is None:
        return True
    changes = compare_scenes(inputs.scenes, config.tiles.resolve(), config.ingest, progress)
    if changes is None:
        return False
    if found := [
        *_named("scene", "have changed", changes.changed),
        *_named("scene", "are gone", changes.gone),
        *_named("scene", "are new", changes.new),
    ]:
        raise CorpusError(
            f"The scenes of {config.tiles} are not those that the run {run_dir} was started on: {'; '.join(found)}. "
            "A run that went on would not be the same run, so nothing was cut. Put back what was there and take away "
            "what is new, or start a new run."
        )
    return True


def keep_or_check_inputs(run_dir: Path, prepared: PreparedCorpus) -> None:
    """Write the inputs of a new run; check those of a run that goes on.

    Args:
        run_dir: Directory of the run.
        prepared: The corpus as it is now.

    Raises:
        CorpusError: The inputs have changed; the message names what has. Nothing of the run was changed.
    """
    path, now = Path(run_dir) / INPUTS_FILE, CorpusInputs.of(prepared)
    with lease_lock(run_dir):  # before the lease is taken: written once, by the process that comes first
        if not path.exists():
            write_json(run_dir, path, now)
            return
    if changes := read_inputs(run_dir).changes(now):
        raise CorpusError(
            f"The corpus {prepared.corpus_dir} is not the one that the run {run_dir} was started on: "
            f"{'; '.join(changes)}. A run that went on would not be the same run. Put back what it was "
            "(quarantine.jsonl there gives the reason of each tile that cannot be used), or start a new run."
        )


def _named(kind: str, what: str, names: Iterable[str]) -> list[str]:
    """One sentence about these things, or none."""
    names = sorted(names)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{len(names)} {kind}(s) {what}: {', '.join(names[:NAMED])}{more}"] if names else []


def _rows_sha256(table: pa.Table) -> str:
    columns: Mapping[str, list] = table.sort_by([("tile_id", "ascending"), ("clause", "ascending")]).to_pydict()
    return _sha256(sorted(columns.items()))


def _sha256(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
