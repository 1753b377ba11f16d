"""Free text of language models, mapped to the schema."""

import json
from pathlib import Path

import pytest

from hcot_llm.freetext import FUSAR_KEYS, mapped_share, parse_fusar_record, read_clause
from hcot_llm.schema import VOCABULARY, Clause, SchemaError

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "hcot" / "fusar_klip_sample_1000.json"


@pytest.mark.parametrize(("clause", "text", "value", "hedged"), [
    ("water", "Water presence: None visible", "none", False),
    ("water", "No large water bodies; possible minor channels", "channel", True),
    ("water", "A wide river crosses the scene", "channel", False),
    ("water", "Rivers are not visible", "none", False),
    ("water", "Moist soil everywhere", None, False),
    ("building", "No buildings visible", "none", False),
    ("building", "Numerous, densely packed buildings; sparse in the north", "dense", False),
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
])
def test_statements_negations_and_hedges(clause, text, value, hedged):
    assert read_clause(Clause(clause), text) == (value, hedged)


def test_records_need_their_keys():
    with pytest.raises(SchemaError, match="no text under 'Water'"):
        parse_fusar_record({key: "plain" for key in FUSAR_KEYS if key != "Water"})
    with pytest.raises(SchemaError, match="landform clauses only"):
        read_clause(Clause.TARGET_COUNT, "three ships")


def test_the_whole_sample_parses():
    if not SAMPLE.exists():
        pytest.skip("the FUSAR-KLIP sample is not here: expected ../shared/hcot/fusar_klip_sample_1000.json "
                    "beside the repository")
    records = json.loads(SAMPLE.read_text(encoding="utf-8"))
    assert len(records) == 1000
    for record in records:
        annotation = parse_fusar_record(record)
        for key, clause in FUSAR_KEYS.items():
            assert annotation.text[clause] == record[key]
            assert annotation.values[clause] is None or annotation.values[clause] in VOCABULARY[clause]
    share = mapped_share(records)
    assert set(share) == set(FUSAR_KEYS.values())
    print("mapped share per clause:", {str(clause): round(value, 3) for clause, value in share.items()})
    assert min(share.values()) > 0.7 and sum(share.values()) / len(share) > 0.9
