"""Initial annotations from a file: every format and shape, tiles by name or by ground, and bad rows named by line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.warp import transform as warp_points

from corpus.tiles import TILE_SCHEMA
from hcot_llm.initial.rows import InitialFileError
from hcot_llm.initial.statements import read_statements
from hcot_llm.initial.table import file_annotations
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from support.geoparquet import write_geoparquet
from support.toy_schemas import LANDSCAPE, VEHICLES

landscape, vehicles = (AnnotationSchema.model_validate(content) for content in (LANDSCAPE, VEHICLES))
UNSURE = AnnotationSchema.model_validate(
    VEHICLES | {"clauses": [{name: each for name, each in VEHICLES["clauses"][0].items() if name != "accuracy"}]}
)
SIDE_M = 1280.0
EAST, NORTH = 400_000.0, 5_300_000.0  # of the first tile's corner, in UTM zone 33


def tiles(count: int = 4, east: float = EAST, crs: str = "EPSG:32633") -> pa.Table:
    """Tiles side by side, t0 the westernmost; columns that no file is joined by are left empty."""
    rows = [
        dict.fromkeys(TILE_SCHEMA.names)
        | {
            "tile_id": f"t{number}",
            "crs": crs,
            "transform": [10.0, 0.0, east + number * SIDE_M, 0.0, -10.0, NORTH],
            "width": 128,
            "height": 128,
        }
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=TILE_SCHEMA)


def ground(first: float, last: float, share_of_height: float = 1.0, crs: str = "EPSG:4326") -> shapely.Polygon:
    """The ground from tile number `first` to `last`, fractions included, in a coordinate reference system."""
    low = NORTH - SIDE_M * share_of_height
    box = shapely.segmentize(shapely.box(EAST + first * SIDE_M, low, EAST + last * SIDE_M, NORTH), SIDE_M / 4)
    points = shapely.get_coordinates(box)
    found = warp_points(CRS.from_epsg(32633), CRS.from_user_input(crs), points[:, 0].tolist(), points[:, 1].tolist())
    return shapely.Polygon(list(zip(*found[:2], strict=True)))


def annotate(schema, path, table=None, **settings) -> dict[tuple[str, str], tuple[str, float]]:
    confidence = settings.pop("default_confidence", None)
    found = file_annotations(
        schema, tiles() if table is None else table, read_statements(schema, path, confidence), **settings
    )
    return {
        (row["tile_id"], row["clause"]): (row["value"], pytest.approx(row["confidence"]))
        for row in found.table.to_pylist()
    }


def otherwise(count: int = 4) -> pa.Table:
    """What is known without a file: plains without water, at even odds."""
    rows = [
        {"tile_id": f"t{number}", "clause": clause, "value": value, "text": "It is said.", "confidence": 0.5}
        for number in range(count)
        for clause, value in (("terrain", "plain"), ("water", "none"))
    ]
    return pa.Table.from_pylist(rows)


def written(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


LONG = "tile_id,clause,value,confidence\n" + "".join(
    f"t{number},{clause},{value},{sure}\n"
    for number in range(4)
    for clause, value, sure in (("terrain", "coast", "0.7"), ("water", "sea", ""))
)
WIDE = "tile_id,terrain,water,terrain_confidence\n" + "".join(f"t{number},coast,sea,0.7\n" for number in range(4))


@pytest.mark.parametrize("text", [LONG, WIDE], ids=["long", "wide"])
def test_a_row_a_clause_and_a_column_a_clause_say_the_same(tmp_path, text):
    found = annotate(landscape, written(tmp_path / "labels.csv", text))
    assert len(found) == 8
    assert found["t2", "terrain"] == ("coast", 0.7)
    assert found["t2", "water"] == ("sea", 0.9), "where the file does not say it, the schema's accuracy"


def test_a_stated_default_goes_before_the_schema_and_a_row_before_both(tmp_path):
    found = annotate(landscape, written(tmp_path / "labels.csv", LONG), default_confidence=0.4)
    assert found["t0", "terrain"] == ("coast", 0.7)
    assert found["t0", "water"] == ("sea", 0.4)


def test_a_schema_without_accuracies_asks_for_a_confidence(tmp_path):
    path = written(tmp_path / "labels.csv", "tile_id,vehicle\nt0,t62\n")
    with pytest.raises(
        InitialFileError, match=r"line 2: nothing says how sure 'vehicle' is.*corpus.initial_confidence"
    ):
        read_statements(UNSURE, path)
    assert annotate(UNSURE, path, tiles(1), default_confidence=0.6) == {("t0", "vehicle"): ("t62", 0.6)}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_of_any_spreadsheet_is_read(tmp_path, separator):
    text = WIDE.replace(",", separator).replace("\n", "\r\n")
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert annotate(landscape, tmp_path / "labels.csv")["t3", "water"] == ("sea", 0.9)


def test_a_parquet_file_is_read_like_a_csv(tmp_path):
    table = pa.table({"tile": ["t0", "t1"], "vehicle": ["t62", "d7"], "confidence": [0.6, None], "note": [1, 2]})
    pq.write_table(table, tmp_path / "labels.parquet")
    found = annotate(vehicles, tmp_path / "labels.parquet", tiles(2))
    assert found == {("t0", "vehicle"): ("t62", 0.6), ("t1", "vehicle"): ("d7", 0.9)}


def test_tiles_are_annotated_by_the_scene_that_they_were_cut_from(tmp_path):
    path = written(
        tmp_path / "labels.csv", "scene,clause,value\na.tif,vehicle,t62\nb.tif,vehicle,d7\nbad.tif,vehicle,d7\n"
    )
    scene_of = {"t0": "a.tif", "t1": "b.tif", "t2": "a.tif"}
    found = annotate(vehicles, path, tiles(3), scene_of=scene_of, left_out={"bad.tif"})
    assert [value for value, _ in found.values()] == ["t62", "d7", "t62"]
    with pytest.raises(SchemaError, match=r"no row, by scene, for t3 \(vehicle\)"):
        annotate(vehicles, path, tiles(4), scene_of=scene_of | {"t3": "c.tif"}, left_out={"bad.tif"})
    with pytest.raises(InitialFileError, match=r"line 4: there is no scene bad.tif"):
        annotate(vehicles, path, tiles(3), scene_of=scene_of)


def test_what_the_file_does_not_say_comes_from_elsewhere_and_is_counted(tmp_path):
    path = written(tmp_path / "labels.csv", "tile_id,terrain,water\nt0,coast,\nt1,,lake\n")
    found = file_annotations(landscape, tiles(), read_statements(landscape, path), otherwise=otherwise())
    values = {(row["tile_id"], row["clause"]): row["value"] for row in found.table.to_pylist()}
    assert values["t0", "terrain"] == "coast"
    assert values["t0", "water"] == "none"
    assert values["t1", "water"] == "lake"
    assert found.summary("labels.csv", "geography") == (
        "2 of 8 initial annotations come from labels.csv, 6 from geography"
    )


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:3857"])
def test_geometries_are_joined_to_tiles_by_ground_in_any_reference_system(tmp_path, crs):
    """Two tiles are covered, of the third a part that is too small, and of the fourth nothing."""
    projjson = None if crs == "EPSG:4326" else {"id": {"authority": "EPSG", "code": int(crs[5:])}}
    path = write_geoparquet(
        tmp_path / "labels.parquet",
        {"terrain": ["coast", "hills"], "confidence": [0.8, 0.7]},
        [ground(0, 2.3, crs=crs), ground(7, 9, crs=crs)],
        **({} if projjson is None else {"crs": projjson}),
    )
    statements = read_statements(landscape, path)
    found = file_annotations(landscape, tiles(), statements, otherwise=otherwise())
    values = [row["value"] for row in found.table.to_pylist() if row["clause"] == "terrain"]
    assert values == ["coast", "coast", "plain", "plain"]
    assert (found.from_file, found.elsewhere) == (2, 1)


def test_a_tile_takes_the_value_that_covers_most_of_it(tmp_path):
    path = write_geoparquet(
        tmp_path / "labels.geoparquet",
        {"clause": ["terrain"] * 4, "value": ["coast", "hills", "coast", "mountain"]},
        [ground(0, 0.4), ground(0.4, 1), ground(1, 1.3), ground(1.3, 2, 0.5)],
    )
    found = annotate(landscape, path, tiles(2), otherwise=otherwise(2))
    assert found["t0", "terrain"][0] == "hills"
    assert found["t1", "terrain"][0] == "plain", "no value covers half of it"


def test_polygons_of_one_value_add_up(tmp_path):
    path = write_geoparquet(tmp_path / "labels.parquet", {"terrain": ["coast"] * 2}, [ground(0, 0.3), ground(0.3, 0.6)])
    assert annotate(landscape, path, tiles(1), otherwise=otherwise(1))["t0", "terrain"][0] == "coast"


def test_points_annotate_the_tile_that_they_lie_in(tmp_path):
    inside, beside = ground(0.4, 0.6, 0.5).centroid, ground(1.4, 1.6, 0.5).centroid
    path = written(
        tmp_path / "labels.csv",
        f"lon,lat,terrain\n{inside.x},{inside.y},coast\n{beside.x},{beside.y},hills\n",
    )
    found = annotate(landscape, path, otherwise=otherwise())
    assert [found[f"t{number}", "terrain"][0] for number in range(3)] == ["coast", "hills", "plain"]


def test_a_csv_may_have_its_ground_as_wkt(tmp_path):
    path = written(tmp_path / "labels.csv", f'geometry,terrain\n"{ground(0, 1).wkt}",coast\n')
    assert annotate(landscape, path, otherwise=otherwise())["t0", "terrain"][0] == "coast"


@pytest.mark.parametrize("boxes", [[(179.9, 180.2)], [(179.9, 180), (-180, -179.8)], [(-180, -179.8)], [(180, 180.2)]])
def test_ground_is_found_across_180_degrees(tmp_path, boxes):
    """Most of the tile lies behind it; labels may go on behind 180, or be cut there."""
    x = warp_points(CRS.from_epsg(4326), CRS.from_epsg(32660), [180.0], [47.8])[0][0]
    table = tiles(1, east=x - 0.3 * SIDE_M, crs="EPSG:32660")
    whole = shapely.MultiPolygon([shapely.box(west, 47, east, 48) for west, east in boxes])
    path = written(tmp_path / "a.csv", f'geometry,vehicle\n"{whole.wkt}",t62\n')
    assert annotate(vehicles, path, table)["t0", "vehicle"] == ("t62", 0.9)


def feature(geometry, properties: dict) -> dict:
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(geometry)), "properties": properties}


def label_item(folder, name: str, properties: dict, assets: dict, geometry=None):
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/label/v1.0.1/schema.json"],
        "id": name,
        "geometry": json.loads(shapely.to_geojson(geometry or ground(0, 4))),
        "bbox": [0, 0, 1, 1],
        "properties": {"datetime": "2026-01-01T00:00:00Z", "label:type": "vector", "label:description": ""}
        | properties,
        "links": [],
        "assets": assets,
    }
    return written(folder / f"{name}.json", json.dumps(item))


def test_labels_of_a_stac_item_are_read_from_its_geojson(tmp_path):
    features = [feature(ground(0, 2), {"terrain": "coast"}), feature(ground(2, 4), {"terrain": "hills"})]
    written(tmp_path / "a.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    assets = {"labels": {"href": "./a.geojson", "type": "application/geo+json", "roles": ["labels"]}}
    path = label_item(tmp_path, "a", {"label:properties": ["terrain"]}, assets)
    found = annotate(landscape, path, otherwise=otherwise())
    assert [found[f"t{number}", "terrain"][0] for number in range(4)] == ["coast", "coast", "hills", "hills"]
    alone = annotate(landscape, tmp_path / "a.geojson", otherwise=otherwise())
    assert alone == found


def test_a_folder_of_stac_items_whose_properties_are_the_labels_is_read(tmp_path):
    (tmp_path / "items").mkdir()
    for number, value in enumerate(("coast", "hills")):
        properties = {"label:properties": ["terrain"], "terrain": value, "confidence": 0.6, "platform": "x"}
        label_item(tmp_path / "items", f"item{number}", properties, {}, ground(number, number + 1))
    image = {"type": "Feature", "stac_version": "1.0.0", "id": "i", "geometry": None, "properties": {}, "assets": {}}
    written(tmp_path / "items" / "image.json", json.dumps(image))
    found = annotate(landscape, tmp_path / "items", otherwise=otherwise())
    assert found["t0", "terrain"] == ("coast", 0.6)
    assert found["t1", "terrain"] == ("hills", 0.6)


def test_a_catalogue_leads_to_its_label_items(tmp_path):
    label_item(tmp_path, "a", {"label:properties": ["terrain"], "terrain": "coast"}, {}, ground(0, 1))
    catalogue = {"type": "Catalog", "links": [{"rel": "self", "href": "x"}, {"rel": "item", "href": "./a.json"}]}
    path = written(tmp_path / "catalog.json", json.dumps(catalogue))
    assert annotate(landscape, path, otherwise=otherwise())["t0", "terrain"][0] == "coast"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tile_id,clause,value\nt0,terrain,moor\n", "line 2: 'moor' is no value of clause 'terrain'; it takes: plain"),
        ("tile_id,clause,value\nt0,soil,clay\n", "line 2: .*soil"),
        ("tile_id,clause,value\nt0,terrain,\n", "line 2: it has no value"),
        ("tile_id,clause,value\n,terrain,coast\n", "line 2: it has no tile_id"),
        ("tile_id,clause,value\nt0,terrain,coast\nt0,ter", "line 3: it has 2 cells, and the header has 3"),
        (
            "tile_id,clause,value,confidence\nt0,terrain,coast,7\n",
            "line 2: the confidence '7' is no number from 0 to 1",
        ),
        (
            "tile_id,clause,value\nt0,terrain,coast\nt1,terrain,coast\nt0,terrain,plain\n",
            "line 4: it says clause 'terrain' of tile_id t0 a second time, after line 2",
        ),
        ("tile_id,terrainn\nt0,coast\n", "states no clause of the schema"),
        ("tile_id,terrainn,water\nt0,coast,sea\n", "column 'terrainn'.*Did you mean 'terrain'"),
        ("place,terrain\nt0,coast\n", "does not say what its rows are about: its columns are place, terrain"),
        ("tile_id,terrain\n", "holds no row"),
        ('geometry,terrain\n"POLYGON ((1 2, 3",coast\n"POINT (1 2)",coast\n', "line 2: it has no geometry"),
        ('geometry,terrain\n"LINESTRING (1 2, 3 4)",coast\n', "line 2: a LineString covers no tile"),
        ('geometry,terrain\n"POINT (400000 5300000)",coast\n', "line 2: its ground, 400000 .* is not in degrees"),
        ('geometry,terrain\n"POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))",coast\n', "line 2: its polygon is invalid"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, text, said):
    with pytest.raises(InitialFileError, match=said):
        read_statements(landscape, written(tmp_path / "labels.csv", text))


def test_all_bad_rows_are_counted_and_the_first_are_named(tmp_path):
    text = "tile_id,terrain\n" + "".join(f"t{number},{'moor' if number % 2 else 'coast'}\n" for number in range(20))
    with pytest.raises(InitialFileError, match=r"10 of its rows are bad(?s:.*)line 3: (?s:.*)and 5 more$") as error:
        read_statements(landscape, written(tmp_path / "labels.csv", text))
    assert str(error.value).count("moor") == 5


def test_a_tile_that_does_not_exist_is_named_with_the_nearest(tmp_path):
    path = written(tmp_path / "labels.csv", LONG.replace("t3,", "t33,"))
    with pytest.raises(InitialFileError, match=r"line 8: there is no tile t33; did you mean t3\?"):
        annotate(landscape, path)


def test_two_who_disagree_about_the_same_ground_are_named(tmp_path):
    path = write_geoparquet(tmp_path / "labels.parquet", {"terrain": ["coast", "hills"]}, [ground(0, 1), ground(0, 2)])
    with pytest.raises(
        InitialFileError, match="row 2: it says clause 'terrain' of tile t0 is hills, and row 1 says coast"
    ):
        annotate(landscape, path, otherwise=otherwise())


@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv", "labels.json", "labels.xlsx", "nowhere.csv"])
def test_a_file_that_cannot_be_read_as_a_whole_is_named(tmp_path, name):
    if name != "nowhere.csv":
        (tmp_path / name).write_bytes(b"PAR1 half a file \xff\xfe" * 3)
    with pytest.raises(InitialFileError, match=name):
        read_statements(landscape, tmp_path / name)


def test_a_file_of_geometries_without_a_reference_system_is_refused(tmp_path):
    path = write_geoparquet(tmp_path / "labels.parquet", {"terrain": ["coast"]}, [ground(0, 1)], crs=None)
    with pytest.raises(InitialFileError, match="no coordinate reference system"):
        read_statements(landscape, path)


def test_labels_that_are_pictures_or_lie_elsewhere_are_refused(tmp_path):
    with pytest.raises(InitialFileError, match="are a raster; only vector labels"):
        read_statements(landscape, label_item(tmp_path, "r", {"label:properties": None, "label:type": "raster"}, {}))
    assets = {"labels": {"href": "https://example.org/a.geojson", "roles": ["labels"]}}
    with pytest.raises(InitialFileError, match="nothing is fetched"):
        read_statements(landscape, label_item(tmp_path, "far", {"label:properties": ["terrain"]}, assets))


def test_the_same_statements_have_the_same_digest_in_every_format(tmp_path):
    first = read_statements(landscape, written(tmp_path / "labels.csv", "tile_id,terrain\nt0,coast\n"))
    pq.write_table(pa.table({"tile_id": ["t0"], "terrain": ["coast"]}), tmp_path / "labels.parquet")
    assert read_statements(landscape, tmp_path / "labels.parquet").digest == first.digest
    other = read_statements(landscape, written(tmp_path / "other.csv", "tile_id,terrain\nt0,hills\n"))
    assert other.digest != first.digest
