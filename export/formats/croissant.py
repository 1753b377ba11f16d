"""Croissant 1.0: a folder of images and tables with metadata from which mlcroissant reads records."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.storage.disk import writing
from corpus.tiles import file_sha256
from export.base import Progress
from export.json_stream import write_json
from export.pixels import encode, image_bytes
from export.source import ExportSource
from export.write import LICENCE_FILE, main_licence

METADATA = "croissant.json"
_CSV: Final = ("tiles", "annotations")
_BAND_FILES: Final = "band-files"
_KEYS: Final = {"tiles": ["tile_id"], "annotations": ["tile_id", "clause"], "bands": ["tile_id", "polarisation"]}
_TEXT, _NUMBER, _WHOLE, _IMAGE = "TEXT", "FLOAT", "INTEGER", "IMAGE_OBJECT"  # names in mlcroissant.DataType
TABLES: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "tiles": {
        "tile_id": (_TEXT, "name of the tile"),
        "split": (_TEXT, "train or held_out"),
        "caption": (_TEXT, "the sentences of all clauses"),
        "platform": (_TEXT, "satellite"),
        "acquired": (_TEXT, "time of acquisition in UTC; empty if it is not known"),
        "gsd_m": (_NUMBER, "metres on the ground per pixel"),
        "lon": (_NUMBER, "longitude of the centre, degrees"),
        "lat": (_NUMBER, "latitude of the centre, degrees"),
        "crs": (_TEXT, "coordinate reference system"),
        "license": (_TEXT, "of the image"),
    },
    "annotations": {
        "tile_id": (_TEXT, "of the tile"),
        "clause": (_TEXT, "name of the clause"),
        "value": (_TEXT, "of the clause's vocabulary"),
        "text": (_TEXT, "the sentence that says so"),
        "level": (_WHOLE, "HCoT level that decides the clause"),
        "source": (_TEXT, "seed, captioner, kept or person"),
        "confidence": (_NUMBER, "probability that the value is right"),
    },
    "bands": {
        "tile_id": (_TEXT, "of the tile"),
        "split": (_TEXT, "train or held_out"),
        "polarisation": (_TEXT, "of the band"),
        "picture": (_IMAGE, "GeoTIFF of 16 bits; value = stored * scale + offset; 0: no value"),
        "scale": (_NUMBER, "see picture"),
        "offset": (_NUMBER, "see picture"),
        "unit": (_TEXT, "dB, or DN, an amplitude"),
        "caption": (_TEXT, "of the tile"),
    },
}
"""Table, which is a record set too -> column -> (type, what it is)."""
_BANDS: Final = pa.schema(
    [
        (name, {_NUMBER: pa.float64(), _IMAGE: pa.binary()}.get(kind, pa.string()))
        for name, (kind, _) in TABLES["bands"].items()
    ]
)
_ROWS, _ROWS_OF_A_FILE = 64, 4096


class CroissantExporter:
    """`croissant.json`, `tiles.csv`, `annotations.csv` and `bands/part-00000.parquet` with one GeoTIFF a row.

    Pictures lie in Parquet files, as mlcroissant makes 8 bits of those in files of their own. Record sets: `tiles`,
    `annotations`, and `bands`, which has pictures and captions.
    """

    needs: Mapping[str, str] = MappingProxyType({"mlcroissant": "mlcroissant"})
    reads = f"mlcroissant.Dataset('OUT/{METADATA}').records('bands')"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write tile by tile, then the metadata, which mlcroissant checks."""
        (out / "bands").mkdir()
        total = len(source)
        with ExitStack() as stack:
            tables = {name: stack.enter_context(_Table(out / f"{name}.csv", TABLES[name])) for name in _CSV}
            bands = stack.enter_context(_Bands(out / "bands"))
            for done, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                tile, encoded = sample.tile, encode(sample.file)
                tables["tiles"].add(
                    {
                        **tile.model_dump(include=set(TABLES["tiles"])),
                        "caption": sample.caption,
                        "license": f"{sample.licence.spdx}: {sample.licence.title}",
                    }
                )
                for each in sample.annotations:
                    tables["annotations"].add({**vars(each), "tile_id": tile.tile_id})
                for band, polarisation in enumerate(tile.polarisations):
                    bands.add(
                        {
                            "tile_id": tile.tile_id,
                            "split": tile.split,
                            "polarisation": polarisation,
                            "picture": image_bytes(sample, encoded, band=band),
                            "scale": encoded.scale,
                            "offset": encoded.offset,
                            "unit": encoded.unit,
                            "caption": sample.caption,
                        }
                    )
                progress(done, total)
        write_json(out / METADATA, _metadata(source, out))


class _Table:
    """A CSV file that rows are added to; keys that are no column are left out."""

    def __init__(self, path: Path, columns: Mapping[str, Any]) -> None:
        self._path, self._columns, self._stack = path, columns, ExitStack()

    def __enter__(self) -> _Table:
        self._stack.enter_context(writing(self._path.name, self._path))
        file = self._stack.enter_context(self._path.open("w", newline="", encoding="utf-8"))
        self._rows = csv.DictWriter(file, list(self._columns), extrasaction="ignore")
        self._rows.writeheader()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        self._rows.writerow(row)


class _Bands:
    """Parquet files of rows of _BANDS, _ROWS_OF_A_FILE in each; _ROWS are in memory at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._waiting, self._written = folder, [], 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Bands:
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Add a row."""
        self._waiting.append(row)
        if len(self._waiting) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        path = self._folder / f"part-{self._written // _ROWS_OF_A_FILE:05d}.parquet"
        with writing(path.name, path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(path, _BANDS)
            self._writer.write_table(pa.Table.from_pylist(self._waiting, _BANDS))
            self._written += len(self._waiting)
            if self._written % _ROWS_OF_A_FILE == 0:
                self._writer.close()
                self._writer = None
        self._waiting = []


def _metadata(source: ExportSource, out: Path) -> dict[str, Any]:
    """The metadata, made by mlcroissant, which raises where they are wrong."""
    import mlcroissant as mlc

    licences = source.licences()
    licence = main_licence(licences)
    distribution: list[Any] = [
        mlc.FileObject(
            id=f"{name}.csv",
            name=f"{name}.csv",
            content_url=f"{name}.csv",
            encoding_formats=["text/csv"],
            sha256=file_sha256(out / f"{name}.csv"),
        )
        for name in _CSV
    ]
    distribution.append(
        mlc.FileSet(
            id=_BAND_FILES,
            name=_BAND_FILES,
            description="one band of one tile a row, a GeoTIFF of 16 bits",
            encoding_formats=["application/x-parquet"],
            includes=["bands/*.parquet"],
        )
    )
    made = mlc.Metadata(
        name=f"{source.run_id}-round-{source.round}",
        description=(
            f"{len(source)} SAR tiles with annotations that the run {source.run_id} of knowlip "
            f"{source.knowlip_version} repaired, after round {source.round}; annotation schema {source.schema.name}."
        ),
        license=[licence.url or f"{licence.spdx}: {licence.title}"],
        url=f"urn:knowlip:{source.run_id}:{source.version}",
        version=f"{source.version}.0.0",
        date_published=source.committed.replace(tzinfo=None),
        cite_as=" ".join(each.attribution for each in licences if each.attribution) or f"See {LICENCE_FILE}.",
        keywords=["SAR", "remote sensing", "image captioning"],
        distribution=distribution,
        record_sets=[_record_set(mlc, name) for name in TABLES],
    )
    return made.to_json()


def _record_set(mlc: Any, name: str) -> Any:
    fields = [_field(mlc, name, column, *said) for column, said in TABLES[name].items()]
    key = [f"{name}/{column}" for column in _KEYS[name]]
    return mlc.RecordSet(id=name, name=name, key=key, fields=fields)


def _field(mlc: Any, table: str, column: str, kind: str, description: str) -> Any:
    place = {"file_object": f"{table}.csv"} if table in _CSV else {"file_set": _BAND_FILES}
    return mlc.Field(
        id=f"{table}/{column}",
        name=column,
        description=description,
        data_types=[getattr(mlc.DataType, kind)],
        source=mlc.Source(**place, extract=mlc.Extract(column=column)),
    )
