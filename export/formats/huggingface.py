"""A Hugging Face dataset folder: 16-bit GeoTIFFs, captions and annotations by split, and a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.geotiff.model_input import CO_POLARISED
from corpus.storage.disk import writing
from corpus.storage.yaml import dump_yaml
from export.base import Progress
from export.licence import Licence
from export.pixels import Encoded, encode, write_image
from export.sample import Sample
from export.source import ExportSource
from export.write import LICENCE_FILE, licence_text, main_licence

FOLDERS: Final = {"train": "train", "held_out": "test"}
"""Split of the corpus -> folder, which names the split that `load_dataset` makes of it."""
_ROWS: Final = 512
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
ANNOTATION: Final = pa.struct(
    [ANNOTATION_SCHEMA.field(name) for name in ("clause", "value", "text", "level", "source", "confidence", "round")]
)
METADATA: Final = pa.schema(
    [
        ("file_name", pa.string()),  # becomes the column image
        ("bands_file_names", pa.list_(pa.string())),  # becomes the column bands
        ("polarisations", pa.list_(pa.string())),
        ("tile_id", pa.string()),
        ("caption", pa.string()),
        ("annotations", pa.list_(ANNOTATION)),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
        ("unit", pa.string()),
        ("calibration_db", pa.float64()),
        ("platform", pa.string()),
        ("radar_band", pa.string()),
        ("acquired", pa.string()),
        ("gsd_m", pa.float64()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("city", pa.string()),
        ("country", pa.string()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("license", pa.string()),
        ("attribution", pa.string()),
    ]
)


class HuggingFaceExporter:
    """`README.md`, and for each split a folder with `metadata.parquet` and one GeoTIFF for each band of each tile.

    A file has one band, as Pillow, which decodes the column, reads no more than one of 16 bits. `image` is the
    co-polarised band, `bands` are all of them.
    """

    needs: Mapping[str, str] = MappingProxyType({})
    reads = "datasets.load_dataset(OUT)"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write tile by tile, some rows of the metadata at a time."""
        writers: dict[str, _Rows] = {}
        for split in source.splits:
            folder = out / FOLDERS[split]
            folder.mkdir()
            writers[split] = _Rows(folder / "metadata.parquet")
        total = len(source)
        try:
            for done, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                folder = out / FOLDERS[sample.tile.split]
                encoded, names = encode(sample.file), band_files(sample)
                for band, name in enumerate(names):
                    write_image(sample, encoded, folder / name, band=band)
                writers[sample.tile.split].add(_row(sample, encoded, names))
                progress(done, total)
        finally:
            for writer in writers.values():
                writer.close()
        (out / "README.md").write_text(_card(source), encoding="utf-8")


class _Rows:
    """Writes rows of METADATA into one Parquet file, _ROWS at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._waiting = path, []
        self._writer = pq.ParquetWriter(path, METADATA)

    def add(self, row: dict[str, Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) == _ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            with writing(self._path.name, self._path):
                self._writer.write_table(pa.Table.from_pylist(self._waiting, METADATA))
            self._waiting = []


def band_files(sample: Sample) -> list[str]:
    """A file name for each band of a tile: TILE_VV.tif; bands of one polarisation are numbered."""
    names = [f"{sample.tile.tile_id}_{name}" for name in sample.tile.polarisations]
    return [f"{name}.tif" if names.count(name) == 1 else f"{name}_{k}.tif" for k, name in enumerate(names, start=1)]


def co_polarised(sample: Sample) -> int:
    """Number of the co-polarised band, from 0; of the first one, where there is none."""
    return next((k for k, name in enumerate(sample.tile.polarisations) if name in CO_POLARISED), 0)


def _row(sample: Sample, encoded: Encoded, names: list[str]) -> dict[str, Any]:
    tile = sample.tile
    return {
        "file_name": names[co_polarised(sample)],
        "bands_file_names": names,
        "polarisations": list(tile.polarisations),
        "tile_id": tile.tile_id,
        "caption": sample.caption,
        "annotations": [vars(annotation) for annotation in sample.annotations],
        "scale": encoded.scale,
        "offset": encoded.offset,
        "unit": encoded.unit,
        "calibration_db": encoded.calibration_db,
        "platform": tile.platform,
        "radar_band": tile.band,
        "acquired": tile.acquired,
        "gsd_m": tile.gsd_m,
        "lon": tile.lon,
        "lat": tile.lat,
        "city": tile.city,
        "country": tile.country,
        "crs": tile.crs,
        "transform": list(tile.transform),
        "license": f"{sample.licence.spdx}: {sample.licence.title}",
        "attribution": sample.licence.attribution,
    }


def card_licence(licences: Mapping[Licence, int]) -> dict[str, str]:
    """The keys of a card that say the licence: the Hub knows SPDX identifiers in small letters, and "other"."""
    main = main_licence(licences)
    if main.spdx != "other":
        return {"license": main.spdx.lower()}
    found = {"license": "other", "license_name": main.title[:100]}
    return found | {"license_link": main.url or LICENCE_FILE}


def _card(source: ExportSource) -> str:
    licences = source.licences()
    size = next((name for limit, name in _SIZES if len(source) < limit), "n>1M")
    header = {
        **card_licence(licences),
        "language": ["en"],
        "pretty_name": f"{source.name}: SAR tiles with repaired annotations",
        "task_categories": ["image-to-text", "image-classification"],
        "tags": ["sar", "remote-sensing", "earth-observation", "geospatial", "image-captioning", "knowlip"],
        "size_categories": [size],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": FOLDERS[split], "path": f"{FOLDERS[split]}/**"} for split in source.splits],
            }
        ],
    }
    rows = "\n".join(f"| {FOLDERS[split]} | {split} | {count:,} |" for split, count in source.splits.items())
    clauses = "\n".join(
        f"| {clause.name} | {clause.level} | {', '.join(clause.values)} |" for clause in source.schema.clauses
    )
    measures = "\n".join(
        f"| {name} | {value:.4f} |" for name, value in sorted(source.metrics.items()) if value is not None
    )
    return f"""---
{dump_yaml(header)}---

# {source.name}: SAR tiles with repaired annotations

{"Simulated" if source.simulated else "Real"} SAR images with captions that the closed loop of knowlip
{source.knowlip_version} repaired: run `{source.run_id}`, round {source.round}, version {source.version} of its
annotations, committed {source.committed:%Y-%m-%d %H:%M} UTC. Platforms: {", ".join(source.platforms)}.

| split here | split of the run | tiles |
|---|---|---|
{rows}

    from datasets import load_dataset
    dataset = load_dataset("FOLDER", split="{FOLDERS[next(iter(source.splits))]}")
    row = dataset[0]
    value = numpy.asarray(row["image"]) * row["scale"] + row["offset"]   # 0 in the file: no value

`image` is the co-polarised band, `bands` are all bands in the order of `polarisations`. Values are in `unit`: dB, or
DN, an amplitude whose sigma nought in dB is 20 log10(value) - `calibration_db`. `caption` is made of the sentences of
all clauses; `annotations` has each clause's value, sentence, level, source (seed: as it was at first, captioner:
repaired, kept: weighed and kept) and the probability that it is right.

## Clauses (annotation schema {source.schema.name})

| clause | level | values |
|---|---|---|
{clauses}

## What is known of the quality

Measured by the run, after round {source.round}; accuracies are of simulated scenes, whose truth is known.

| measure | value |
|---|---|
{measures or "| none | |"}

## Bias and limits

Annotations are what a small model and rules find likely; `confidence` is a probability, not a promise. Tiles of one
split share no ground with those of the other. Nothing was checked by people unless `source` says so.

{licence_text(licences)}"""
