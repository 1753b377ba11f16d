"""A format of an export added from outside: one class and one entry in the registry."""

import csv
from pathlib import Path
from types import MappingProxyType

from export.base import Progress
from export.registry import EXPORTERS
from export.source import ExportSource


class CsvExporter:
    """`captions.csv`: tile_id, split and caption."""

    needs = MappingProxyType({"csv": "Python"})
    reads = "csv.DictReader(open('OUT/captions.csv'))"

    def check(self, source: ExportSource) -> None: ...

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        with open(out / "captions.csv", "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["tile_id", "split", "caption"])
            for done, sample in enumerate(source.samples(), start=1):
                rows.writerow([sample.tile.tile_id, sample.tile.split, sample.caption])
                progress(done, len(source))


EXPORTERS.add("csv", CsvExporter())
