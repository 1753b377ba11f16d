"""Versioned annotations: a Delta table in which every round of a run is one commit that can be read again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from corpus.annotation_blocks import AnnotationBlocks, AnnotationStream
from corpus.annotation_rows import ANNOTATION_SCHEMA, AnnotationError, canonical
from corpus.storage.arrow import compute as pc
from corpus.storage.disk import reach_disk, writing
from corpus.storage.errors import UserError
from corpus.storage.links import link_out_of

# Delta forgets its log after 30 days and `vacuum` removes old files after 7; here any round can be read again.
_KEEP_EVERYTHING = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


_ROWS_OF_GROUP = 65_536
"""Rows that are read together: those of some thousand tiles are in a few groups of a large table."""


class ConcurrentCommitError(AnnotationError):
    """Another writer committed to the same table first; nothing of this commit was stored."""

    exit_status = UserError.exit_status  # the next try finds the table as the other writer has left it


@dataclass(frozen=True)
class Commit:
    """One version of the table. `run_id` is '' for a commit that this class did not make."""

    version: int
    run_id: str
    round_: int
    rows: int
    committed: datetime
    metadata: dict[str, str]


class AnnotationStore:
    """The annotations of a corpus at `path` (a directory; made by the first commit)."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def commit(
        self,
        table: pa.Table | AnnotationBlocks,
        *,
        run_id: str,
        round_: int,
        parent: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Store `table` as the annotations after round `round_` of run `run_id`; returns the version.

        Idempotent: where that round has already been committed nothing is written, whatever `table` holds, and
        the version of that first commit is returned (so a resumed run can simply commit again).
        `parent`: the version that `table` was derived from; the commit is refused if the table has moved on.
        `metadata`: further strings kept with the commit.
        Raises AnnotationError (invalid table, rounds out of order), ConcurrentCommitError, and DiskFull, after which
        the table is what it was.
        """
        if not run_id or round_ < 0:
            raise AnnotationError(
                f"A commit to {self.path} needs a run id and a round of 0 or more; got run id "
                f"{run_id!r}, round {round_}."
            )
        present = self._open()
        known = self._known_version(present, run_id, round_)
        if known is not None:
            return known
        if parent is not None and (present is None or present.version() != parent):
            raise ConcurrentCommitError(
                self._conflict(
                    run_id,
                    round_,
                    f"the annotations were derived from version "
                    f"{parent}, the table is at {present and present.version()}",
                )
            )
        stream = AnnotationStream(
            table if isinstance(table, AnnotationBlocks) else AnnotationBlocks([table], table.num_rows)
        )
        properties = CommitProperties(
            app_transactions=[Transaction(run_id, round_)],
            custom_metadata={
                **(metadata or {}),
                "run_id": run_id,
                "round": str(round_),
                "rows": str(stream.rows),
                "clauses": json.dumps(stream.clauses),
            },
        )
        try:
            with writing(f"the annotations of round {round_}", self.path):
                write_deltalake(
                    present if present is not None else str(self.path),
                    pa.RecordBatchReader.from_batches(ANNOTATION_SCHEMA, stream.batches()),
                    mode="overwrite",
                    writer_properties=WriterProperties(max_row_group_size=_ROWS_OF_GROUP),
                    commit_properties=properties,
                    configuration=_KEEP_EVERYTHING if present is None else None,
                )
                reach_disk(self.path)
        except CommitFailedError as error:
            # The other writer may have been this very round of this run (a driver that was believed dead).
            known = self.version_of(run_id, round_)
            if known is not None:
                return known
            raise ConcurrentCommitError(self._conflict(run_id, round_, str(error))) from error
        except DeltaError as error:
            if stream.error is not None:
                raise stream.error from error
            raise AnnotationError(
                f"Round {round_} of run {run_id} could not be committed to {self.path}: {error}. "
                "Check the disk and its rights, then `knowlip resume RUN_DIR`."
            ) from error
        version = self.version_of(run_id, round_)
        if version is None:
            raise AnnotationError(
                f"Round {round_} of run {run_id} is not in {self.path} after its commit. Check the "
                "disk, then `knowlip resume RUN_DIR`."
            )
        return version

    def read(self, version: int | None = None, columns: Sequence[str] = tuple(ANNOTATION_SCHEMA.names)) -> pa.Table:
        """Annotations of a version, default the latest: by tile_id, then clauses as committed.

        Args:
            version: of the table; None: the latest.
            columns: those of ANNOTATION_SCHEMA to read, tile_id and clause among them. Hashes take half of the memory.
        """
        table, commit = self._load(version)
        self._refuse_links()
        wanted = pa.schema([ANNOTATION_SCHEMA.field(name) for name in columns])
        try:
            rows = table.to_pyarrow_table(columns=wanted.names).cast(wanted)
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            raise self._damaged(error) from error
        clauses = json.loads(commit.metadata["clauses"]) if commit and "clauses" in commit.metadata else None
        return canonical(rows, clauses, wanted)[0]

    def batches(
        self,
        version: int,
        tile_ids: Sequence[str],
        tiles: int,
        columns: Sequence[str] = tuple(ANNOTATION_SCHEMA.names),
    ) -> Iterator[pa.Table]:
        """The annotations of many tiles, `tiles` of them at a time, so that the whole never lies in memory.

        Args:
            version: of the table.
            tile_ids: sorted; each has annotations in that version.
            tiles: in one batch.
            columns: as of `read`.

        Yields:
            Tables as `read` returns them.

        Raises:
            AnnotationError: there is no such version, a file of it is missing or damaged, or a tile has no annotation.
        """
        table, commit = self._load(version)
        self._refuse_links()
        clauses = json.loads(commit.metadata["clauses"]) if commit and "clauses" in commit.metadata else None
        schema = pa.schema([ANNOTATION_SCHEMA.field(name) for name in columns])
        # Tiles of a whole row group are read at once: a group that is read in parts is decoded for each of them.
        together = tiles * max(_ROWS_OF_GROUP // (tiles * len(clauses)), 1) if clauses else tiles
        try:
            files = table.to_pyarrow_dataset()
            for start in range(0, len(tile_ids), together):
                wanted = pa.array(tile_ids[start : start + together], pa.string())
                # Commits write rows by tile, so a range of tiles is in few row groups; the others are not decoded.
                between = (pc.field("tile_id") >= wanted[0]) & (pc.field("tile_id") <= wanted[-1])
                rows = files.to_table(columns=schema.names, filter=between).cast(schema)
                of_tile = pc.index_in(rows["tile_id"], wanted)
                rows = rows.filter(pc.is_valid(of_tile))
                counts = np.bincount(of_tile.drop_null().to_numpy(), minlength=len(wanted))
                for lacking in np.flatnonzero(counts == 0)[:1]:
                    raise AnnotationError(
                        f"Version {version} of {self.path} has no annotations of tile {wanted[lacking]}. Restore the "
                        "table from a copy."
                    )
                rows = canonical(rows, clauses, schema)[0]  # by tile, as the wanted ones are
                edges = [0, *np.cumsum(counts)[tiles - 1 : -1 : tiles], len(rows)]
                yield from (rows.slice(first, last - first) for first, last in itertools.pairwise(edges))
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            raise self._damaged(error) from error

    def version_of(self, run_id: str, round_: int) -> int | None:
        """The version that round `round_` of run `run_id` has, or None."""
        return next(
            (commit.version for commit in self.history() if commit.run_id == run_id and commit.round_ == round_), None
        )

    def version(self) -> int | None:
        """The latest version, or None where nothing has been committed."""
        table = self._open()
        return None if table is None else table.version()

    def history(self) -> list[Commit]:
        """All commits, oldest first; [] where nothing has been committed."""
        table = self._open()
        return [] if table is None else sorted(map(_as_commit, table.history()), key=lambda commit: commit.version)

    def _refuse_links(self) -> None:
        """A path in the log cannot leave the table (Delta escapes it), but a link in the table's folder could."""
        if (link := link_out_of(self.path)) is not None:
            raise AnnotationError(
                f"The annotations at {self.path} hold a link that leads out of them "
                f"({link.name}); it is not followed. Restore the folder from a copy."
            )

    def _open(self) -> DeltaTable | None:
        try:
            return DeltaTable(str(self.path))
        except TableNotFoundError:
            return None

    def _known_version(self, table: DeltaTable | None, run_id: str, round_: int) -> int | None:
        last = None if table is None else table.transaction_version(run_id)
        if last is None or last < round_:
            return None
        version = self.version_of(run_id, round_)
        if version is None:
            raise AnnotationError(
                f"Round {round_} of run {run_id} cannot be committed to {self.path}: round {last} of "
                "that run is there already. Rounds are committed in order; use a new run id."
            )
        return version

    def _load(self, version: int | None) -> tuple[DeltaTable, Commit | None]:
        table = self._open()
        if table is None:
            raise AnnotationError(
                f"There are no annotations at {self.path}. Commit the initial annotations first, or check the path."
            )
        latest = table.version()
        if version is not None:
            if not 0 <= version <= latest:
                raise AnnotationError(
                    f"The annotations at {self.path} have versions 0 to {latest}; version {version} does not exist."
                )
            table.load_as_version(version)
        wanted = latest if version is None else version
        return table, next((commit for commit in self.history() if commit.version == wanted), None)

    def _damaged(self, error: Exception) -> AnnotationError:
        return AnnotationError(
            f"The annotations at {self.path} cannot be read: {str(error).splitlines()[0]}. A file is missing or "
            "damaged, or the log names one that is no part of the table; restore the folder from a copy."
        )

    def _conflict(self, run_id: str, round_: int, detail: str) -> str:
        return (
            f"Round {round_} of run {run_id} was not committed to {self.path}: another writer changed the table "
            f"in the meantime ({detail}). Nothing was stored. Let only one run write to a table, then "
            "`knowlip resume RUN_DIR`."
        )


def _as_commit(entry: dict) -> Commit:
    kept = {
        key: entry[key]
        for key in entry
        if isinstance(entry[key], str) and key not in ("operation", "engineInfo", "clientVersion")
    }
    return Commit(
        version=entry["version"],
        run_id=kept.get("run_id", ""),
        round_=int(kept.get("round", -1)),
        rows=int(kept.get("rows", -1)),
        committed=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
        metadata=kept,
    )
