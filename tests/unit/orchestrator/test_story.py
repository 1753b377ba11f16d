"""What became of annotations: who said what in which round, what changed between two rounds, and where."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from orchestrator.report.difference import compare_rounds
from orchestrator.report.history import print_history
from orchestrator.report.places import sites_of
from orchestrator.report.story import UnknownInRun, read_story
from orchestrator.state.evidence import evidence_table, read_evidence, write_evidence
from support.unguarded import unguarded

CHANGES = ("The captioner proposed", "The captioner answered", "The captioner held", "It went back")


@pytest.fixture(scope="module")
def story(made):
    return read_story(made.path)


def test_evidence_is_read_as_it_was_written(story, tmp_path):
    evidence = story.evidence[0]
    path = tmp_path / "round-0001.parquet"
    write_evidence(path, [evidence_table(evidence)], unguarded(tmp_path).writer)
    again = read_evidence(path, story.schema)
    assert evidence_table(again).equals(evidence_table(evidence), check_metadata=True)
    np.testing.assert_array_equal(again.proposed, evidence.proposed)
    assert np.isnan(again.distributions["captioner"]["road"]).any(), "clauses that were not asked have no answer"
    assert (again.proposed != NOT_PROPOSED).any()
    assert path.stat().st_size < 100 * len(evidence.tile_ids) * len(story.schema)


def test_a_step_says_what_each_source_holds_and_how_probable_the_kept_value_is(made, story):
    changed = np.argwhere(story.states[0].values != story.states[1].values)
    row, column = changed[0]
    tile, clause = story.states[0].tile_ids[row], story.schema.names[column]
    first, after, _ = story.steps(tile, clause)
    assert first.round == 0
    assert first.why.startswith("Initial annotation")
    said = {each.source: each for each in after.sayings}
    assert {"initial", "encoder", "captioner", "neighbours", "rules"} <= set(said)
    evidence = story.evidence[0]
    kept = story.schema.value_index[clause][after.value]
    assert said["encoder"].of_kept == pytest.approx(evidence.distributions["encoder"][clause][row][kept])
    assert said["encoder"].weight == evidence.weights.source_weights[clause][0]
    assert said["initial"].value == first.value
    assert after.confidence == pytest.approx(said["rules"].of_kept, abs=1e-3)
    assert f"{first.value} " in after.why
    assert f"{after.confidence:.2f} probable" in after.why


def test_every_clause_of_every_round_has_a_reason_that_fits_what_happened(story):
    for row, tile in enumerate(story.states[0].tile_ids):
        for column, clause in enumerate(story.schema.names):
            for step, before in zip(story.steps(tile, clause)[1:], story.steps(tile, clause), strict=False):
                flags = {name: each[row, column] for name, each in story.evidence[step.round - 1].flags.items()}
                changed = step.value != before.value
                assert changed == flags["accepted"]
                assert step.why.startswith(CHANGES) == changed
                if not changed and story.splits[tile] == "train" and not flags["flagged"]:
                    assert step.why.startswith("Not flagged")


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_cuts_no_probability_of_a_history(made, story, width):
    tile = story.states[0].tile_ids[0]
    for clause in ("road", None):
        console = Console(width=width, file=io.StringIO())
        print_history(made.path, tile, clause, console)
        out = console.file.getvalue()
        names = ("road",) if clause else story.schema.names
        steps = [story.steps(tile, name) for name in names]
        shown = [each for said in steps for each in (said if clause else said[-1:])]
        for step in shown:
            assert f" {step.confidence:.2f}" in out
        said_by_sources = {f"{each.probability:.2f}" for step in shown for each in step.sayings if clause}
        assert all(each in out for each in said_by_sources if each != "nan")
        if clause:
            assert "…" not in out


def test_history_is_printed_for_a_tile_and_for_a_clause_and_as_json(made, story, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    tile = story.states[0].tile_ids[0]
    status, out, _ = call("history", made.path, tile)
    assert status == 0
    assert "terrain" in out
    assert "[bold]" not in out
    status, out, _ = call("history", made.path, tile, "road")
    assert status == 0
    assert "[bold]" not in out
    assert "round 2:" in out
    status, out, _ = call("history", made.path, tile, "road", "--json")
    found = json.loads(out)
    assert [step["round"] for step in found["clauses"]["road"]] == [0, 1, 2]
    assert set(found["clauses"]["road"][1]["sources"]) >= {"initial", "encoder", "rules"}


def test_an_unknown_tile_or_clause_is_answered_with_the_nearest(made, story, call):
    tile = story.states[0].tile_ids[0]
    status, _, error = call("history", made.path, f"{tile}x")
    assert status == 2
    assert f"Did you mean '{tile}'?" in " ".join(error.split())
    status, _, error = call("history", made.path, tile, "raod")
    assert status == 2
    assert "Did you mean 'road'?" in " ".join(error.split())


def test_a_round_without_evidence_still_tells_values(made, story, monkeypatch):
    tile = story.states[0].tile_ids[0]
    blind = dataclasses.replace(story, evidence=(None, None))
    steps = blind.steps(tile, "road")
    assert [step.value for step in steps] == [step.value for step in story.steps(tile, "road")]
    assert "no file of evidence" in steps[1].why


def test_the_difference_of_two_rounds_counts_every_change_once(story):
    found = compare_rounds(story, 0, 2)
    differs = story.states[0].values != story.states[2].values
    assert found.as_json()["changed_clauses"] == differs.sum() > 0
    assert sum(sum(each.values()) for each in found.transitions.values()) == differs.sum()
    assert sum(map(len, found.as_json()["by_tile"].values())) == differs.sum()
    assert compare_rounds(story, 1, 1).as_json()["changed_clauses"] == 0
    with pytest.raises(UnknownInRun, match="has no round 7: it has 0 .* to 2"):
        compare_rounds(story, 0, 7)


def test_diff_prints_a_table_and_draws_a_map(made, call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = call("diff", made.path, 0, 2, "--picture", tmp_path / "map.png")
    assert status == 0
    assert "Changed most" in out
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 1000
    status, out, _ = call("diff", made.path, 0, 2, "--json")
    assert json.loads(out)["rounds"] == [0, 2]


def test_tiles_of_one_place_make_one_site_and_keep_their_size(made):
    wanted = set(made.prepared.tiles["tile_id"].to_pylist())
    sites = sites_of(made.prepared.tiles, wanted)
    assert sum(len(site.outlines) for site in sites) == len(wanted)
    assert 1 < len(sites) <= len(set(made.prepared.tiles["city"].to_pylist())) + 1
    rows = {row["tile_id"]: row for row in made.prepared.tiles.to_pylist()}
    for site in sites:
        for tile, corners in site.outlines.items():
            side = np.linalg.norm(corners[1] - corners[0])
            assert side == pytest.approx(rows[tile]["width"] * rows[tile]["gsd_m"] / 1000, rel=0.02)
