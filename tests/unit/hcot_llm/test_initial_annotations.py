"""Initial annotations: as wrong as intended, and always the same."""

import numpy as np
import pyarrow as pa
import pytest

from hcot_llm.initial.annotations import (
    INITIAL_SCHEMA,
    expected_accuracy,
    geography_annotations,
    truth_values,
)
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.confusion import confusion
from hcot_llm.initial.corruption import corrupt, row_confidence
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import HEDGE
from support.hcot import CLAUSES, HCOT, NO_TARGETS, SHIPS_IN_PORT, TARGET_CLAUSES, VOCABULARY

AIRCRAFT = dict(
    zip(
        CLAUSES,
        (
            "plain",
            "airport",
            "linear",
            "regular",
            "sharp",
            "sparse",
            "highway",
            "none",
            "4",
            "center",
            "point",
            "small",
            "aircraft",
            "line",
            "apron",
            "pavement",
        ),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def truth():
    """600 tiles: 55 % empty, 30 % with ships, 15 % with aircraft."""
    kinds = [SHIPS_IN_PORT | NO_TARGETS] * 11 + [SHIPS_IN_PORT] * 6 + [AIRCRAFT] * 3
    return {f"tile-{index:04d}": kinds[index % 20] for index in range(600)}


HEDGING = CorruptionConfig(share_hedged_when_right=0.1, share_hedged_when_wrong=0.5)


def varied_truth(tiles):
    """Scenes of all kinds, with the shares of ships and aircraft that the rates assume."""
    generator = np.random.default_rng(1)
    landform = [clause for clause in CLAUSES if clause not in TARGET_CLAUSES]
    targets = {"ship": SHIPS_IN_PORT, "aircraft": AIRCRAFT, "none": SHIPS_IN_PORT | NO_TARGETS}
    drawn = {clause: generator.integers(len(VOCABULARY[clause]), size=tiles) for clause in landform}
    categories = generator.choice(["ship", "aircraft", "none"], tiles, p=[0.30, 0.15, 0.55])
    return {
        f"tile-{index:05d}": {
            clause: VOCABULARY[clause][drawn[clause][index]] if clause in drawn else targets[category][clause]
            for clause in CLAUSES
        }
        for index, category in enumerate(categories)
    }


def rightness(table, truth):
    """Whether each row of a table of initial annotations is right, bool [rows]."""
    return np.asarray(
        [
            value == truth[tile][clause]
            for tile, clause, value in zip(
                *(table[name].to_pylist() for name in ("tile_id", "clause", "value")), strict=True
            )
        ]
    )


def by_tile(table):
    """Per tile (value, text) of all clauses."""
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["tile_id"], []).append((row["value"], row["text"]))
    return found


def accuracy(table, truth, clauses=CLAUSES, tiles=None):
    rows = [row for row in table.to_pylist() if row["clause"] in clauses and (tiles is None or row["tile_id"] in tiles)]
    return np.mean([row["value"] == truth[row["tile_id"]][row["clause"]] for row in rows])


def test_errors_are_as_frequent_as_the_paper_says(truth):
    table = corrupt(HCOT, truth, CorruptionConfig(), seed=3)
    assert table.schema == INITIAL_SCHEMA
    assert table.num_rows == 16 * len(truth)
    assert accuracy(table, truth) == pytest.approx(0.80, abs=0.015)
    for category, low, high in (("ship", 0.74, 0.89), ("aircraft", 0.65, 0.81)):
        tiles = {tile for tile, values in truth.items() if values["target_category"] == category}
        assert low < accuracy(table, truth, TARGET_CLAUSES, tiles) < high
    for clause in CLAUSES:
        assert accuracy(table, truth, [clause]) == pytest.approx(expected_accuracy(HCOT, clause), abs=0.07)
    assert all(0.79 <= expected_accuracy(HCOT, clause) <= 0.90 for clause in CLAUSES if clause not in TARGET_CLAUSES)


def test_text_says_the_value_and_confidence_knows_only_the_hedge(truth):
    table = corrupt(HCOT, truth, HEDGING, seed=3)
    confidence = {}
    for row in table.slice(0, 1600).to_pylist():
        assert HCOT.sentences[row["text"].removeprefix(HEDGE)] == (row["clause"], row["value"])
        kind = row["clause"], row["text"].startswith(HEDGE)
        assert confidence.setdefault(kind, row["confidence"]) == row["confidence"]
    assert all(confidence[clause, True] < confidence[clause, False] for clause in CLAUSES)


def test_hedges_are_as_frequent_as_declared(truth):
    table = corrupt(HCOT, truth, HEDGING, seed=3)
    right = rightness(table, truth)
    hedged = np.asarray([text.startswith(HEDGE) for text in table["text"].to_pylist()])
    assert hedged[right].mean() == pytest.approx(HEDGING.share_hedged_when_right, abs=0.015)
    assert hedged[~right].mean() == pytest.approx(HEDGING.share_hedged_when_wrong, abs=0.03)


def test_hedges_do_not_change_what_is_said(truth):
    plain, hedging = corrupt(HCOT, truth, CorruptionConfig(), seed=3), corrupt(HCOT, truth, HEDGING, seed=3)
    assert plain["value"].equals(hedging["value"])
    assert plain["text"].to_pylist() == [text.removeprefix(HEDGE) for text in hedging["text"].to_pylist()]
    assert not any(text.startswith(HEDGE) for text in plain["text"].to_pylist())


def test_a_hedge_that_right_and_wrong_share_says_nothing(truth):
    table = corrupt(HCOT, truth, CorruptionConfig(share_hedged_when_right=0.3, share_hedged_when_wrong=0.3), seed=3)
    plain = corrupt(HCOT, truth, CorruptionConfig(), seed=3)
    np.testing.assert_allclose(table["confidence"].to_numpy(), plain["confidence"].to_numpy(), rtol=1e-6)


def test_row_confidence_is_bayes_rule():
    config = CorruptionConfig(share_hedged_when_right=0.1, share_hedged_when_wrong=0.4)
    assert row_confidence(0.8, config, 0.5, hedged=True) == pytest.approx(0.08 / 0.16)
    assert row_confidence(0.8, config, 0.5, hedged=False) == pytest.approx(0.72 / 0.84)
    mixed = config.model_copy(update={"share_whole_image": 0.2})
    assert row_confidence(0.8, mixed, 0.5, hedged=True) == pytest.approx(0.8 * 0.5 + 0.2 * 0.5)
    sure = CorruptionConfig(share_hedged_when_right=0.0, share_hedged_when_wrong=1.0)
    assert row_confidence(0.8, sure, 0.5, hedged=True) == 0.0
    assert row_confidence(0.8, sure, 0.5, hedged=False) == 1.0
    assert row_confidence(1.0, sure, 0.5, hedged=True) == 1.0, "no clause is hedged, so the question does not arise"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"share_hedged_when_right": 0.1, "share_hedged_when_wrong": 0.4},
        {"share_whole_image": 0.05},
        {"share_whole_image": 0.05, "share_hedged_when_right": 0.1, "share_hedged_when_wrong": 0.4},
        {"share_whole_image": 0.3, "share_hedged_when_right": 0.05, "share_hedged_when_wrong": 0.8, "error_scale": 0.5},
    ],
)
def test_confidence_is_calibrated(changes):
    """Of the rows that carry a confidence, that share is right, by clause and with and without a hedge."""
    truth = varied_truth(3000)
    table = corrupt(HCOT, truth, CorruptionConfig(**changes), seed=9)
    right, confidence = rightness(table, truth), table["confidence"].to_numpy()
    hedged = np.asarray([text.startswith(HEDGE) for text in table["text"].to_pylist()])
    clause = np.asarray(table["clause"].to_pylist())
    groups = 0
    for name in CLAUSES:
        for doubt in {False, bool(hedged.any())}:
            rows = (clause == name) & (hedged == doubt)
            [stated] = set(confidence[rows].tolist())
            # Four standard errors, and what the assumed shares of ships and aircraft may be off.
            tolerance = 4 * np.sqrt(0.25 / rows.sum()) + 0.01
            assert right[rows].mean() == pytest.approx(stated, abs=tolerance), (name, doubt)
            groups += 1
    assert groups == len(CLAUSES) * (1 + bool(hedged.any()))
    assert right.mean() == pytest.approx(confidence.mean(), abs=0.01)


def test_hedged_rows_are_worse_by_as_much_as_they_say():
    """Calibration above would also pass if a hedge said nothing: it does not."""
    truth = varied_truth(1000)
    table = corrupt(HCOT, truth, HEDGING, seed=9)
    hedged = np.asarray([text.startswith(HEDGE) for text in table["text"].to_pylist()])
    assert rightness(table, truth)[~hedged].mean() - rightness(table, truth)[hedged].mean() > 0.3


def test_a_tile_does_not_depend_on_the_others(truth):
    whole = corrupt(HCOT, truth, CorruptionConfig(), seed=3)
    assert whole.equals(corrupt(HCOT, dict(reversed(truth.items())), CorruptionConfig(), seed=3))
    part = {tile: truth[tile] for tile in list(truth)[5:9]}
    rows = [row for row in whole.to_pylist() if row["tile_id"] in part]
    assert corrupt(HCOT, part, CorruptionConfig(), seed=3).to_pylist() == rows
    assert not whole.equals(corrupt(HCOT, truth, CorruptionConfig(), seed=4))


def test_no_errors_gives_the_truth(truth):
    assert accuracy(corrupt(HCOT, truth, CorruptionConfig(error_scale=0.0), seed=0), truth) == 1.0


def test_whole_image_errors_keep_all_clauses_of_another_tile_together(truth):
    """A tile carries its own annotation or, whole, what was written on another: values, texts, hedges, confidence."""
    own = by_tile(corrupt(HCOT, truth, HEDGING, seed=5))
    mixed = by_tile(corrupt(HCOT, truth, HEDGING.model_copy(update={"share_whole_image": 0.2}), seed=5))
    source = {tuple(annotation): tile for tile, annotation in own.items()}
    moved = [tile for tile in truth if mixed[tile] != own[tile]]
    assert len(moved) / len(truth) == pytest.approx(0.2, abs=0.05)
    assert all(tuple(mixed[tile]) in source for tile in truth)
    values = {tile: [value for value, _ in annotation] for tile, annotation in mixed.items()}
    wrong = [
        np.mean([said != truth[tile][clause] for said, clause in zip(values[tile], CLAUSES, strict=True)])
        for tile in moved
    ]
    assert np.mean(wrong) > 0.3


def test_a_lone_tile_has_no_whole_image_errors():
    table = corrupt(HCOT, {"t": SHIPS_IN_PORT}, CorruptionConfig(error_scale=0.0, share_whole_image=0.99), seed=0)
    assert table["value"].to_pylist() == list(SHIPS_IN_PORT.values())


def test_invented_and_missed_targets_are_whole(truth):
    config = CorruptionConfig(share_invented=0.15, share_missed=0.15)
    table = corrupt(HCOT, truth, config, seed=1)
    count = {row["tile_id"]: row for row in table.to_pylist() if row["clause"] == "target_count"}
    empty = [tile for tile, values in truth.items() if values["target_count"] == "0"]
    assert np.mean([count[tile]["value"] != "0" for tile in empty]) == pytest.approx(0.22, abs=0.06)


@pytest.mark.parametrize("clause", CLAUSES)
def test_confusions_are_distributions_over_wrong_values(clause):
    for value in VOCABULARY[clause]:
        options = confusion(HCOT, clause, value)
        assert value not in options
        assert set(options) <= set(VOCABULARY[clause])
        assert sum(options.values()) == pytest.approx(1.0)


def test_random_errors_are_any_other_value_and_as_frequent(truth):
    """Without structure in the errors; how many there are, and in which clauses of which tiles, stays."""
    alike, random = (
        corrupt(HCOT, truth, CorruptionConfig(share_invented=0, share_missed=0, share_random=share), seed=3)
        for share in (0, 1)
    )
    assert (rightness(alike, truth) == rightness(random, truth)).all()

    def said(table):
        # The true value is "sea", "none" is what it is seldom taken for.
        found = [
            row["value"]
            for row in table.to_pylist()
            if row["clause"] == "water" and truth[row["tile_id"]]["water"] == "sea" and row["value"] != "sea"
        ]
        return {value: found.count(value) / len(found) for value in ("none", "channel", "lake")}

    assert said(alike)["lake"] > 0.6
    assert all(share == pytest.approx(1 / 3, abs=0.15) for share in said(random).values())


def test_counts_are_off_by_one_and_locations_by_one_cell():
    counts = confusion(HCOT, "target_count", "4")
    assert counts["3"] == counts["5"] == max(counts.values())
    places = confusion(HCOT, "target_location", "northwest")
    assert {place for place, p in places.items() if p > 0.1} == {"north", "west", "center"}


def test_truth_values_checks_the_facts():
    row = {str(clause): value for clause, value in SHIPS_IN_PORT.items()} | {"tile_id": "t", "scene": "{}"}
    assert truth_values(HCOT, row) == SHIPS_IN_PORT
    with pytest.raises(SchemaError, match="lack: water"):
        truth_values(HCOT, {key: value for key, value in row.items() if key != "water"})
    with pytest.raises(SchemaError, match="no value of clause 'water'"):
        truth_values(HCOT, row | {"water": "ocean"})


def test_annotations_from_geography_follow_the_map():
    tiles = pa.table({"tile_id": ["b", "a"], "lon": [-118.25, -119.0], "lat": [34.05, 33.2]})
    table = geography_annotations(HCOT, tiles)
    assert table.schema == INITIAL_SCHEMA
    assert table["tile_id"].to_pylist() == ["a"] * 16 + ["b"] * 16
    assert table.equals(geography_annotations(HCOT, tiles))
    assert dict(zip(table["clause"].to_pylist()[:16], table["value"].to_pylist()[:16], strict=True))["water"] == "sea"
