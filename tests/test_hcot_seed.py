"""Seed annotations: as wrong as intended, and always the same."""

import numpy as np
import pyarrow as pa
import pytest

from hcot_llm.confusions import confusion
from hcot_llm.render import is_hedged, parse_clause
from hcot_llm.schema import CLAUSES, NO_TARGETS, TARGET_CLAUSES, VOCABULARY, Clause, SchemaError
from hcot_llm.seed import (
    SEED_SCHEMA,
    CorruptionConfig,
    corrupt,
    expected_accuracy,
    geography_seed,
    truth_values,
)

SHIPS = dict(zip(CLAUSES, (
    "coast", "port", "peripheral", "regular", "sharp", "sparse", "sparse", "sea",
    "2", "west", "extended", "medium", "ship", "cluster", "harbour", "calm_water"), strict=True))
AIRCRAFT = dict(zip(CLAUSES, (
    "plain", "airport", "linear", "regular", "sharp", "sparse", "highway", "none",
    "4", "center", "point", "small", "aircraft", "line", "apron", "pavement"), strict=True))


@pytest.fixture(scope="module")
def truth():
    """600 tiles: 55 % empty, 30 % with ships, 15 % with aircraft."""
    kinds = [SHIPS | NO_TARGETS] * 11 + [SHIPS] * 6 + [AIRCRAFT] * 3
    return {f"tile-{index:04d}": kinds[index % 20] for index in range(600)}


def accuracy(table, truth, clauses=CLAUSES, tiles=None):
    rows = [row for row in table.to_pylist() if row["clause"] in clauses
            and (tiles is None or row["tile_id"] in tiles)]
    return np.mean([row["value"] == truth[row["tile_id"]][Clause(row["clause"])] for row in rows])


def test_rates_of_the_paper(truth):
    table = corrupt(truth, CorruptionConfig(), seed=3)
    assert table.schema == SEED_SCHEMA and table.num_rows == 16 * len(truth)
    assert accuracy(table, truth) == pytest.approx(0.80, abs=0.015)
    for category, low, high in (("ship", 0.74, 0.89), ("aircraft", 0.65, 0.81)):
        tiles = {tile for tile, values in truth.items() if values[Clause.TARGET_CATEGORY] == category}
        assert low < accuracy(table, truth, TARGET_CLAUSES, tiles) < high
    for clause in CLAUSES:
        assert accuracy(table, truth, [clause]) == pytest.approx(expected_accuracy(clause), abs=0.07)
    assert all(0.79 <= expected_accuracy(clause) <= 0.90 for clause in CLAUSES
               if clause not in TARGET_CLAUSES)


def test_text_says_the_value_and_confidence_knows_nothing_of_the_truth(truth):
    table = corrupt(truth, CorruptionConfig(share_hedged=0.3), seed=3)
    confidence = {}
    for row in table.slice(0, 1600).to_pylist():
        assert parse_clause(row["text"]) == (row["clause"], row["value"])
        assert confidence.setdefault(row["clause"], row["confidence"]) == row["confidence"]
    hedged = np.mean([is_hedged(text) for text in table["text"].to_pylist()])
    assert hedged == pytest.approx(0.3, abs=0.03)


def test_a_tile_does_not_depend_on_the_others(truth):
    whole = corrupt(truth, CorruptionConfig(), seed=3)
    assert whole.equals(corrupt(dict(reversed(truth.items())), CorruptionConfig(), seed=3))
    part = {tile: truth[tile] for tile in list(truth)[5:9]}
    rows = [row for row in whole.to_pylist() if row["tile_id"] in part]
    assert corrupt(part, CorruptionConfig(), seed=3).to_pylist() == rows
    assert not whole.equals(corrupt(truth, CorruptionConfig(), seed=4))


def test_no_errors_gives_the_truth(truth):
    assert accuracy(corrupt(truth, CorruptionConfig(error_scale=0.0), seed=0), truth) == 1.0


def test_whole_image_errors():
    truth = {f"t{index}": SHIPS if index % 2 else AIRCRAFT for index in range(40)}
    table = corrupt(truth, CorruptionConfig(error_scale=0.0, share_whole_image=1.0), seed=0)
    values = {tile: {} for tile in truth}
    for row in table.to_pylist():
        values[row["tile_id"]][Clause(row["clause"])] = row["value"]
    assert all(annotation in (SHIPS, AIRCRAFT) for annotation in values.values())
    assert any(values[tile] != truth[tile] for tile in truth)


def test_invented_and_missed_targets_are_whole(truth):
    config = CorruptionConfig(share_invented=0.15, share_missed=0.15)
    table = corrupt(truth, config, seed=1)
    count = {row["tile_id"]: row for row in table.to_pylist() if row["clause"] == "target_count"}
    empty = [tile for tile, values in truth.items() if values[Clause.TARGET_COUNT] == "0"]
    assert np.mean([count[tile]["value"] != "0" for tile in empty]) == pytest.approx(0.22, abs=0.06)


@pytest.mark.parametrize("clause", CLAUSES)
def test_confusions_are_distributions_over_wrong_values(clause):
    for value in VOCABULARY[clause]:
        options = confusion(clause, value)
        assert value not in options and set(options) <= set(VOCABULARY[clause])
        assert sum(options.values()) == pytest.approx(1.0)


def test_counts_are_off_by_one_and_locations_by_one_cell():
    counts = confusion(Clause.TARGET_COUNT, "4")
    assert counts["3"] == counts["5"] == max(counts.values())
    places = confusion(Clause.TARGET_LOCATION, "northwest")
    assert {place for place, p in places.items() if p > 0.1} == {"north", "west", "center"}


def test_truth_values_checks_the_facts():
    row = {str(clause): value for clause, value in SHIPS.items()} | {"tile_id": "t", "scene": "{}"}
    assert truth_values(row) == SHIPS
    with pytest.raises(SchemaError, match="lack: water"):
        truth_values({key: value for key, value in row.items() if key != "water"})
    with pytest.raises(SchemaError, match="no value of clause 'water'"):
        truth_values(row | {"water": "ocean"})


def test_geography_seed():
    tiles = pa.table({"tile_id": ["b", "a"], "lon": [-118.25, -119.0], "lat": [34.05, 33.2]})
    table = geography_seed(tiles)
    assert table.schema == SEED_SCHEMA and table["tile_id"].to_pylist() == ["a"] * 16 + ["b"] * 16
    assert table.equals(geography_seed(tiles))
    assert dict(zip(table["clause"].to_pylist()[:16], table["value"].to_pylist()[:16],
                    strict=True))["water"] == "sea"
