"""The loop cannot see the truth: without it a run does the same, and cannot say how well."""

import json

import pytest


def test_without_truth_a_run_makes_the_same_corpus_and_weights(smoke_run, blind_run):
    """Over two rounds: the second begins after the truth was looked at for the first time."""
    assert not list(blind_run.data_dir.rglob("truth*"))
    assert len(blind_run.records) == len(smoke_run.records) == 2
    for seeing, blind in zip(smoke_run.records, blind_run.records, strict=True):
        assert seeing.world_size == blind.world_size, "the comparison needs groups of the same size"
        assert blind.weights_sha256 == seeing.weights_sha256
        assert blind.corpus_digest == seeing.corpus_digest
        assert blind.counts == seeing.counts
        without_truth = {name: value for name, value in blind.metrics.items() if value is not None}
        # The engine's log-probabilities are rounded in the order in which prompts happen to be batched.
        assert {name: seeing.metrics[name] for name in without_truth} == pytest.approx(without_truth, abs=1e-4)


def test_without_truth_every_accuracy_is_null(smoke_run, blind_run, call):
    for blind in blind_run.records:
        assert blind.accuracy_by_clause is None
        for name, value in blind.metrics.items():
            # The likelihood of held-out annotations needs no truth.
            if "accuracy" in name or (name.startswith("held_out") and name != "held_out_log_likelihood"):
                assert value is None, name
    assert smoke_run.records[0].metrics["annotation_accuracy"] is not None
    report = json.loads(call("report", blind_run.run_dir, "--json")[1])
    assert report["seed_accuracy"] is None
    assert report["final_accuracy"] is None
    assert report["accuracy_by_clause"] is None
    assert "no truth to compare with" in " ".join(blind_run.stdout.split())
