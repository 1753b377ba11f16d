"""Free text of language models, mapped to the schema."""

import json

import pytest

from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.freetext import FUSAR_KEYS, clause_shares, parse_fusar_record, read_clause
from support.hcot import VOCABULARY
from support.paths import SHARED

SAMPLE = SHARED / "hcot" / "fusar_klip_sample_1000.json"


@pytest.mark.parametrize(
    ("clause", "text", "value", "hedged"),
    [
        ("water", "Water presence: None visible", "none", False),
        ("water", "No large water bodies; possible minor channels", "channel", True),
        ("water", "A wide river crosses the scene", "channel", False),
        ("water", "Rivers are not visible", "none", False),
        ("water", "Moist soil everywhere", None, False),
        ("building", "No buildings visible", "none", False),
        ("building", "Numerous, densely packed buildings; sparse in the north", "dense", False),
        ("building", "Regularly arranged, densely distributed buildings", "dense", False),
        ("building", "Regular blocks; sparse in the north", "medium", False),
        ("building", "No large clusters; possible scattered rural structures", "sparse", True),
        ("building", "Buildings are absent", "none", False),
        ("water", "Possible narrow channels, no large water bodies", "channel", True),
        ("building", "Scattered small structures, but no dense settlements", "sparse", False),
        ("road", "Clear grid of main roads", "grid", False),
        ("road", "No major roads visible", "none", False),
        ("road", "Major roads are not visible", "none", False),
        ("road", "Possibly a few narrow tracks", "sparse", True),
        ("road", "A highway runs diagonally", "highway", False),
        ("layout", "Spatial layout: Irregular, organic", "irregular", False),
        ("layout", "Regular blocks", "regular", False),
        ("layout", "Without clear grid", "irregular", False),
        ("boundary", "Sharp, straight edges", "sharp", False),
        ("boundary", "No sharp boundaries; gradual transitions", "gradual", False),
        ("boundary", "Poorly defined edges", "gradual", False),
        ("terrain", "The terrain is classified as Coastal plain", "coast", False),
        ("terrain", "River network plain with hills", "plain", False),
        ("terrain", "Likely hilly area", "hills", True),
        ("functionality", "Urban area with residential and industrial zones", "mixed_urban", False),
        ("functionality", "Urban residential area", "residential", False),
        ("functionality", "Farmland with scattered settlements", "cropland", False),
        ("functionality", "Possible airport", "airport", True),
        ("distribution", "Dense urban blocks in the center", "central", False),
        ("distribution", "Built-up zones throughout the image", "uniform", False),
        ("distribution", "Hills in the north, no urban zones", "none", False),
        ("distribution", "Forest covers the image", None, False),
        ("distribution", "Dense industrial buildings in most areas", "uniform", False),
        ("distribution", "Urban area dominates center and right", "central", False),
        ("distribution", "Central water body with built-up zones on both flanks", None, False),
        ("distribution", "Forest throughout, no clear separation of artificial zones", None, False),
        ("functionality", "Mixed urban area with potential for industrial uses", "mixed_urban", True),
        ("functionality", "Urban and suburban mixed-use area", "mixed_urban", False),
        ("functionality", "Urban area, mainly residential or mixed-use", "residential", False),
        ("layout", "Homogeneous, unorganized scene", "irregular", False),
        ("layout", "Complex natural hills in the upper left", None, False),
        ("boundary", "Moderately clear, gradual transition", "gradual", False),
        ("boundary", "No clear separation of areas", "none", False),
        ("building", "Clusters of buildings densely packed in the center", "dense", False),
        ("building", "No clear concentration of buildings; likely very sparse or absent", "sparse", True),
        ("road", "Linear features consistent with road networks", None, True),
        ("road", "Possible farm roads, but no prominent highways", None, True),
        ("road", "Major routes interspersed among building blocks", "highway", False),
        ("road", "Multiple linear corridors indicate main roads", "highway", False),
        ("road", "Roads divide the city into blocks", "grid", False),
        ("water", "No large water bodies; some minor water features remain", None, False),
    ],
)
def test_statements_negations_and_hedges_are_told_apart(clause, text, value, hedged):
    assert read_clause(clause, text) == (value, hedged)


def test_records_need_their_keys():
    with pytest.raises(SchemaError, match="no text under 'Water'"):
        parse_fusar_record({key: "plain" for key in FUSAR_KEYS if key != "Water"})
    with pytest.raises(SchemaError, match="landform clauses only"):
        read_clause("target_count", "three ships")


def test_a_record_becomes_an_annotation_that_keeps_its_text():
    record = {"image_id": 3, **dict.fromkeys(FUSAR_KEYS, "A plain with a possible river")}
    annotation = parse_fusar_record(record)
    assert set(annotation.texts.values()) == {"A plain with a possible river"}
    assert annotation.values["terrain"] == "plain"
    assert annotation.values["water"] == "channel"
    assert "water" in annotation.hedged
    assert "layout" not in annotation.values
    assert set(annotation.texts) == set(FUSAR_KEYS.values())


def test_shares_count_records():
    records = [
        dict.fromkeys(FUSAR_KEYS, text) for text in ("A wide river", "Possibly a lake", "Moist soil", "No water")
    ]
    water = clause_shares(records)["water"]
    assert (water.records, water.mapped, water.hedged) == (4, 0.75, 0.25)
    with pytest.raises(SchemaError, match="no records"):
        clause_shares([])
    with pytest.raises(SchemaError, match="not a list"):
        clause_shares([[]])


def test_the_whole_sample_parses():
    if not SAMPLE.exists():
        pytest.skip(
            "the FUSAR-KLIP sample is not here: expected ../shared/hcot/fusar_klip_sample_1000.json "
            "beside the repository"
        )
    records = json.loads(SAMPLE.read_text(encoding="utf-8"))
    assert len(records) == 1000
    for record in records:
        annotation = parse_fusar_record(record)
        assert annotation.texts == {clause: record[key] for key, clause in FUSAR_KEYS.items()}
        assert all(value in VOCABULARY[clause] for clause, value in annotation.values.items())
    mapped = {clause: share.mapped for clause, share in clause_shares(records).items()}
    assert set(mapped) == set(FUSAR_KEYS.values())
    assert min(mapped.values()) > 0.7
    assert sum(mapped.values()) / len(mapped) > 0.9
