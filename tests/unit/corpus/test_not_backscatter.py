"""What is no backscatter is refused whatever the configuration says of polarisations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.ingest.ingest import IngestConfig, inspect_scenes
from corpus.ingest.record import SceneRecord
from support.delivered import SIDE, decibels, power, put, sigma0, smooth

TRUE_MEDIAN = {name: float(np.median(values)) for name, values in zip(("VV", "VH"), decibels(sigma0()), strict=True)}
CONFIGURED = [None, ("VH",), ("VV",)]
RAMP = np.broadcast_to(np.linspace(1e-3, 4e-3, SIDE, dtype=np.float32), (1, SIDE, SIDE))
NO_SCENE = {
    "heights.tif": lambda p: put(p, smooth("terrain").astype(np.int16), ()),
    "srtm_33_03.tif": lambda p: put(p, sigma0()[:1].astype(np.float32) * 500, ()),
    "a.tif": lambda p: put(p, smooth("angle"), ()),
    "classes.tif": lambda p: put(p, np.random.default_rng(0).integers(0, 9, (1, SIDE, SIDE)).astype(np.uint8), ()),
    "noise_power_VV.tif": lambda p: put(p, RAMP, ()),
    "S2A_MSIL2A_20200607_B04.tif": lambda p: put(
        p, np.random.default_rng(0).normal(1500, 400, (1, SIDE, SIDE)).clip(1, 9999).astype(np.uint16), ()
    ),
    "a_nir.tif": lambda p: put(p, power()[:1] * 3000, ("NIR",)),
}


def records(folder: Path, polarisations: tuple[str, ...] | None) -> list[SceneRecord]:
    found = inspect_scenes(folder, IngestConfig(**({"polarisations": polarisations} if polarisations else {})))
    return list(found.records)


@pytest.mark.parametrize("polarisations", CONFIGURED)
@pytest.mark.parametrize("name", NO_SCENE)
def test_the_key_that_names_bands_does_not_make_backscatter_of_what_is_none(tmp_path, name, polarisations):
    """The shipped configuration of Sentinel-1 sets it, and terrain became tiles of VH."""
    NO_SCENE[name](tmp_path / name)
    [record] = records(tmp_path, polarisations)
    assert (record.status, record.tiles) == ("not_backscatter", 0)


@pytest.mark.parametrize("polarisations", CONFIGURED)
def test_of_a_normalised_product_of_sentinel_1_only_the_measurements_are_read(tmp_path, polarisations):
    product, stem = tmp_path / "S1A_IW_NRB__1SDV_20200607T021500_33UVP_1A2B", "s1a-iw-nrb-20200607t021500-33uvp"
    for k, name in enumerate(("vv", "vh")):
        put(product / "measurement" / f"{stem}-{name}-g-lin.tif", power()[k : k + 1], ())
    for part in ("dm", "ei", "gs", "id", "lc", "li", "np-vv", "np-vh"):
        put(product / "annotation" / f"{stem}-{part}.tif", RAMP, ())
    found = records(tmp_path, polarisations)
    assert sum(record.status == "not_backscatter" for record in found) == 8
    [scene] = [record for record in found if record.status != "not_backscatter"]
    assert (scene.status, scene.tiles) == ("ok", 4)
    assert scene.median_db == pytest.approx(TRUE_MEDIAN, abs=0.01)


def test_the_key_still_names_the_band_of_backscatter(tmp_path):
    put(tmp_path / "a.tif", power()[1:], ())
    [record] = records(tmp_path, ("VH",))
    assert record.median_db == pytest.approx({"VH": TRUE_MEDIAN["VH"]}, abs=0.01)
