"""A sample of a round's repairs as MLflow traces, in a real SQLite store."""

import io
import json
import os

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from corpus.storage.rng import derive_seed
from orchestrator.report.repairs import sample_repairs
from orchestrator.report.story import read_story
from orchestrator.state.evidence import read_evidence
from orchestrator.tracking.base import Repair
from orchestrator.tracking.mlflow_store import local_uri
from support.trackers import tracker_in, waiting


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def story(made):
    return read_story(made.path)


def sampled(story, count: int, round_: int = 1, seed: int = 0) -> list[Repair]:
    path = story.directory.evidence(round_)
    states, corpus = story.states, story.corpus
    return sample_repairs(
        lambda tile_ids: read_evidence(path, story.schema, tile_ids),
        states[0],
        states[round_ - 1],
        states[round_],
        corpus.tiles,
        corpus.folder,
        count=count,
        seed=seed,
    )


def traces_of(run_dir, run_id: str | None) -> list:
    client = MlflowClient(local_uri(run_dir))
    experiment = client.get_experiment_by_name("e").experiment_id
    found = client.search_traces(locations=[experiment], run_id=run_id)
    return sorted(found, key=lambda trace: trace.info.request_time)


def test_the_sample_is_drawn_from_what_changed_and_says_what_the_gallery_says(story):
    changed = {
        (tile, clause)
        for tile in story.states[0].tile_ids
        for clause, before, after in zip(
            story.schema.names,
            story.states[0].values[story.states[0].row_of[tile]],
            story.states[1].values[story.states[1].row_of[tile]],
            strict=True,
        )
        if before != after
    }
    everything = sampled(story, 10_000)
    assert {(each.tile_id, each.clause) for each in everything} == changed
    for each in everything[:20]:
        step = story.steps(each.tile_id, each.clause)[1]
        assert (each.value, each.source, each.why) == (step.value, step.source, step.why)
        assert each.sayings.keys() == {saying.source for saying in step.sayings}
        assert each.before == story.steps(each.tile_id, each.clause)[0].value != each.value


def test_the_sample_depends_on_the_seed_alone_and_none_is_none(story):
    first, again, other = (sampled(story, 8, seed=derive_seed(7, number, "traces")) for number in (1, 1, 2))
    assert first == again
    assert [(each.tile_id, each.clause) for each in first] != [(each.tile_id, each.clause) for each in other]
    assert len(first) == 8
    assert sampled(story, 0) == []


def test_a_picture_shows_the_tile_and_one_that_cannot_be_read_is_missing(story, tmp_path):
    [repair] = sampled(story, 1)
    assert np.asarray(Image.open(io.BytesIO(repair.picture))).std() > 5
    states, corpus = story.states, story.corpus
    [blind] = sample_repairs(
        lambda _: story.evidence[0], states[0], *states[:2], corpus.tiles, tmp_path, count=1, seed=0
    )
    assert blind.picture is None
    assert blind.value == repair.value


def test_a_repair_is_a_trace_of_its_round_and_of_the_run_with_picture_sources_rules_and_decision(story, tmp_path):
    repairs = sampled(story, 3)
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with tracker.round(1) as child:
        tracker.log_repairs(child, repairs)
    tracker.finish("finished")
    of_round = traces_of(tmp_path, child.run_id)
    assert len(of_round) == 3
    assert [each.info.trace_id for each in traces_of(tmp_path, tracker.run_id())] == [
        each.info.trace_id for each in of_round
    ]
    for trace, repair in zip(of_round, repairs, strict=True):
        assert trace.info.tags["knowlip.tile"] == repair.tile_id
        assert trace.info.request_preview == f"{repair.clause} was {repair.before}, tile {repair.tile_id}"
        assert repair.why in trace.info.response_preview
        root, *children = trace.data.spans
        assert [each.name for each in children] == [*repair.sayings, "decision"]
        assert {each.parent_id for each in children} == {root.span_id}
        picture = root.inputs["messages"][0]["content"][1]["image_url"]["url"]
        assert picture.startswith("data:image/jpeg;base64,")
        spans = {each.name: each for each in children}
        assert spans["encoder"].inputs == {"weight": repair.sayings["encoder"]["weight"]}
        assert spans["rules"].outputs["value"] == repair.sayings["rules"]["value"]
        assert spans["decision"].outputs["why"] == repair.why
        json.dumps(trace.to_dict(), allow_nan=False)


def test_repairs_that_are_told_and_delivered_twice_are_entered_once(story, tmp_path):
    repairs = sampled(story, 4)
    tracker = tracker_in(tmp_path)
    tracker.start({})
    for _ in range(2):  # the round was interrupted, and runs again
        with tracker.round(1) as child:
            tracker.log_repairs(child, repairs)
    once = [each.info.trace_id for each in traces_of(tmp_path, child.run_id)]
    assert len(once) == 4
    tracker._outbox.begin_again()
    tracker.finish("finished")
    assert waiting(tmp_path) == 0
    again = traces_of(tmp_path, child.run_id)
    assert [each.info.trace_id for each in again] == once
    assert [len(each.data.spans) for each in again] == [len(each.sayings) + 2 for each in repairs]


def test_no_repairs_are_no_entry(tmp_path):
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with tracker.round(1) as child:
        before = len(tracker._outbox.entries())
        tracker.log_repairs(child, [])
        assert len(tracker._outbox.entries()) == before


def test_repairs_wait_with_their_pictures_while_the_server_is_away(story, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with tracker.round(1) as child:
        tracker.log_repairs(child, sampled(story, 2))
    tracker.finish("finished")
    entries = tracker._outbox.entries()
    assert [entry.kind for entry in entries].count("repairs") == 1
    assert waiting(tmp_path) == len(entries)
    assert os.path.getsize(tmp_path / "mlflow_outbox.db") > sum(len(each.picture) for each in sampled(story, 2))
