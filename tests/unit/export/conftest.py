"""A finished run, exported in every format once."""

from pathlib import Path

import numpy as np
import pytest

from support.exported_run import finished_run
from support.geotiffs import speckled_dn, write_geotiff
from support.toy_schemas import VEHICLES, write_schema_file


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    """A run of three rounds on 12 simulated tiles, in digital numbers."""
    return finished_run(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Path:
    """A run on decibels without a city, time or platform, with another schema: one clause, no targets."""
    folder = tmp_path_factory.mktemp("real")
    schema = write_schema_file(folder / "vehicles.yaml", VEHICLES)
    decibels = (20 * np.log10(speckled_dn(1, 128)) - 60).astype(np.float32)
    decibels[:, :2, :3] = np.nan
    for number, easting in enumerate((400_000, 500_000)):
        write_geotiff(
            folder / "scenes" / f"scene{number}.tif",
            decibels + number,
            transform=_at(easting),
            nodata=np.nan,
            tags={"UNITS": "dB", "COPYRIGHT": "CC-BY-4.0"} if number else {"UNITS": "dB"},
            descriptions=("HH",),
        )
    table = folder / "initial.csv"
    rows = [f"scene{number}.tif,vehicle,bmp2,0.6" for number in range(2)]
    table.write_text("\n".join(["scene,clause,value,confidence", *rows]) + "\n")
    return finished_run(
        folder,
        "corpus.kind=geotiff",
        f"corpus.tiles={folder / 'scenes'}",
        f"corpus.initial={table}",
        "corpus.ingest.tile_px=64",
        f"schema={schema}",
        rounds=1,
    )


def _at(easting: float):
    from affine import Affine

    return Affine(10, 0, easting, 0, -10, 5_300_000)


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """export(run_dir, format): the folder, made once for each; more options make another one."""
    from rich.console import Console

    from orchestrator.report.export import export_run

    made: dict[tuple, Path] = {}

    def export(run_dir: Path, name: str, **options) -> Path:
        key = (run_dir, name, *sorted(options.items()))
        if key not in made:
            out = tmp_path_factory.mktemp("out") / name
            asked = {"version": None, "round_": None, "champion": False, "licence": "", "plugins": ()} | options
            export_run(run_dir, out, name, Console(quiet=True), **asked)
            made[key] = out
        return made[key]

    return export
