"""From folders of GeoTIFFs to corpora: made ones of every kind, and the real samples where they are present."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError
from rasterio.errors import RasterioError

from corpus.geotiff.files import create_geotiff, open_geotiff
from corpus.geotiff.read import model_image, read_backscatter
from corpus.ingest.cutting import cut_scene
from corpus.ingest.ingest import IngestConfig, IngestError, cut_scenes
from corpus.ingest.opened import open_scene
from corpus.ingest.quarantine import Quarantine, QuarantineRecord
from corpus.ingest.scenes import Scene
from corpus.ingest.split import split_by_place
from corpus.integrity import check_tile, check_tiles
from corpus.tiles import TILE_SCHEMA, CorpusError, Tile, read_tiles, tile_path, write_tiles
from support.file_limit import largest_file
from support.geotiffs import NORTH_UP, speckled_dn, write_geotiff, write_vrt, write_zero_band_tiff
from support.paths import SHARED

SAMPLES = SHARED / "sar"
SMALL = IngestConfig(tile_px=32)


def scene(path: Path, seed: int = 0, size: int = 64, east_m: float = 0, **kwargs) -> Path:
    transform = kwargs.pop("transform", Affine.translation(east_m, 0) @ NORTH_UP)
    return write_geotiff(path, speckled_dn(2, size, seed), transform=transform, **kwargs)


@pytest.fixture
def folder(tmp_path):
    """Five scenes of four tiles each, 10 km apart, one in a folder below."""
    for number in range(5):
        name = "below/4.TIFF" if number == 4 else f"{number}.tif"
        scene(
            tmp_path / "in" / name,
            number,
            east_m=10_000 * number,
            tags={"CALIBRATION_DB": "83", "PLATFORM": "Sentinel-1B"},
        )
    return tmp_path / "in"


def test_a_folder_becomes_a_corpus(folder, tmp_path):
    steps = []
    report = cut_scenes(
        folder,
        tmp_path / "out",
        SMALL,
        progress=lambda done, total: steps.append((done, total)),
        places_of=lambda lons, lats: [("Somewhere", "XX")] * len(lons),
    )
    assert (report.files, report.tiles, report.quarantined, report.held_out) == (5, 20, 0, 4)
    assert steps == [(number, 5) for number in range(1, 6)]
    table = read_tiles(tmp_path / "out")
    assert table.schema == TILE_SCHEMA
    assert table.equals(report.table)
    assert pq.read_table(tmp_path / "out" / "tiles.parquet").schema.equals(TILE_SCHEMA)
    for row in table.to_pylist():
        Tile(**row)
        with rasterio.open(tmp_path / "out" / row["path"]) as src:
            assert (src.crs.to_string(), list(src.transform)[:6]) == (row["crs"], row["transform"])
            assert src.descriptions == ("VV", "VH")
            assert src.tags()["CALIBRATION_DB"] == "83"
    assert set(table["city"].to_pylist()) == {"Somewhere"}
    assert set(table["band"].to_pylist()) == {"C"}
    assert check_tiles(tmp_path / "out") == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["quarantine.jsonl", "tiles", "tiles.parquet"]


def test_a_file_whose_name_is_not_utf8_is_set_aside_and_named(folder, tmp_path):
    scene(folder / "5.tif", 5, east_m=50_000).rename(os.fsdecode(os.fsencode(folder) + b"/\xe9.tif"))
    report = cut_scenes(folder, tmp_path / "out", IngestConfig(tile_px=32, max_quarantined_share=0.2))
    assert (report.files, report.tiles, report.reasons) == (6, 20, {"name_not_utf8": 1})
    [record] = Quarantine(tmp_path / "out").read()
    assert (record.path, record.reason) == ("\\udce9.tif", "name_not_utf8")


def test_tiles_keep_pixels_and_place(tmp_path):
    path = scene(tmp_path / "in" / "a.tif", size=96)
    report = cut_scenes(tmp_path / "in", tmp_path / "out", SMALL)
    assert report.tiles == 9
    with rasterio.open(path) as src:
        for row in report.table.to_pylist():
            with rasterio.open(tmp_path / "out" / row["path"]) as tile:
                window = src.window(*tile.bounds)
                np.testing.assert_array_equal(tile.read(), src.read(window=window))
                assert tile.dtypes[0] == "uint16"


def test_the_same_input_gives_the_same_corpus(folder, tmp_path):
    one, two = (cut_scenes(folder, tmp_path / name, SMALL).table for name in "ab")
    assert one.equals(two)
    (folder / "0.tif").rename(folder / "renamed.tif")
    renamed = cut_scenes(folder, tmp_path / "c", SMALL).table
    assert renamed["tile_id"].equals(one["tile_id"])
    assert renamed["split"].equals(one["split"])
    other = cut_scenes(folder, tmp_path / "d", IngestConfig(tile_px=16)).table
    assert not set(other["tile_id"].to_pylist()) & set(one["tile_id"].to_pylist())


def test_windows_are_averaged_to_the_tile(tmp_path):
    path = scene(tmp_path / "in" / "a.tif", size=128)
    report = cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=32, window_px=128))
    (row,) = report.table.to_pylist()
    assert row["transform"] == [40, 0, 400000, 0, -40, 5300000]
    assert row["width"] == 32
    assert row["gsd_m"] == pytest.approx(40, rel=1e-3)
    tile = read_backscatter(tmp_path / "out" / row["path"])
    dn = speckled_dn(2, 128).astype(float)
    power = (dn**2).reshape(2, 32, 4, 32, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(tile.array, 10 * np.log10(power), atol=1e-3)
    with rasterio.open(path) as src, rasterio.open(tmp_path / "out" / row["path"]) as tile:
        assert src.bounds == tile.bounds
        assert tile.tags()["UNITS"] == "dB"


def test_a_window_that_is_no_multiple_of_the_tile_is_resampled(tmp_path):
    scene(tmp_path / "in" / "a.tif", size=100)
    (row,) = cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=32, window_px=100)).table.to_pylist()
    assert row["transform"][0] == 31.25
    assert model_image(tmp_path / "out" / row["path"]).shape == (2, 32, 32)


def test_a_rotated_transform_keeps_positions(tmp_path):
    rotated = Affine.translation(400000, 5300000) @ Affine.rotation(104) @ Affine.scale(0.6, -0.6)
    scene(tmp_path / "in" / "umbra.tif", transform=rotated)
    report = cut_scenes(tmp_path / "in", tmp_path / "out", SMALL)
    expected = {
        tuple(round(value, 6) for value in (rotated @ Affine.translation(col, row))[:6])
        for row in (0, 32)
        for col in (0, 32)
    }
    assert {tuple(round(value, 6) for value in row["transform"]) for row in report.table.to_pylist()} == expected
    assert report.table["gsd_m"].to_pylist() == pytest.approx([0.6] * 4, rel=1e-3)


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        ("EPSG:3395", Affine(10, 0, -13234943, 0, -10, 4048140), 8.27),
        ("EPSG:3857", Affine(10, 0, 0, 0, -10, 8399738), 5.0),  # 60 degrees north: half
        ("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 0.003), 11.1),
        ("EPSG:32633", NORTH_UP, 10.0),
    ],
)
def test_ground_metres_are_not_map_metres(tmp_path, crs, transform, expected):
    scene(tmp_path / "in" / "a.tif", crs=crs, transform=transform)
    row = cut_scenes(tmp_path / "in", tmp_path / "out", SMALL).table.to_pylist()[0]
    assert row["gsd_m"] == pytest.approx(expected, rel=0.01)
    with rasterio.open(tmp_path / "out" / row["path"]) as src:
        assert float(src.tags()["MAP_SAMPLE_DISTANCE"]) == pytest.approx(transform.a)
        assert float(src.tags()["GROUND_SAMPLE_DISTANCE_M"]) == pytest.approx(row["gsd_m"], rel=1e-5)


def spoil(folder: Path) -> dict[str, str]:
    """One file of every kind that has to be refused, and the reason expected."""
    dn = speckled_dn(2, 64)
    write_geotiff(folder / "no_crs.tif", dn, crs=None)
    write_geotiff(folder / "constant.tif", np.full((1, 64, 64), 9, np.uint16), descriptions=("VV",))
    write_geotiff(folder / "nan.tif", np.full((1, 64, 64), np.nan, np.float32), descriptions=("VV",))
    write_zero_band_tiff(folder / "zero_bands.tif")
    write_vrt(folder / "vrt.tif", str(folder / "0.tif"))
    (folder / "text.tif").write_text("no picture")
    os.truncate(scene(folder / "cut.tif", 77), 9000)
    scene(folder / "small.tif", 78, size=16)
    scene(folder.parent / "elsewhere.tif", 79)
    (folder / "link.tif").symlink_to(folder.parent / "elsewhere.tif")
    (folder / "dangling.tif").symlink_to(folder / "nowhere.tif")
    local = 'LOCAL_CS["site grid",UNIT["metre",1]]'
    write_geotiff(folder / "nowhere_on_earth.tif", dn, crs=local)
    return {
        "no_crs.tif": "no_crs",
        "constant.tif": "constant",
        "nan.tif": "not_finite",
        "zero_bands.tif": "no_bands",
        "vrt.tif": "virtual_or_remote",
        "text.tif": "not_a_geotiff",
        "cut.tif": "truncated",
        "small.tif": "too_small",
        "link.tif": "outside_folder",
        "dangling.tif": "unreadable",
        "nowhere_on_earth.tif": "no_transform",
    }


def test_bad_files_are_quarantined_and_the_rest_used(folder, tmp_path):
    expected = spoil(folder)
    out = tmp_path / "out"
    report = cut_scenes(folder, out, IngestConfig(tile_px=32, max_quarantined_share=0.8))
    records = Quarantine(out).read()
    assert {record.path: record.reason for record in records} == expected
    assert all(record.hint.endswith(".") for record in records)
    assert (report.tiles, report.quarantined, report.files) == (20, 11, 16)
    assert sum(report.reasons.values()) == 11
    assert len(list((out / "tiles").rglob("*.tif"))) == 20


def test_too_many_bad_files_fail_the_ingest(folder, tmp_path):
    spoil(folder)
    with pytest.raises(IngestError, match=r"11 of 16 files .* max_quarantined_share = 10%.*quarantine.jsonl") as caught:
        cut_scenes(folder, tmp_path / "out", SMALL)
    assert len(str(caught.value).splitlines()) == 1
    assert len(Quarantine(tmp_path / "out").refused()) == 11
    with pytest.raises(CorpusError, match="is not a corpus"):
        read_tiles(tmp_path / "out")
    # Once the share is raised the same folder can be tried again.
    cut_scenes(folder, tmp_path / "out", IngestConfig(tile_px=32, max_quarantined_share=0.8))


def test_an_ingest_that_leaves_no_tile_is_an_error(tmp_path):
    write_geotiff(tmp_path / "in" / "a.tif", speckled_dn(2, 64), crs=None)
    with pytest.raises(IngestError, match="no tile is left"):
        cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=32, max_quarantined_share=1))


def test_a_scene_that_breaks_half_way_leaves_no_tile(folder, tmp_path):
    path = scene(folder / "late.tif", 50, size=64, compress="DEFLATE", blockysize=8, interleave="band")
    with rasterio.open(path) as src:
        offset = int(src.get_tag_item("BLOCK_OFFSET_0_7", "TIFF", bidx=2))
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes(30))
    report = cut_scenes(folder, tmp_path / "out", IngestConfig(tile_px=32, max_quarantined_share=0.2))
    assert report.reasons == {"unreadable": 1}
    assert len(list((tmp_path / "out" / "tiles").rglob("*.tif"))) == report.tiles == 20


def test_empty_windows_of_a_good_scene_are_skipped_and_named(tmp_path):
    dn = speckled_dn(2, 64)
    dn[:, :32, :32] = 0
    write_geotiff(tmp_path / "in" / "a.tif", dn, nodata=0)
    report = cut_scenes(tmp_path / "in", tmp_path / "out", SMALL)
    assert (report.tiles, report.skipped_windows, report.quarantined) == (3, 1, 0)
    assert [(record.path, record.reason) for record in Quarantine(tmp_path / "out").read()] == [
        ("a.tif#0,0", "not_finite")
    ]
    assert len(Quarantine(tmp_path / "out").refused()) == 0


def test_units_are_those_of_the_scene_and_not_of_each_window(tmp_path):
    """The left window has no negative dB value, and is not to be taken for linear power."""
    pixels = np.random.default_rng(0).uniform(1, 9, (1, 32, 64)).astype(np.float32)
    pixels[0, :, 32:] -= 20
    write_geotiff(tmp_path / "in" / "a.tif", pixels, descriptions=("VV",))
    report = cut_scenes(tmp_path / "in", tmp_path / "out", SMALL)
    for row in report.table.to_pylist():
        east = round((row["transform"][2] - NORTH_UP.c) / 10)
        tile = read_backscatter(tmp_path / "out" / row["path"])
        np.testing.assert_array_equal(tile.array, pixels[:, :, east : east + 32])


def test_identical_files_are_used_once(folder, tmp_path):
    (folder / "copy.tif").write_bytes((folder / "0.tif").read_bytes())
    report = cut_scenes(folder, tmp_path / "out", SMALL)
    assert (report.tiles, report.duplicates, report.quarantined) == (20, 1, 0)
    [record] = Quarantine(tmp_path / "out").read()
    assert record.reason == "duplicate"
    assert not record.refused


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_text("# none\n"),
        lambda path: path.write_bytes(b"\xff\xfe\xfd"),
    ],
)
def test_nothing_to_ingest_is_an_error(tmp_path, make):
    make(tmp_path / "in")
    with pytest.raises(IngestError) as caught:
        cut_scenes(tmp_path / "in", tmp_path / "out", SMALL)
    assert str(tmp_path / "in") in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_list_names_its_files_and_what_cannot_be_used_is_told(folder, tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text(
        f"# scenes\nin/0.tif\n{folder / '1.tif'}\n\nin/2.tif\nin/absent.tif\n"
        "https://example.com/a.tif\n/vsicurl/https://example.com/b.tif\n"
    )
    report = cut_scenes(listing, tmp_path / "out", IngestConfig(tile_px=32, max_quarantined_share=0.5))
    assert report.tiles == 12
    assert report.reasons == {"virtual_or_remote": 2, "unreadable": 1}


def test_a_corpus_is_not_written_over_or_into_its_source(folder, tmp_path):
    cut_scenes(folder, tmp_path / "out", SMALL)
    with pytest.raises(IngestError, match="already"):
        cut_scenes(folder, tmp_path / "out", SMALL)
    for out in (folder, folder / "corpus", tmp_path):
        with pytest.raises(IngestError):
            cut_scenes(folder, out, SMALL)


def test_a_changed_tile_is_found_and_named(folder, tmp_path):
    out = tmp_path / "out"
    first, second, *_ = cut_scenes(folder, out, SMALL).table.to_pylist()
    pixels = np.roll(speckled_dn(2, 32), 1)
    (out / second["path"]).unlink()
    write_geotiff(out / first["path"], pixels)
    changed, missing = check_tiles(out)
    assert (changed.tile_id, changed.reason) == (first["tile_id"], "changed")
    assert first["tile_id"] in changed.message
    assert (missing.tile_id, missing.reason) == (second["tile_id"], "missing")


def test_a_tile_is_compared_once_more_when_it_is_read(folder, tmp_path):
    first, second, third, *_ = cut_scenes(folder, tmp_path / "out", SMALL).table.to_pylist()
    path = tile_path(tmp_path / "out", first["path"])
    check_tile(first["tile_id"], path, first["sha256"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorpusError, match=f"{first['tile_id']} .*{path}.* has changed since .*Put back what it was"):
        check_tile(first["tile_id"], path, first["sha256"])
    with pytest.raises(CorpusError, match="has no file .*gone.tif.*Put back what it was"):
        check_tile(second["tile_id"], tmp_path / "gone.tif", second["sha256"])
    with pytest.raises(CorpusError, match="cannot be read: Is a directory. .*knowlip resume"):
        check_tile(third["tile_id"], tmp_path, third["sha256"])


def test_a_tile_that_cannot_be_written_whole_ends_the_ingest_and_leaves_nothing_of_it(tmp_path):
    """GDAL itself says nothing of it, and the hash of what there is would be recorded."""
    write_geotiff(tmp_path / "in" / "scene.tif", speckled_dn(2, 128))
    with (
        pytest.raises(OSError, match=f"a tile could not be written to {tmp_path}/out/tiles/.*.tif: File too large"),
        largest_file(6000),
    ):
        cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=128))
    assert list((tmp_path / "out" / "tiles").rglob("*.tif")) == []
    assert cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=128)).tiles == 1


def test_a_scene_is_not_to_blame_for_what_happens_to_its_tiles(folder, tmp_path):
    (tmp_path / "nowhere").write_text("a file, where the corpus is to lie")
    with (
        pytest.raises(NotADirectoryError, match=f"a tile could not be written to {tmp_path}/nowhere/tiles/"),
        open_scene([Scene(folder / "0.tif", "0.tif")], SMALL) as opened,
    ):
        cut_scene(opened, "0" * 64, tmp_path / "nowhere", SMALL)
    with (
        pytest.raises(OSError, match="a tile could not be made for .*a.tif. GDAL says: no memory."),
        open_geotiff(folder / "0.tif"),
        create_geotiff(tmp_path / "a.tif", "a tile", width=8, height=8, count=1, dtype="uint8"),
    ):
        raise RasterioError("no memory")
    assert not (tmp_path / "a.tif").exists()


def test_a_tile_list_cannot_point_outside(folder, tmp_path):
    row = cut_scenes(folder, tmp_path / "out", SMALL).table.to_pylist()[0]
    write_tiles(tmp_path / "out", [Tile(**{**row, "path": "../in/0.tif"})])
    assert [problem.reason for problem in check_tiles(tmp_path / "out")] == ["outside_corpus"]
    with pytest.raises(CorpusError, match="leads out"):
        tile_path(tmp_path / "out", "/etc/passwd")


def test_tile_record_is_checked():
    with pytest.raises(ValidationError):
        Tile(
            tile_id="",
            path="a",
            sha256="x",
            crs="",
            transform=(1,) * 6,
            width=0,
            height=1,
            gsd_m=0,
            platform="",
            band="",
            polarisations=(),
            acquired="",
            lon=200,
            lat=0,
            city="",
            country="",
            split="test",
        )


def test_a_damaged_tile_list_is_named(tmp_path):
    (tmp_path / "tiles.parquet").write_bytes(b"nonsense")
    with pytest.raises(CorpusError, match="is not a list of tiles"):
        read_tiles(tmp_path)


def test_a_quarantine_is_read_as_it_was_written(tmp_path):
    quarantine = Quarantine(tmp_path)
    record = QuarantineRecord(path='odd "name"\n.tif', reason="no_crs", hint="Set it: é.")
    assert quarantine.read() == []
    assert len(quarantine.refused()) == 0
    assert quarantine.append([record]) == 1
    assert quarantine.append([record, QuarantineRecord(path="b", reason="no_crs", hint="")]) == 2
    assert quarantine.read()[0] == record
    assert len(quarantine.refused()) == 2
    assert [json.loads(line)["reason"] for line in quarantine.path.read_text().splitlines()] == ["no_crs"] * 2
    quarantine.path.write_text('{"path": "a"}\n')
    with pytest.raises(CorpusError, match="line 1"):
        quarantine.read()


def squares(*corners):
    """Polygons of one degree by one degree, [squares, corners, 2]."""
    return np.array([[(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)] for x, y in corners], float)


def split(grounds, scene_of, share, seed, **kwargs):
    return split_by_place(grounds, scene_of, grounds.mean(axis=1), share, seed, **kwargs)


def test_split_keeps_a_place_together():
    # Scenes 0, 1 and 2 show the same place, 3 touches it, 4 and 5 are elsewhere.
    places = squares((0, 0), (0.1, 0), (0.2, 0.1), (1.2, 0), (10, 0), (20, 0))
    scene_of = np.repeat(np.arange(6), 10)
    seen = set()
    for seed in range(20):
        sides = np.array(split(places[scene_of], scene_of, 0.3, seed)).reshape(6, 10)
        assert all(len(set(row)) == 1 for row in sides)
        assert len(set(sides[:3, 0])) == 1
        assert 0 < (sides == "held_out").mean() < 1
        seen.add(tuple(sides[:, 0]))
        assert split(places[scene_of], scene_of, 0.3, seed) == sides.reshape(-1).tolist()
    assert len(seen) > 1


def test_split_of_one_scene_is_by_area():
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 2)
    sides = np.array(split(squares(*grid) / 100, np.zeros(256, int), 0.25, 0)).reshape(4, 4, 4, 4)
    cells = sides.transpose(0, 2, 1, 3).reshape(16, 16)
    assert all(len(set(cell)) == 1 for cell in cells)
    assert (cells[:, 0] == "held_out").sum() == 4


def test_a_split_of_one_place_or_a_share_of_zero_holds_out_nothing():
    assert split(squares((0, 0)), [0], 0.5, 0) == ["train"]
    two = squares((0, 0), (9, 0))
    assert split(two, [0, 1], 0.0, 0) == ["train", "train"]
    assert sorted(split(two, [0, 1], 0.1, 0)) == ["held_out", "train"]


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the real sample {name} is not at {SAMPLES}; it is not part of the repository")
    return path


def some_of(source: Path, every: int, tmp_path: Path) -> Path:
    """A list of every n-th scene, so that the test stays short."""
    listing = tmp_path / "list.txt"
    listing.write_text("\n".join(map(str, sorted(source.rglob("*.tif*"))[::every])))
    return listing


@pytest.mark.parametrize(
    ("name", "config", "tiles", "gsd_m", "platform", "band", "polarisations"),
    [
        ("sentinel1_los_angeles", {"window_px": 512}, 40, 33.2, "Sentinel-1A", "C", ["VH"]),
        ("umbra_mount_yasur", {}, 225, 0.594, "Umbra", "X", ["unknown"]),
        ("bigearthnet_s1", {"tile_px": 60, "window_px": 120}, 13, 20, "Sentinel-1A", "C", ["VV", "VH"]),
        ("worldcereal_s1/monthly_100x100", {"tile_px": 100}, 12, 10, "unknown", "", ["VV", "VH"]),
        ("sentinel1_seychelles", {}, 12, 200, "Sentinel-1A", "C", ["VH"]),
    ],
)
def test_real_samples_become_tiles(tmp_path, name, config, tiles, gsd_m, platform, band, polarisations):
    source = some_of(sample(name), 7, tmp_path) if "angeles" in name else sample(name)
    report = cut_scenes(source, tmp_path / "out", IngestConfig(**config))
    assert (report.tiles, report.quarantined) == (tiles, 0)
    # Twelve months of one site cannot be held out from one another.
    assert report.held_out == 0 if "monthly" in name else 0 < report.held_out < tiles / 2
    rows = report.table.to_pylist()
    assert {(row["platform"], row["band"]) for row in rows} == {(platform, band)}
    assert polarisations in [row["polarisations"] for row in rows]
    assert [row["gsd_m"] for row in rows] == pytest.approx([gsd_m] * tiles, rel=0.005)
    image = model_image(tmp_path / "out" / rows[0]["path"])
    assert np.isfinite(image).all()
    assert image.std() > 0.02


def test_real_dates_of_one_site_stay_together(tmp_path):
    source = some_of(sample("worldcereal_s1/chips"), 8, tmp_path)
    report = cut_scenes(source, tmp_path / "out", IngestConfig(tile_px=32))
    split_of = {}
    for row in report.table.to_pylist():
        split_of.setdefault((row["crs"], *row["transform"]), set()).add(row["split"])
    assert len(split_of) == 4
    assert all(len(found) == 1 for found in split_of.values())


def test_real_label_rasters_are_not_taken_for_backscatter(tmp_path):
    with pytest.raises(IngestError, match="unknown_bands"):
        cut_scenes(sample("worldcereal_s1/labels"), tmp_path / "out", SMALL)
