"""A folder for TorchGeo: GeoTIFFs of all bands, one table, and a dataset class that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.geotiff.read import read_backscatter
from corpus.storage.disk import writing
from export.base import Progress
from export.pixels import encode, write_image
from export.source import ExportSource

CLASS_FILE, TABLE = "sar_corpus.py", "tiles.parquet"
_ROWS: Final = 512


class TorchGeoExporter:
    """`images/TILE.tif`, `tiles.parquet`, and `sar_corpus.py` with the class `SarCorpus`, a NonGeoDataset.

    The class needs torchgeo, which this format is written without.
    """

    needs: Mapping[str, str] = MappingProxyType({})
    reads = f"SarCorpus(OUT, split='train') of OUT/{CLASS_FILE}, which needs torchgeo"

    def check(self, source: ExportSource) -> None:
        """Every corpus can be written."""

    def write(self, source: ExportSource, out: Path, progress: Progress) -> None:
        """Write tile by tile, some rows of the table at a time."""
        (out / "images").mkdir()
        shutil.copyfile(Path(__file__).with_name("torchgeo_dataset.py"), out / CLASS_FILE)
        names, waiting, total = source.schema.names, [], len(source)
        schema = pa.schema(
            [
                ("tile_id", pa.string()),
                ("image", pa.string()),
                ("split", pa.string()),
                ("caption", pa.string()),
                ("polarisations", pa.list_(pa.string())),
                ("calibration_db", pa.float64()),
                ("reference_db", pa.list_(pa.float64())),
                ("platform", pa.string()),
                ("acquired", pa.string()),
                ("crs", pa.string()),
                ("gsd_m", pa.float64()),
                ("lon", pa.float64()),
                ("lat", pa.float64()),
                *((name, pa.string()) for name in names),
                *((f"{name}_confidence", pa.float32()) for name in names),
            ]
        )
        path = out / TABLE
        with writing(TABLE, path), pq.ParquetWriter(path, schema) as writer:
            for done, sample in enumerate(source.samples(), start=1):
                source.check_pixels(sample)
                tile, encoded = sample.tile, encode(sample.file)
                image = f"images/{tile.tile_id}.tif"
                write_image(sample, encoded, out / image)
                row = {key: getattr(tile, key) for key in schema.names if key in type(tile).model_fields}
                row |= {"image": image, "caption": sample.caption, "calibration_db": encoded.calibration_db}
                row["reference_db"] = read_backscatter(sample.file).references(tile.level_db)[0]
                row |= sample.values | {f"{name}_confidence": value for name, value in sample.confidence.items()}
                waiting.append(row)
                if len(waiting) == _ROWS or done == total:
                    writer.write_table(pa.Table.from_pylist(waiting, schema))
                    waiting = []
                progress(done, total)
