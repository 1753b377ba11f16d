"""Writes a simulated corpus to disk: tiles, their table, and the truth apart from both."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import Scene, simulate_scene
from corpus.simulate.sensor import SENSORS, Sensor
from corpus.simulate.truth import FACTS
from corpus.tiles import CorpusError, path_of

TILES_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("gsd_m", pa.float64()),
        ("platform", pa.string()),
        ("band", pa.string()),
        ("polarisations", pa.list_(pa.string())),
        ("acquired", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("city", pa.string()),
        ("country", pa.string()),
        ("split", pa.string()),
    ]
)
TRUTH_SCHEMA = pa.schema([("tile_id", pa.string()), *((name, pa.string()) for name in FACTS), ("scene", pa.string())])


def simulate_corpus(
    config: SceneConfig, out_dir: str | Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Writes `<out_dir>/corpus` (tiles/??/*.tif, tiles.parquet) and `<out_dir>/truth/truth.parquet`.

    progress is called with (tiles done, tiles in all). A finished corpus of the same configuration stays.
    All appears at once by a rename, or nothing. Raises CorpusError when out_dir holds anything else.
    """
    out = Path(out_dir)
    if is_finished(config, out):
        if progress is not None:
            progress(config.tiles, config.tiles)
        return
    if out.exists() and any(out.iterdir()):
        raise CorpusError(
            f"{out} is not empty and does not hold the simulated corpus of this configuration. Give an "
            "empty or new directory, or delete this one first."
        )
    building = out.with_name(f"{out.name}.unfinished-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    (building / "corpus").mkdir(parents=True)
    (building / "truth").mkdir()
    try:
        rows = _write_all(config, building / "corpus", workers, progress)
        pq.write_table(
            pa.Table.from_pylist([tile for tile, _ in rows], TILES_SCHEMA), building / "corpus" / "tiles.parquet"
        )
        pq.write_table(
            pa.Table.from_pylist([truth for _, truth in rows], TRUTH_SCHEMA), building / "truth" / "truth.parquet"
        )
        (building / "simulated.json").write_text(
            json.dumps(
                {"simulated": True, "digest": config.digest(), "config": config.model_dump(mode="json")}, indent=2
            )
            + "\n"
        )
        if out.exists():
            out.rmdir()
        building.rename(out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def is_finished(config: SceneConfig, out_dir: str | Path) -> bool:
    """Whether out_dir holds the finished corpus of exactly this configuration."""
    note = Path(out_dir) / "simulated.json"
    return note.is_file() and json.loads(note.read_text()).get("digest") == config.digest()


def _write_all(config: SceneConfig, corpus_dir: Path, workers: int, progress) -> list[tuple[dict, dict]]:
    chunk = 16
    jobs = [range(k, min(k + chunk, config.tiles)) for k in range(0, config.tiles, chunk)]
    rows: list[tuple[dict, dict]] = []
    if workers <= 1:
        for job in jobs:
            rows += _write_some(config, corpus_dir, job)
            if progress is not None:
                progress(len(rows), config.tiles)
        return rows
    sensors = {name: SENSORS[name] for name in config.sensors}
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_register, initargs=(sensors,)
    ) as pool:
        for done in pool.map(_write_some, [config] * len(jobs), [corpus_dir] * len(jobs), jobs):
            rows += done
            if progress is not None:
                progress(len(rows), config.tiles)
    return rows


def _register(sensors: dict[str, Sensor]) -> None:
    """Make sensors that were added from outside the project known to a worker process."""
    for name, sensor in sensors.items():
        SENSORS.add(name, sensor)


def _write_some(config: SceneConfig, corpus_dir: Path, indices: range) -> list[tuple[dict, dict]]:
    return [_write_one(config, corpus_dir, index) for index in indices]


def _write_one(config: SceneConfig, corpus_dir: Path, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    scene = simulate_scene(config, index)
    path = corpus_dir / path_of(scene.metadata["tile_id"])
    write_tile(scene, path, config.calibration_db)
    row = {k: scene.metadata[k] for k in TILES_SCHEMA.names if k in scene.metadata}
    row |= {"path": path_of(row["tile_id"]), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    truth = {
        "tile_id": row["tile_id"],
        **scene.truth.facts(),
        "scene": json.dumps(scene.truth.as_json(config.buildings_in_truth), separators=(",", ":")),
    }
    return row, truth


def amplitude_dn(sigma0: np.ndarray, calibration_db: float) -> np.ndarray:
    """Amplitude DN uint16 (at least 1) of linear sigma zero: sigma0_dB = 20 log10(DN) - calibration_db."""
    dn = np.sqrt(sigma0) * 10.0 ** (calibration_db / 20.0)
    return np.clip(np.rint(dn), 1, 65535).astype(np.uint16)


def write_tile(scene: Scene, path: Path, calibration_db: float) -> None:
    """One GeoTIFF: uint16 amplitude, DEFLATE, projection and the tags of the corpus's format.

    Raises OSError (DiskFull, if that is why): it cannot be written; there is none then.
    """
    import rasterio

    from corpus.geotiff.files import create_geotiff

    m = scene.metadata
    with create_geotiff(
        path,
        "a simulated tile",
        width=m["width"],
        height=m["height"],
        count=len(m["polarisations"]),
        dtype="uint16",
        crs=m["crs"],
        transform=rasterio.Affine(*m["transform"][:6]),
        compress="DEFLATE",
    ) as tif:
        tif.write(amplitude_dn(scene.bands, calibration_db))
        for k, polarisation in enumerate(m["polarisations"], 1):
            tif.set_band_description(k, polarisation)
        tif.update_tags(
            CALIBRATION_DB=f"{calibration_db:g}",
            PLATFORM=m["platform"],
            BAND=m["band"],
            ACQUIRED=m["acquired"],
            GROUND_SAMPLE_DISTANCE_M=f"{m['gsd_m']:g}",
            INCIDENCE_ANGLE_DEG=f"{m['incidence_deg']:.2f}",
            LOOK_AZIMUTH_DEG=f"{m['look_azimuth_deg']:.2f}",
            SIMULATED="true",
        )
