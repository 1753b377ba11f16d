"""What a run was started on: a run that goes on later has to find the same, or it would not be the same run."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from corpus.tiles import CorpusError
from orchestrator.corpus_setup import PreparedCorpus
from orchestrator.records import read_json, write_json

INPUTS_FILE = "corpus.json"
NAMED = 5
"""Tiles that an error names."""


class CorpusInputs(BaseModel):
    """INPUTS_FILE of a run directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus_dir: Path = Field(description="where the tiles lay")
    tiles: dict[str, str] = Field(description="tile_id -> SHA-256 of its file")
    seed_sha256: str = Field(description="of the seed annotations of these tiles")
    knowledge_sha256: str = Field(description="of their geographic knowledge")

    @staticmethod
    def of(prepared: PreparedCorpus) -> "CorpusInputs":
        """Of a corpus as it is now."""
        tiles = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["sha256"].to_pylist(), strict=True))
        knowledge = [(tile_id, prepared.knowledge[tile_id]) for tile_id in sorted(tiles)]
        return CorpusInputs(corpus_dir=prepared.corpus_dir, tiles=tiles, seed_sha256=_rows_sha256(prepared.seed),
                            knowledge_sha256=_sha256(knowledge))

    def changes(self, now: "CorpusInputs") -> list[str]:
        """What is different now, in words."""
        found = []
        for what, tile_ids in (("can no longer be used", set(self.tiles) - set(now.tiles)),
                               ("have changed", {tile for tile in self.tiles if now.tiles.get(tile, self.tiles[tile])
                                                 != self.tiles[tile]}),
                               ("are new", set(now.tiles) - set(self.tiles))):
            if tile_ids:
                more = f" and {len(tile_ids) - NAMED} more" if len(tile_ids) > NAMED else ""
                found.append(f"{len(tile_ids)} tile(s) {what}: {', '.join(sorted(tile_ids)[:NAMED])}{more}")
        if set(self.tiles) == set(now.tiles):
            found += ["the seed annotations have changed"] if self.seed_sha256 != now.seed_sha256 else []
            found += ["the geographic knowledge has changed"] if self.knowledge_sha256 != now.knowledge_sha256 else []
        return found


def read_inputs(run_dir: Path) -> CorpusInputs:
    """What a run was started on. Raises CorpusError: it had not begun with its corpus."""
    path = Path(run_dir) / INPUTS_FILE
    if not path.exists():
        raise CorpusError(f"The run {run_dir} has no {INPUTS_FILE}: it had not begun with its corpus. Start it with "
                          "`knowlip resume`.")
    return read_json(run_dir, path, CorpusInputs)


def keep_or_check_inputs(run_dir: Path, prepared: PreparedCorpus) -> None:
    """Write down what a new run starts on; of a run that goes on, see that it is still the same.

    Raises:
        CorpusError: it is not; the message names what changed. Nothing of the run was changed.
    """
    path, now = Path(run_dir) / INPUTS_FILE, CorpusInputs.of(prepared)
    if not path.exists():
        write_json(run_dir, path, now)
        return
    if changes := read_inputs(run_dir).changes(now):
        raise CorpusError(
            f"The corpus {prepared.corpus_dir} is not the one that the run {run_dir} was started on: "
            f"{'; '.join(changes)}. A run that went on would not be the same run. Put back what it was (quarantine.jsonl "
            "there gives the reason of each tile that cannot be used), or start a new run.")


def _rows_sha256(table: pa.Table) -> str:
    columns: Mapping[str, list] = table.sort_by([("tile_id", "ascending"), ("clause", "ascending")]).to_pydict()
    return _sha256(sorted(columns.items()))


def _sha256(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
