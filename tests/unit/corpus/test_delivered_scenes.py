"""Products and exports as they are delivered: every tile against what its pixels really hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from corpus.geotiff.items import ItemFacts, item_beside
from corpus.geotiff.read import read_backscatter
from corpus.ingest.ingest import IngestConfig, IngestError, IngestReport, cut_scenes, inspect_scenes
from corpus.ingest.quarantine import Quarantine
from corpus.ingest.record import SceneRecord
from support.delivered import (
    GRID,
    SIDE,
    capella_product,
    decibels,
    digital_numbers,
    hyp3_product,
    opera_product,
    palsar_mosaic,
    power,
    put,
    sigma0,
    smooth,
    snap_geotiff,
    terrasar_product,
    with_alpha,
)

TRUTH = dict(zip(("VV", "VH"), decibels(sigma0()), strict=True))
DEFAULT = IngestConfig()
LAX = IngestConfig(max_quarantined_share=1)


def ingest(folder: Path, config: IngestConfig = DEFAULT) -> tuple[IngestReport, list[SceneRecord]]:
    """The corpus of a folder, and its records; `data check` decides the same, which every test sees on the way."""
    report = cut_scenes(folder, folder.parent / f"{folder.name}-out", config)
    checked = inspect_scenes(folder, config)
    assert tuple(checked.records) == report.scenes
    assert len(checked.kept()) == report.tiles
    return report, list(report.scenes)


def far_off(folder: Path, report: IngestReport, truth=TRUTH) -> dict[str, float]:
    """Share of the pixels of all tiles that are more than 1 dB off, up to a constant, by polarisation.

    A pixel without a value is not off: what has none is compared by the tests themselves.
    """
    shares = {}
    for name in report.table["polarisations"][0].as_py():
        found, expected = [], []
        for row in report.table.to_pylist():
            tile = read_backscatter(folder.parent / f"{folder.name}-out" / row["path"])
            column, line = round((row["transform"][2] - GRID.c) / 10), round((GRID.f - row["transform"][5]) / 10)
            found.append(tile.array[tile.polarisations.index(name)])
            expected.append(truth[name][line : line + row["height"], column : column + row["width"]])
        error = np.stack(found) - np.stack(expected)
        shares[name] = float((np.abs(error - np.nanmedian(error)) > 1).mean())
    return shares


def border(pixels: np.ndarray, value: float, columns: int = 6) -> np.ndarray:
    pixels = pixels.copy()
    pixels[..., :columns] = value
    return pixels


DB = decibels(power())
PACKED = np.round(decibels(sigma0()) * 100).astype(np.int16)
RATIO = (sigma0()[0] / sigma0()[1]).astype(np.float32)
RIGHT = {
    "one negative pixel after noise removal": lambda p: put(p, np.where(power() < 0.0005, -1e-4, power())),
    "an untagged -9999 in power": lambda p: put(p, border(power(), -9999)),
    "an untagged -9999 in decibels": lambda p: put(p, border(DB, -9999)),
    "an untagged -32768 in decibels": lambda p: put(p, border(DB, -32768)),
    "-inf around an export in decibels": lambda p: put(p, border(DB, -np.inf)),
    "NaN with a tag": lambda p: put(p, border(power(), np.nan), nodata=np.nan),
    "0 around decibels, and a tag for another value": lambda p: put(p, border(DB, 0), nodata=-9999),
    "an export with the angle of incidence": lambda p: put(
        p, np.concatenate([decibels(sigma0()), 35 + 10 * smooth("angle")]), ("VV", "VH", "angle")
    ),
    "a ratio first": lambda p: put(p, np.stack([RATIO, *power()]), ("VV/VH", "VV", "VH")),
    "a ratio last, without a word": lambda p: put(p, np.stack([*power(), RATIO]), ("VV", "VH", None)),
    "bands in different units": lambda p: put(p, np.stack([power()[0], DB[1]])),
    "decibels of digital numbers": lambda p: put(p, (20 * np.log10(digital_numbers())).astype(np.float32)),
    "SNAP's amplitude": lambda p: put(p, np.sqrt(power()), ("Amplitude_VV", "Amplitude_VH")),
    "SNAP's decibels": lambda p: put(p, DB, ("Sigma0_VV_db", "Sigma0_VH_db")),
    "SNAP's intensity in integers": lambda p: put(
        p, digital_numbers().astype(np.uint32) ** 2, ("Intensity_VV", "Intensity_VH")
    ),
    "SNAP's GeoTIFF, whose names GDAL does not read": lambda p: snap_geotiff(
        p, power()[::-1].copy(), ("Sigma0_VH", "Sigma0_VV")
    ),
    "packed decibels": lambda p: put(p, PACKED, scales=(0.01, 0.01)),
    "packed decibels with an untagged border": lambda p: put(p, border(PACKED, -32768), scales=(0.01, 0.01)),
    "packed decibels in 8 bits, with an offset": lambda p: put(
        p, np.clip(np.round((DB + 50) / 0.2), 1, 255).astype(np.uint8), scales=(0.2,) * 2, offsets=(-50,) * 2, nodata=0
    ),
    "packed power": lambda p: put(
        p, np.clip(np.round(sigma0() * 1e4), 1, 65535).astype(np.uint16), scales=(1e-4, 1e-4), nodata=0
    ),
    "digital numbers with a border of 0": lambda p: put(p, border(digital_numbers(), 0)),
    "digital numbers with an untagged border of 65535": lambda p: put(p, border(digital_numbers(), 65535)),
    "digital numbers with an internal mask": lambda p: put(
        p, border(digital_numbers(), 65535), mask=border(np.full((SIDE, SIDE), 255, np.uint8), 0)
    ),
    "digital numbers with an alpha band": lambda p: with_alpha(
        p, border(digital_numbers(), 65535), border(np.full((SIDE, SIDE), 255, np.uint8), 0), ("VV", "VH")
    ),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_a_scene_is_read_as_what_it_is(tmp_path, kind):
    RIGHT[kind](tmp_path / "in" / "S1_scene.tif")
    report, [record] = ingest(tmp_path / "in")
    assert (record.status, sorted(record.polarisations), report.tiles) == ("ok", ["VH", "VV"], 4)
    # A border of 6 of 256 columns has no value; the packed and the stored integers are rounded.
    assert max(far_off(tmp_path / "in", report).values()) < 0.02, record.reason
    for name in ("VV", "VH"):
        assert record.std_db[name] == pytest.approx(TRUTH[name].std(), rel=0.04)
    for row in report.table.to_pylist():
        tile = read_backscatter(tmp_path / "in-out" / row["path"])
        assert np.nanmax(tile.array) - np.nanmin(tile.array) < 60  # no fill value has become one of the scene


@pytest.mark.parametrize("fill", [0, -9999, -99, -np.inf, np.nan])
def test_tiles_of_a_border_do_not_exist_and_those_beside_it_are_right(tmp_path, fill):
    """40 % of the scene: the border tiles were 80 % wrong."""
    put(tmp_path / "in" / "S1.tif", border(DB, fill, 100))
    report, [record] = ingest(tmp_path / "in")
    assert (report.tiles, report.skipped_windows) == (2, 2)
    assert max(far_off(tmp_path / "in", report).values()) == 0
    assert record.used_share == pytest.approx(128 / 156, abs=1e-3)


@pytest.mark.parametrize("code", ["gpuned", "gauned", "gduned"])
def test_a_hyp3_product_is_one_scene_of_two_polarisations(tmp_path, code):
    hyp3_product(tmp_path / "in", code)
    report, records = ingest(tmp_path / "in")
    assert (report.tiles, report.quarantined, report.not_backscatter) == (4, 0, 5)
    [used] = [record for record in records if record.status == "ok"]
    assert used.polarisations == ("VV", "VH")
    assert set(used.unit.values()) == {{"p": "power", "a": "amplitude", "d": "db"}[code[1]]}
    assert (used.acquired, used.platform) == ("2020-06-07T02:15:00", "Sentinel-1A")
    assert max(far_off(tmp_path / "in", report).values()) == 0
    records = Quarantine(tmp_path / "in-out").read()
    assert sorted(record.reason for record in records) == ["not_backscatter"] * 5


def test_an_opera_product(tmp_path):
    opera_product(tmp_path / "in")
    report, records = ingest(tmp_path / "in")
    assert (report.tiles, report.not_backscatter) == (2, 1)
    assert max(far_off(tmp_path / "in", report).values()) == 0
    assert records[0].platform == "Sentinel-1A"


def test_a_palsar_mosaic_is_calibrated(tmp_path):
    palsar_mosaic(tmp_path / "in")
    report, records = ingest(tmp_path / "in")
    assert (report.tiles, report.not_backscatter) == (4, 3)
    [used] = [record for record in records if record.status == "ok"]
    assert used.median_db["HH"] == pytest.approx(np.median(TRUTH["VV"]), abs=0.1)
    truth = {"HH": TRUTH["VV"], "HV": TRUTH["VH"]}
    assert max(far_off(tmp_path / "in", report, truth).values()) < 0.01
    tile = read_backscatter(tmp_path / "in-out" / report.table["path"][0].as_py())
    assert -25 < np.median(tile.array) < 0


def test_a_capella_product_is_calibrated_and_dated_by_its_item(tmp_path):
    capella_product(tmp_path / "in")
    report, [used, preview] = ingest(tmp_path / "in")
    assert (report.tiles, preview.status) == (4, "not_backscatter")
    assert used.acquired.startswith("2020-12-09T21:33:30.5")
    assert used.platform == "capella-2"
    assert report.table["band"][0].as_py() == "X"
    assert used.median_db["HH"] == pytest.approx(np.median(TRUTH["VV"]), abs=0.1)


def test_a_terrasar_product(tmp_path):
    terrasar_product(tmp_path / "in")
    report, records = ingest(tmp_path / "in")
    assert (report.tiles, report.not_backscatter, report.quarantined) == (4, 2, 0)
    [used] = [record for record in records if record.status == "ok"]
    assert (used.polarisations, used.platform) == (("VV", "HH"), "TerraSAR-X")
    assert used.acquired == "2011-03-03T05:52:40"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "s1a-iw-grd-vv-20200607t021500-20200607t021525-032906-03cfc7-001.tiff",
            "s1a-iw-grd-vh-20200607t021500-20200607t021525-032906-03cfc7-002.tiff",
        ),
        ("measurement/iw-vv.rtc.tiff", "measurement/iw-vh.rtc.tiff"),
        ("2020/VV.tif", "2020/VH.tif"),
    ],
)
def test_one_file_a_polarisation_is_one_scene(tmp_path, first, second):
    for name, pixels in ((first, power()[:1]), (second, power()[1:])):
        put(tmp_path / "in" / name, pixels, (), nodata=-32768)
    report, [record] = ingest(tmp_path / "in")
    assert (record.polarisations, record.files) == (("VV", "VH"), (first, second))
    assert (report.files, report.tiles) == (2, 4)
    assert max(far_off(tmp_path / "in", report).values()) == 0


def test_two_files_on_different_grids_are_two_scenes(tmp_path):
    put(tmp_path / "in" / "a_VV.tif", power()[:1], ())
    put(tmp_path / "in" / "a_VH.tif", power()[1:], (), transform=Affine.translation(5, 0) @ GRID)
    report, records = ingest(tmp_path / "in")
    assert sorted(record.polarisations for record in records) == [("VH",), ("VV",)]
    assert report.tiles + report.left_out == 8


def test_integers_of_two_files_stay_integers(tmp_path):
    for k, name in enumerate(("VV", "VH")):
        put(tmp_path / "in" / f"grd_{name}.tif", digital_numbers()[k : k + 1], (), nodata=0)
    report, _ = ingest(tmp_path / "in")
    with rasterio.open(tmp_path / "in-out" / report.table["path"][0].as_py()) as tile:
        assert (tile.dtypes, tile.descriptions, tile.nodata) == (("uint16",) * 2, ("VV", "VH"), 0)


NO_SCENE = {
    "terrain.tif": lambda p: put(p, smooth("terrain"), ()),
    "angle.tif": lambda p: put(p, smooth("angle"), ()),
    "classes.tif": lambda p: put(
        p,
        np.random.default_rng(0).integers(0, 9, (1, SIDE, SIDE)).astype(np.uint8),
        (),
        colours={value: (value, 0, 0, 255) for value in range(9)},
    ),
    "S1_browse.tif": lambda p: put(p, (np.sqrt(sigma0()[:1]) * 255).clip(0, 255).astype(np.uint8), ()),
    "picture.tif": lambda p: put(
        p, (np.sqrt(sigma0()[[0, 1, 0]]) * 255).clip(0, 255).astype(np.uint8), (), photometric="RGB"
    ),
    "coherence.tif": lambda p: put(p, np.clip(power()[:1], 0, 1), ("coh_VV_07Jun2020",)),
}


@pytest.mark.parametrize("name", NO_SCENE)
def test_what_is_no_backscatter_makes_no_tile_and_is_counted(tmp_path, name):
    put(tmp_path / "in" / "S1.tif", power())
    NO_SCENE[name](tmp_path / "in" / name)
    report, records = ingest(tmp_path / "in")
    assert (report.tiles, report.not_backscatter, report.quarantined) == (4, 1, 0)
    assert {record.file: record.status for record in records}[name] == "not_backscatter"


@pytest.mark.parametrize(
    ("make", "code", "hint"),
    [
        (lambda p: put(p, np.sqrt(power())), "unclear_units", "corpus.ingest.units"),
        (lambda p: put(p, digital_numbers().astype(np.float32)), "unclear_units", "corpus.ingest.units"),
        (lambda p: put(p, PACKED), "unclear_units", "gdal_edit.py -scale 0.01"),
        (lambda p: put(p, power(), ()), "unknown_bands", "corpus.ingest.polarisations"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_key_that_says_it(tmp_path, make, code, hint):
    make(tmp_path / "in" / "a.tif")
    [record] = inspect_scenes(tmp_path / "in", LAX).records
    assert (record.status, record.code) == ("refused", code)
    assert hint in record.reason


def test_the_keys_say_it(tmp_path):
    put(tmp_path / "in" / "a.tif", np.sqrt(power()), ())
    config = IngestConfig(units="amplitude", polarisations=("VV", "VH"))
    report, [record] = ingest(tmp_path / "in", config)
    assert (record.polarisations, report.tiles) == (("VV", "VH"), 4)
    assert max(far_off(tmp_path / "in", report).values()) == 0
    put(tmp_path / "one" / "a.tif", power()[:1], ())
    _, [record] = ingest(tmp_path / "one", IngestConfig(polarisations=("VH",)))
    assert record.polarisations == ("VH",)


def test_a_second_band_of_one_polarisation_is_left_out_and_said(tmp_path):
    stack = np.stack([power(1)[0], power(2)[0]])
    put(tmp_path / "in" / "stack.tif", stack, ("Sigma0_VV_mst_05Jun2020", "Sigma0_VV_slv1_17Jun2020"))
    _, [record] = ingest(tmp_path / "in")
    assert record.polarisations == ("VV",)
    assert "second band of VV" in next(iter(record.bands_left_out.values()))


def test_a_scene_across_180_degrees_is_one_place_and_no_box_round_the_world(tmp_path):
    place = Affine(1e-4, 0, 179.99, 0, -1e-4, 0.01)
    put(tmp_path / "in" / "fiji.tif", power(1), crs="EPSG:4326", transform=place)
    put(tmp_path / "in" / "africa.tif", power(2), crs="EPSG:4326", transform=Affine(1e-4, 0, 20, 0, -1e-4, 0.01))
    put(tmp_path / "in" / "brazil.tif", power(3), crs="EPSG:4326", transform=Affine(1e-4, 0, -60, 0, -1e-4, 0.01))
    report, _ = ingest(tmp_path / "in", IngestConfig(held_out_share=0.34))
    assert (report.tiles, report.held_out, report.left_out) == (12, 4, 0)
    rows = report.table.to_pylist()
    assert max(row["lon"] for row in rows) > 179.9
    assert min(row["lon"] for row in rows) < -179.9


def test_longitudes_from_0_to_360(tmp_path):
    put(tmp_path / "in" / "a.tif", power(), crs="EPSG:4326", transform=Affine(1e-4, 0, 200, 0, -1e-4, 0.01))
    report, _ = ingest(tmp_path / "in")
    assert report.table["lon"].to_pylist() == pytest.approx([-159.99] * 4, abs=0.02)


def test_pixels_that_are_not_square_on_the_ground_are_resampled(tmp_path):
    """Warped to degrees at 65 degrees north: 7.7 m by 18.2 m."""
    step = 1.64e-4
    put(tmp_path / "in" / "a.tif", power(side=640), crs="EPSG:4326", transform=Affine(step, 0, 15, 0, -step, 65))
    report, [record] = ingest(tmp_path / "in")
    across, down = record.gsd_m
    assert (across, down) == (pytest.approx(7.73, rel=0.01), pytest.approx(18.3, rel=0.01))
    assert report.table["gsd_m"].to_pylist() == pytest.approx([18.3] * report.tiles, rel=0.01)
    assert record.window == (128, pytest.approx(128 * 18.3 / 7.73, abs=2))
    assert report.tiles == 10
    for row in report.table.to_pylist():
        a, _, _, _, e, _ = row["transform"]
        assert a * np.cos(np.radians(65)) == pytest.approx(-e, rel=0.02)


def test_what_windows_leave_is_said_and_can_be_used(tmp_path):
    put(tmp_path / "in" / "a.tif", power(side=300))
    for config, tiles, share in (
        (IngestConfig(tile_px=64, window_px=192), 1, (192 / 300) ** 2),
        (IngestConfig(tile_px=64, window_px=192, align_last_window=True, held_out_share=0), 4, 1),
        (IngestConfig(tile_px=64, window_px=192, stride_px=50, held_out_share=0), 9, (292 / 300) ** 2),
    ):
        found = inspect_scenes(tmp_path / "in", config)
        assert found.records[0].tiles == tiles
        assert found.records[0].used_share == pytest.approx(share, abs=1e-3)
        assert ("align_last_window" in found.summary()) == (share < 0.75)


def test_windows_without_a_picture_keep_no_pixels(tmp_path):
    """Each kept exception held its window's pixels through its traceback: 2 MiB a window."""
    path = tmp_path / "in" / "sparse.tif"
    path.parent.mkdir()
    side = 4096
    profile = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": "float32", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=GRID, SPARSE_OK="TRUE", tiled=True, **profile) as file:
        file.set_band_description(1, "VV")
        file.write(power(side=512)[:1], window=rasterio.windows.Window(0, 0, 512, 512))
    tracemalloc.start()
    found = inspect_scenes(tmp_path / "in", IngestConfig())
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found.kept()), len(found.skipped)) == (16, 1024 - 16)
    assert kept < 4 * 2**20  # 1008 windows of 64 KiB would be 63 MiB
    assert found.records[0].used_share == 1


def test_files_that_are_no_scenes_are_named(tmp_path):
    put(tmp_path / "in" / "a.tif", power())
    (tmp_path / "in" / "._a.tif").write_bytes(b"\0\5\x16\7Mac OS X")
    put(tmp_path / "elsewhere" / "b.tif", power(1))
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    found = inspect_scenes(tmp_path / "in", LAX)
    reasons = {record.file: (record.status, record.code) for record in found.records}
    assert reasons["._a.tif"] == ("not_backscatter", "not_backscatter")
    assert reasons["linked"] == ("refused", "outside_folder")
    assert "a link to a folder with 1 GeoTIFFs" in next(r.reason for r in found.records if r.file == "linked")


def test_the_advice_on_a_missing_georeference_fits(tmp_path):
    put(tmp_path / "in" / "sidecar.tif", power(), crs=None, transform=Affine.identity())
    (tmp_path / "in" / "sidecar.tfw").write_text("10\n0\n0\n-10\n400005\n5299995\n")
    put(tmp_path / "in" / "points.tif", power(1), crs=None, transform=Affine.identity())
    points = [GroundControlPoint(r, c, 15 + c * 1.3e-4, 65 - r * 9e-5, 0) for r in (0, SIDE) for c in (0, SIDE)]
    with rasterio.open(tmp_path / "in" / "points.tif", "r+") as file:
        file.gcps = (points, rasterio.CRS.from_epsg(4326))
    found = {record.file: record.reason for record in inspect_scenes(tmp_path / "in", LAX).records}
    assert "in sidecar.tfw" in found["sidecar.tif"]
    assert "gdal_translate sidecar.tif OUT.tif" in found["sidecar.tif"]
    # A map whose pixels are square on the ground, and not degrees, which are not at 65 degrees north.
    assert "gdalwarp -tps -t_srs EPSG:32633 -tr 10" in found["points.tif"]


def test_an_item_beside_a_file_says_time_platform_and_polarisation(tmp_path):
    path = put(tmp_path / "in" / "scene_12.tif", power()[:1], (), tags={"TIFFTAG_DATETIME": "2024:01:01 00:00:00"})
    path.with_suffix(".json").write_text(
        '{"properties": {"datetime": "2020-01-01T00:00:00Z", "platform": "ICEYE-X6", "sar:polarizations": ["HH"]}}'
    )
    _, [record] = ingest(tmp_path / "in")
    assert (record.acquired[:19], record.platform, record.polarisations) == ("2020-01-01T00:00:00", "ICEYE-X6", ("HH",))
    path.with_suffix(".json").write_text("{ not JSON")
    assert inspect_scenes(tmp_path / "in", LAX).records[0].acquired == "2024-01-01T00:00:00"


ITEM = '{"properties": {"datetime": "2020-01-01T00:00:00Z", "platform": "ICEYE-X6"}, "assets": {"a": {"href": "HREF"}}}'


@pytest.mark.parametrize(
    ("file", "item", "href"),
    [
        ("frame1.tif", "frame10.json", ""),
        ("frame1.tif", "frame1_2.json", ""),
        ("frame1.tif", "frame1.json", "frame1_2.tif"),
        ("frame1.tif", "frame1.meta.json", "https://example.org/frame10.tif?x=1"),
        ("frame1.tif", "2020-01-01-00-00-00_METADATA.json", ""),
    ],
)
def test_an_item_of_another_file_says_nothing_of_this_one(tmp_path, file, item, href):
    for name in ("frame1.tif", "frame10.tif", "frame1_2.tif"):
        (tmp_path / name).touch()
    (tmp_path / item).write_text(ITEM.replace("HREF", href))
    assert item_beside(tmp_path / file) is None


@pytest.mark.parametrize(
    ("file", "item", "href"),
    [
        ("frame1.tif", "frame1.json", ""),
        ("frame1.tif", "FRAME1.geojson", "not_here.tif"),
        ("frame1.tif", "frame1.stac.v2.json", "frame1.tif"),
        ("frame1.tif", "frame1_extended.json", "quick_look.png"),
        ("frame1.tif", "item.json", "./frame1.tif"),
        ("a b.tif", "item.json", "https://example.org/a%20b.tif"),
    ],
)
def test_an_item_of_a_file_is_known_by_its_name_or_by_its_assets(tmp_path, file, item, href):
    for name in (file, "frame10.tif", "frame1_2.tif"):
        (tmp_path / name).touch()
    (tmp_path / item).write_text(ITEM.replace("HREF", href))
    found = item_beside(tmp_path / file)
    assert found == ItemFacts(item, "2020-01-01T00:00:00Z", "ICEYE-X6")


def test_metadata_of_a_product_says_what_the_item_of_the_file_does_not(tmp_path):
    (tmp_path / "2023-02-10-13-12-26_UMBRA-04_GEC.tif").touch()
    (tmp_path / "2023-02-10-13-12-26_UMBRA-04_METADATA.json").write_text(
        '{"collects": [{"startAtUTC": "2023-02-10T13:12:26Z", "polarizations": ["VV"]}]}'
    )
    found = item_beside(tmp_path / "2023-02-10-13-12-26_UMBRA-04_GEC.tif")
    assert found == ItemFacts(
        "2023-02-10-13-12-26_UMBRA-04_METADATA.json", "2023-02-10T13:12:26Z", polarisations=("VV",)
    )
    (tmp_path / "2023-02-10-13-12-26_UMBRA-04_GEC.json").write_text(ITEM)
    found = item_beside(tmp_path / "2023-02-10-13-12-26_UMBRA-04_GEC.tif")
    assert (found.acquired, found.polarisations) == ("2020-01-01T00:00:00Z", ("VV",))


def test_polarisations_in_folders_are_one_scene_though_the_configuration_names_one(tmp_path):
    put(tmp_path / "in" / "VV" / "S1A_20200607.tif", power()[:1], ())
    put(tmp_path / "in" / "VH" / "S1A_20200607.tif", power()[1:], ())
    report, [record] = ingest(tmp_path / "in", IngestConfig(polarisations=("VH",)))
    assert (record.files, record.polarisations) == (("VV/S1A_20200607.tif", "VH/S1A_20200607.tif"), ("VV", "VH"))
    assert max(far_off(tmp_path / "in", report).values()) < 0.01


@pytest.mark.parametrize("folder", ["", "VV"])
def test_the_configuration_names_polarisations_only_where_nothing_else_does(tmp_path, folder):
    name = "x.tif" if folder else "ICEYE_X6_GRD_SM_1000_20200101T000000.tif"
    put(tmp_path / folder / name, power()[:1], ())
    [record] = inspect_scenes(tmp_path / folder, IngestConfig(polarisations=("VH",))).records
    assert record.polarisations == ("VV",)
    put(tmp_path / "other" / "x.tif", power()[:1], ())
    [record] = inspect_scenes(tmp_path / "other", IngestConfig(polarisations=("VH",))).records
    assert record.polarisations == ("VH",)


@pytest.mark.parametrize(
    ("names", "descriptions"), [(("a_CH.tif", "a_CV.tif"), ()), (("a.tif",), ("RH",)), (("a.tif",), ("Sigma0_CV",))]
)
def test_compact_polarisation_is_refused_by_its_name(tmp_path, names, descriptions):
    for seed, name in enumerate(names):
        put(tmp_path / "in" / name, power(seed)[:1], descriptions)
    records = inspect_scenes(tmp_path / "in", LAX).records
    assert [record.code for record in records] == ["compact_polarisation"] * len(names)
    assert "H and " in records[0].reason
    assert "are sent circularly" in records[0].reason


def test_what_is_not_read_of_a_folder_is_counted_and_hidden_files_are_no_tiles(tmp_path):
    for name in ("x.tif", ".hidden.tif", ".snapshot/z.tif", "a/.b/c/z.tiff", "__MACOSX/y.tif"):
        put(tmp_path / "in" / name, power(), ("VV", "VH"))
    for name in ("a.zip", "b.VRT", "c.vrt", "x.tif.aux.xml", "notes.txt", ".git/d.zip"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    found = inspect_scenes(tmp_path / "in", DEFAULT)
    assert [record.file for record in found.records] == ["x.tif"]
    assert found.left_out == {".vrt": 2, ".zip": 1, "hidden": 4}
    assert found.summary().endswith("; files left out: 2 .vrt, 1 .zip, 4 hidden GeoTIFFs")
    (tmp_path / "in" / "x.tif").unlink()
    with pytest.raises(IngestError, match=r"What is left out: 2 \.vrt, 1 \.zip, 4 hidden GeoTIFFs"):
        inspect_scenes(tmp_path / "in", DEFAULT)
