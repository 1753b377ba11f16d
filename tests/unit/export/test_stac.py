"""STAC: pystac validates items and collection by every extension; rio-cogeo, geopandas and GDAL read the rest."""

import json

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio

from corpus.tiles import Tile
from export.footprint import footprint
from orchestrator.data.exported import open_source

pytest.importorskip("pystac.extensions.label", reason="pystac's extensions are of the extra export")
stac_geoparquet = pytest.importorskip("stac_geoparquet.arrow", reason="stac-geoparquet is of the extra export")
geopandas = pytest.importorskip("geopandas", reason="geopandas is of the extra export")


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request, export):
    """(folder, source) of a run."""
    run_dir = request.getfixturevalue(request.param)
    return export(run_dir, "stac"), open_source(run_dir)


def test_collection_and_items_are_valid_by_the_core_and_every_extension(made):
    from support.stac_schemas import validate

    folder, source = made
    collection = pystac.Collection.from_file(folder / "collection.json")
    assert validate(collection)
    items = list(collection.get_items())
    assert len(items) == len(source)
    for item in items[:4]:
        found = validate(item)
        assert all(extension in found for extension in item.stac_extensions)
        assert any("/label/" in extension for extension in found)
    if source.simulated:
        assert any("/sar/" in extension for extension in items[0].stac_extensions)


def test_the_extensions_of_pystac_read_an_item(made):
    from pystac.extensions.label import LabelExtension
    from pystac.extensions.projection import ProjectionExtension
    from pystac.extensions.sar import SarExtension

    folder, source = made
    sample = next(source.samples())
    item = pystac.Item.from_file(folder / "items" / f"{sample.tile.tile_id}.json")
    label = LabelExtension.ext(item)
    assert label.label_properties == list(source.schema.names)
    assert {each.name: tuple(each.classes) for each in label.label_classes} == source.schema.vocabulary
    assert [each.id for each in label.get_sources()] == [item.id]
    assert ProjectionExtension.ext(item).code == sample.tile.crs
    if source.simulated:
        assert [each.value for each in SarExtension.ext(item).polarizations] == list(sample.tile.polarisations)
    for clause, value in sample.values.items():
        assert item.properties[f"knowlip:{clause}"] == value
    assert item.properties["knowlip:split"] == sample.tile.split


def test_every_link_and_asset_leads_somewhere(made):
    folder, _ = made
    for path in [folder / "collection.json", *(folder / "items").iterdir()]:
        content = json.loads(path.read_text())
        for entry in [*content["links"], *content["assets"].values()]:
            if not entry["href"].startswith("http"):
                # LICENSE.md and the schema are written by the export itself, in every format.
                assert (path.parent / entry["href"]).exists(), (path.name, entry)


def test_images_are_cloud_optimised_and_hold_the_tiles_values(made):
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="rio-cogeo is of the extra export")
    folder, source = made
    for sample in source.samples():
        path = folder / "images" / f"{sample.tile.tile_id}.tif"
        valid, errors, _ = cogeo.cog_validate(path, quiet=True)
        assert valid, errors
        item = json.loads((folder / "items" / f"{sample.tile.tile_id}.json").read_text())
        [band, *_] = item["assets"]["image"]["bands"]
        with rasterio.open(path) as now, rasterio.open(sample.file) as was:
            stored = now.read(1, masked=True).astype(float) * band["raster:scale"] + band["raster:offset"]
            np.testing.assert_allclose(
                stored.filled(np.nan), was.read(1, masked=True).astype(float).filled(np.nan), atol=0.002
            )


def test_the_geoparquet_opens_as_a_map_of_all_tiles_and_gives_the_items_back(made):
    folder, source = made
    frame = geopandas.read_parquet(folder / "items.parquet")
    assert frame.crs.to_epsg() == 4326
    assert list(frame["id"]) == source.tiles["tile_id"].to_pylist()
    centres = frame.geometry.centroid
    np.testing.assert_allclose(centres.x, source.tiles["lon"].to_numpy(), atol=1e-3)
    np.testing.assert_allclose(centres.y, source.tiles["lat"].to_numpy(), atol=1e-3)
    [clause, *_] = source.schema.names
    assert list(frame[f"knowlip:{clause}"]) == [sample.values[clause] for sample in source.samples()]
    items = list(stac_geoparquet.stac_table_to_items(pq.read_table(folder / "items.parquet")))
    assert [item["id"] for item in items] == list(frame["id"])
    for item in items:
        assert (folder / item["assets"]["image"]["href"]).exists()
    geo = json.loads(pq.read_schema(folder / "items.parquet").metadata[b"geo"])
    assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"


def test_labels_say_value_source_and_confidence_of_every_clause(made):
    folder, source = made
    frame = geopandas.read_file(folder / "labels" / f"{source.tiles['tile_id'][0]}.geojson")
    sample = next(source.samples())
    assert frame.loc[0, "caption"] == sample.caption
    said = json.loads((folder / "labels" / f"{sample.tile.tile_id}.geojson").read_text())["features"][0]["properties"]
    assert {each["clause"]: each["confidence"] for each in said["annotations"]} == sample.confidence


def test_a_time_that_is_not_known_is_an_interval(real, export):
    folder = export(real, "stac")
    item = pystac.Item.from_file(next((folder / "items").iterdir()))
    assert item.datetime is None
    assert item.common_metadata.start_datetime < item.common_metadata.end_datetime


def test_a_tile_across_180_degrees_is_two_polygons_and_no_band_round_the_world():
    tile = Tile(
        tile_id="a",
        path="a.tif",
        sha256="0" * 64,
        crs="EPSG:32760",
        transform=(100, 0, 810_000, 0, -100, 8_000_000),
        width=256,
        height=256,
        gsd_m=100,
        platform="",
        band="",
        polarisations=("VV",),
        acquired="",
        lon=180,
        lat=-18,
        city="",
        country="",
        split="train",
    )
    found = footprint(tile)
    assert found.geometry["type"] == "MultiPolygon"
    west, _, east, _ = found.bbox
    assert 179 < west < 180
    assert -180 < east < -177
