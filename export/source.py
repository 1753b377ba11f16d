"""What is exported: one version of a corpus, read from disk some tiles at a time, and the facts of its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.annotations import AnnotationStore
from corpus.ingest.record import read_records
from corpus.storage.parquet import read_parquet
from corpus.tiles import CorpusError, Tile, file_sha256, read_tiles, tile_path
from export.licence import Licence, licence_of
from export.sample import Annotation, Sample
from hcot_llm.schema.annotation_schema import AnnotationSchema

READ_AT_ONCE = 1024
"""Tiles whose annotations are in memory at a time."""


@dataclass(frozen=True)
class CommittedRound:
    """A round up to the one that is exported: round 0 committed the initial annotations."""

    round: int
    version: int
    committed: datetime
    accepted: int | None = None
    """Clauses whose proposal was accepted; None for round 0."""


@dataclass(frozen=True)
class ExportSource:
    """One version of the corpus of one run.

    Attributes:
        name: of the run's configuration.
        run_id: of the run.
        knowlip_version: that writes the export.
        corpus_dir: where the tiles lie.
        store: the annotations.
        version: of the annotations.
        rounds: all rounds up to the exported one, from 0; the last one has `version`.
        schema: of the annotations.
        tile_sha256: tile id -> SHA-256 of its file, of the tiles that the run was started on.
        simulated: whether the program drew the tiles.
        metrics: of the exported round; {} for the initial annotations.
        weights: folder of the round's weights, which a run deletes after some rounds.
        weights_sha256: of their content.
        image_size_px: side of what the model sees.
        licence: of tiles of which nothing else tells, as the user says; "" for nothing.
    """

    name: str
    run_id: str
    knowlip_version: str
    corpus_dir: Path
    store: AnnotationStore
    version: int
    rounds: tuple[CommittedRound, ...]
    schema: AnnotationSchema
    tile_sha256: Mapping[str, str]
    simulated: bool
    weights: Path
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    weights_sha256: str = ""
    image_size_px: int = 0
    licence: str = ""

    @property
    def round(self) -> int:
        """The exported round; 0 are the initial annotations."""
        return self.rounds[-1].round

    @property
    def committed(self) -> datetime:
        """When the exported version was committed, in UTC."""
        return self.rounds[-1].committed

    @cached_property
    def tiles(self) -> pa.Table:
        """The tiles of the run, sorted by tile_id: corpus.tiles.TILE_SCHEMA. A row is small beside a tile's pixels."""
        table = read_tiles(self.corpus_dir)
        used = pa.array(each in self.tile_sha256 for each in table["tile_id"].to_pylist())
        table = table.filter(used)
        if missing := len(self.tile_sha256) - table.num_rows:
            raise CorpusError(
                f"{self.corpus_dir} lacks {missing} of the {len(self.tile_sha256)} tiles that the run {self.run_id} "
                "was started on. Put the corpus back that it was started on."
            )
        return table

    def __len__(self) -> int:
        return self.tiles.num_rows

    @property
    def splits(self) -> dict[str, int]:
        """Split -> number of tiles, of those that have any: "train", "held_out"."""
        found = self.tiles["split"].to_pylist()
        return {split: found.count(split) for split in ("train", "held_out") if split in found}

    @property
    def platforms(self) -> list[str]:
        """Platforms of the tiles, sorted."""
        return sorted(set(self.tiles["platform"].to_pylist()))

    def samples(self, version: int | None = None) -> Iterator[Sample]:
        """All tiles in order of tile_id with their annotations of a version, default the exported one.

        A tile's file is compared with what the run recorded when `check_pixels` is called, not here.
        """
        for rows, tiles in self._chunks(version):
            yield from self._join(tiles, rows)

    def changed(self, before: int, after: int) -> Iterator[tuple[Sample, Sample]]:
        """Tiles that say something else in version `after` than in `before`, as they were and as they are."""
        for (old, tiles), (new, _) in zip(self._chunks(before), self._chunks(after), strict=True):
            for was, now in zip(self._join(tiles, old), self._join(tiles, new), strict=True):
                if was.values != now.values:
                    yield was, now

    def check_pixels(self, sample: Sample) -> None:
        """See that a tile's file is the one that the run recorded.

        Raises:
            CorpusError: It has changed, or is not there.
        """
        wanted = self.tile_sha256[sample.tile.tile_id]
        try:
            found = file_sha256(sample.file)
        except OSError as error:
            raise CorpusError(
                f"Tile {sample.tile.tile_id} ({sample.file}) cannot be read: {error.strerror or error}. Put the corpus "
                "back that the run was started on."
            ) from error
        if found != wanted:
            raise CorpusError(
                f"Tile {sample.tile.tile_id} ({sample.file}) has changed since the run: SHA-256 {found[:12]}, recorded "
                f"{wanted[:12]}. Put the corpus back that the run was started on."
            )

    def facts(self) -> dict[str, Any]:
        """Where the export comes from, as plain values."""
        return {
            "run_id": self.run_id,
            "version": self.version,
            "round": self.round,
            "committed": self.committed.isoformat(),
            "knowlip": self.knowlip_version,
            "schema": self.schema.name,
            "schema_sha256": self.schema.digest,
            "weights_sha256": self.weights_sha256,
            "tiles": len(self),
            "splits": self.splits,
            "simulated": self.simulated,
            "metrics": dict(self.metrics),
        }

    def scene_of(self, tile_id: str) -> str:
        """Name of the scene that a tile was cut from; "" where that is not known."""
        return self._scenes.get(tile_id, "")

    @cached_property
    def _scenes(self) -> dict[str, str]:
        path = self.corpus_dir / "scene_of_tile.parquet"
        if not path.is_file():
            return {}
        rows = read_parquet(path)
        return dict(zip(rows["tile_id"].to_pylist(), rows["scene"].to_pylist(), strict=True))

    @cached_property
    def _said(self) -> dict[str, str]:
        """Scene -> licence that its item or tags say, of scenes that say one."""
        return {record.file: record.licence for record in read_records(self.corpus_dir) if record.licence}

    def licence_of(self, tile: Tile) -> Licence:
        """The licence of a tile."""
        said = self._said.get(self.scene_of(tile.tile_id), "")
        return licence_of(tile, simulated=self.simulated, said=said, otherwise=self.licence)

    def licences(self) -> dict[Licence, int]:
        """Licence -> number of tiles."""
        found: dict[Licence, int] = {}
        for batch in self.tiles.to_batches(max_chunksize=READ_AT_ONCE):
            for row in batch.to_pylist():
                licence = self.licence_of(Tile.model_validate(row))
                found[licence] = found.get(licence, 0) + 1
        return found

    def _chunks(self, version: int | None) -> Iterator[tuple[pa.Table, list[Tile]]]:
        """(annotations of some tiles, these tiles), by tile id."""
        ids: Sequence[str] = self.tiles["tile_id"].to_pylist()
        at = self.version if version is None else version
        for start, rows in zip(
            range(0, len(ids), READ_AT_ONCE), self.store.batches(at, ids, READ_AT_ONCE), strict=True
        ):
            yield rows, [Tile.model_validate(row) for row in self.tiles.slice(start, READ_AT_ONCE).to_pylist()]

    def _join(self, tiles: Sequence[Tile], rows: pa.Table) -> Iterator[Sample]:
        by_tile: dict[str, dict[str, Annotation]] = {}
        for row in rows.to_pylist():
            by_tile.setdefault(row["tile_id"], {})[row["clause"]] = Annotation(
                row["clause"],
                row["value"],
                row["text"],
                row["level"],
                row["source"],
                row["confidence"],
                row["round"],
            )
        for tile in tiles:
            said = self.schema.in_order(by_tile[tile.tile_id])
            yield Sample(tile, tile_path(self.corpus_dir, tile.path), tuple(said.values()), self.licence_of(tile))
