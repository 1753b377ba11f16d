"""What was decided on the files of a source, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from corpus.geotiff.reasons import TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.cut_record import CutTile
from corpus.ingest.quarantine import QuarantineRecord
from corpus.ingest.record import SceneRecord
from corpus.ingest.scenes import Scene, left_out, left_out_in_words
from corpus.ingest.split import Side


@dataclass
class Inspection:
    """What was decided on the files of a source.

    Attributes:
        source: where they lie.
        files: how many there are.
        records: of every scene, in the order of the files' names.
        groups: the files of each record, () where a file was refused by its path alone.
        tiles: of all scenes, with the side of each.
        refused, not_backscatter, duplicates: files that are not used, by kind.
        skipped: windows without a picture, and tiles too near to a held-out one.
        contents: file -> SHA-256 of what was read of it, see `scene_sha256`; '' where nothing could be.
        described: first file -> what was decided on a scene of which no window can be used.
        scene_of: tile_id -> name of the scene that it was cut from, as its record has it.
    """

    source: Path
    files: int = 0
    records: list[SceneRecord] = field(default_factory=list)
    groups: list[tuple[Scene, ...]] = field(default_factory=list)
    tiles: list[tuple[CutTile, Side]] = field(default_factory=list)
    refused: list[TileError] = field(default_factory=list)
    not_backscatter: list[TileError] = field(default_factory=list)
    duplicates: list[TileError] = field(default_factory=list)
    skipped: list[QuarantineRecord] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    described: dict[str, SceneRecord] = field(default_factory=dict)
    scene_of: dict[str, str] = field(default_factory=dict)

    @cached_property
    def left_out(self) -> dict[str, int]:
        """Kind -> number of the source's files that are not looked at, see `corpus.ingest.scenes.left_out`."""
        return left_out(self.source)

    def kept(self) -> list[tuple[CutTile, Side]]:
        """The tiles of the corpus."""
        return [(tile, side) for tile, side in self.tiles if side != "left_out"]

    def quarantine(self) -> Iterable[QuarantineRecord]:
        """Every file, window and tile that is not used."""
        files = [*self.refused, *self.not_backscatter, *self.duplicates]
        return [*(QuarantineRecord.of(error) for error in files), *self.skipped]

    def problem(self, config: IngestConfig) -> str | None:
        """Why no corpus can be made of it, in a sentence; None where one can.

        What is not backscatter is no fault of a folder, so it does not count; nor does a copy of another file.
        """
        candidates = max(self.files - len(self.not_backscatter), 1)
        share, any_tile = len(self.refused) / candidates, bool(self.kept())
        if any_tile and share <= config.max_quarantined_share:
            return None
        unused = self.refused if any_tile else [*self.refused, *self.not_backscatter]
        total = candidates if any_tile else self.files
        reasons = sorted({error.reason.value for error in unused})
        limit = (
            f"more than max_quarantined_share = {config.max_quarantined_share:.0%}"
            if any_tile
            else "so no tile is left"
        )
        first = f" The first: {unused[0]}" if unused else ""
        return f"{len(unused)} of {total} files of {self.source} cannot be used ({', '.join(reasons)}), {limit}.{first}"

    def summary(self) -> str:
        """One sentence on what is used, and one on what is not."""
        said = summary_of(self.records, sum(side == "held_out" for _, side in self.tiles))
        return f"{said}; files left out: {left_out_in_words(self.left_out)}" if self.left_out else said


def summary_of(records: Sequence[SceneRecord], held_out: int) -> str:
    """What is used of scenes, and what is left out or left unused, in words.

    Args:
        records: of all scenes.
        held_out: number of held-out tiles.
    """
    by_status = Counter(record.status for record in records)
    used = [record for record in records if record.status == "ok"]
    tiles = sum(record.tiles for record in used)
    said = [f"{by_status['ok']} of {len(records)} scenes used, {tiles:,} tiles, {held_out:,} of them held out"]
    if by_status["not_backscatter"]:
        said.append(f"{by_status['not_backscatter']} files are not backscatter")
    if by_status["refused"]:
        said.append(f"{by_status['refused']} refused")
    bands = sum(len(record.bands_left_out) for record in used)
    if bands:
        said.append(f"{bands} bands left out")
    if left_out := sum(record.tiles_left_out for record in used):
        said.append(f"{left_out} tiles left out, too near to held-out ones")
    if windows := sum(record.windows_refused for record in used):
        said.append(f"{windows} windows without a picture")
    wasteful = [record for record in used if record.used_share < 0.75]
    if wasteful:
        worst = min(wasteful, key=lambda record: record.used_share)
        said.append(
            f"{len(wasteful)} scenes are used by less than three quarters, {worst.file} by {worst.used_share:.0%}: "
            "corpus.ingest.align_last_window=true or a smaller corpus.ingest.window_px or stride_px uses more"
        )
    return "; ".join(said)
