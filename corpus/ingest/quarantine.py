"""Files that could not be used, kept with the reason and a remedy: one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from corpus.geotiff.reasons import Reason, TileError
from corpus.storage.models import FrozenModel
from corpus.storage.writer import UNGUARDED
from corpus.tiles import CorpusError

QUARANTINE_FILE = "quarantine.jsonl"
NEAR_HELD_OUT = "near_held_out"
"""Reason of a tile that is left out because a held-out one shares ground with it, or is too near."""
_WINDOW = re.compile(r"#\d+,\d+$")


class QuarantineRecord(FrozenModel):
    """`path` of the file (with '#row,col' for one window of it), `reason` code, `hint` what to do."""

    path: str
    reason: str
    hint: str

    @classmethod
    def of(cls, error: TileError) -> QuarantineRecord:
        """The record of a refused file."""
        return cls(path=error.path, reason=error.reason.value, hint=error.hint)

    @property
    def refused(self) -> bool:
        """Whether a file was refused: no window of one that was used, no copy of another, no map of a product."""
        return self.reason not in (Reason.DUPLICATE, Reason.NOT_BACKSCATTER) and not _WINDOW.search(self.path)


class Quarantine:
    """quarantine.jsonl of one corpus directory. An append rewrites the file whole and renames it into place."""

    def __init__(self, corpus_dir: str | Path):
        self.path = Path(corpus_dir) / QUARANTINE_FILE

    def read(self) -> list[QuarantineRecord]:
        """All records, oldest first; [] where there is no file. CorpusError names a damaged line."""
        if not self.path.exists():
            return []
        records = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                try:
                    records.append(QuarantineRecord.model_validate_json(line))
                except ValidationError as error:
                    raise CorpusError(
                        f"{self.path}, line {number} is not a quarantine record: {error}. Remove the line."
                    ) from error
        return records

    def append(self, records: Iterable[QuarantineRecord]) -> int:
        """Add records, each at most once (resuming repeats them); returns how many the file now holds."""
        merged = list(dict.fromkeys([*self.read(), *records]))
        UNGUARDED.write_text(self.path, "".join(json.dumps(record.model_dump()) + "\n" for record in merged))
        return len(merged)

    def refused(self) -> set[str]:
        """Paths of refused files, as `IngestReport.quarantined`; skipped windows and copies are no such files."""
        return {record.path for record in self.read() if record.refused}
