"""Real captioner replicas behind Ray Serve: each proves the weights before it labels; more come under load."""

import json
import os
import shutil
import sys
import time
import uuid
from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray
from ray import serve

import actors.captioner.native_replica
from actors.captioner.deployment import Deployment
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.native_replica import NativeCaptioner, NativeReplica
from actors.captioner.requests import CaptionRequest
from actors.weights import load_training_model, publish_weights
from hcot_llm.engines.native import EngineConfig
from orchestrator.cluster.connect import start_local
from support.hcot import HCOT
from support.shared_training import CLAUSE, PROMPT

REQUESTS, TILES = 8, 24


class WatchedReplica(NativeReplica):
    """The captioner's replica, which also writes down what it held before a request and what it answered with."""

    def label(self, request):
        held = self._receipt and self._receipt.weights_sha256
        answers = super().label(request)
        seen = {
            "process": os.getpid(),
            "held": held,
            "queried": request.weights_sha256,
            "proven": self._receipt.weights_sha256,
            "difference": self._receipt.largest_difference,
            "may_label": self._health.may_label,
        }
        path = Path(request.weights_dir).parent / uuid.uuid4().hex
        path.write_text(json.dumps(seen))
        path.rename(path.with_suffix(".seen"))  # whole, for whoever looks meanwhile
        return answers


@pytest.fixture
def start(trained_captioner, monkeypatch):
    """start(min_replicas=..., max_replicas=...): a captioner on a cluster with room for four; returns its client."""
    start_local(num_cpus=4, object_store_memory=200 * 2**20)
    # The replicas' processes cannot import a test.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(actors.captioner.native_replica, "NativeReplica", WatchedReplica)
    clients = []

    def start_client(**bounds: int) -> NativeCaptioner:
        config = NativeCaptionerConfig(**bounds, threads_per_replica=1, engine=EngineConfig(candidates=1))
        clients.append(NativeCaptioner(config, trained_captioner.untrained_dir))
        return clients[-1]

    try:
        yield start_client
    finally:
        for client in clients:
            client.shutdown()
        ray.shutdown()


@pytest.fixture
def make_request(clean_corpus):
    """make_request(weights, weights_sha256): TILES tiles, each asked for one clause. Only once a cluster is there."""

    def make(weights: Path, weights_sha256: str) -> CaptionRequest:
        block = ray.put(
            pa.table(
                {
                    "image": [image.numpy().astype(np.float16).tobytes() for image in clean_corpus.images[:TILES]],
                    "crops": [1] * TILES,
                }
            )
        )
        return CaptionRequest(
            str(weights),
            weights_sha256,
            [block],
            [(0, row) for row in range(TILES)],
            [PROMPT] * TILES,
            [(CLAUSE,)] * TILES,
            seed=0,
        )

    return make


def values_said(answers) -> list[str | None]:
    return [candidates[0].values.get(CLAUSE) for candidates in answers]


def what_replicas_saw(weights: Path) -> list[dict]:
    """What they wrote down of requests with these weights, in the order of the writing."""
    files = sorted(weights.parent.glob("*.seen"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in files]


def test_a_replica_that_was_not_told_proves_the_weights_before_it_labels(
    start, make_request, trained_captioner, clean_corpus, tmp_path
):
    client = start(min_replicas=2, max_replicas=2)

    def label(weights: Path, weights_sha256: str):
        """Requests until both replicas had some; returns the values said, and what the replicas wrote down."""
        receipt = client.publish(weights, weights_sha256)
        assert receipt.weights_sha256 == weights_sha256
        assert receipt.largest_difference < 1e-3
        request = make_request(weights, weights_sha256)
        deadline, said, seen = time.monotonic() + 120, [], []
        while len({each["process"] for each in seen}) < 2 and time.monotonic() < deadline:
            pending = [client.submit(request) for _ in range(REQUESTS)]
            said += [values_said(each.result()) for each in pending]
            seen = what_replicas_saw(weights)
        assert len({each["process"] for each in seen}) == 2, "both replicas had their share"
        assert all(each["queried"] == each["proven"] == weights_sha256 and each["may_label"] for each in seen)
        assert all(answer == said[0] for answer in said), "whoever answers says the same"
        return said[0], seen

    untrained, tokenizer = load_training_model(trained_captioner.untrained_dir)
    first = tmp_path / "first" / "weights"
    first_sha256 = publish_weights(HCOT, first, untrained, tokenizer, clean_corpus.images[:4].numpy(), [PROMPT] * 4)
    before, seen = label(first, first_sha256)
    assert {each["held"] for each in seen} == {None, first_sha256}, "one of them was never told to publish"

    second = shutil.copytree(trained_captioner.weights_dir, tmp_path / "second" / "weights")
    after, seen = label(second, trained_captioner.weights_sha256)
    assert {each["held"] for each in seen} == {first_sha256, trained_captioner.weights_sha256}
    truth = [clean_corpus.annotations.row_values(row)[CLAUSE] for row in range(TILES)]
    right = [np.mean([one == other for one, other in zip(said, truth, strict=True)]) for said in (before, after)]
    assert right[1] > right[0] + 0.3, "what was trained is what answers"


def test_replicas_grow_to_the_upper_bound_under_load(start, make_request, trained_captioner, tmp_path):
    client = start(min_replicas=1, max_replicas=2)
    weights = shutil.copytree(trained_captioner.weights_dir, tmp_path / "round" / "weights")
    client.publish(weights, trained_captioner.weights_sha256)
    request = make_request(weights, trained_captioner.weights_sha256)

    # As many requests under way as the labeller has.
    deadline, pending, said, seen = time.monotonic() + 300, deque(), [], []
    while len({each["process"] for each in seen}) < 2 and time.monotonic() < deadline:
        pending.extend(client.submit(request) for _ in range(4 - len(pending)))
        said.append(values_said(pending.popleft().result()))
        seen = what_replicas_saw(weights)
    said += [values_said(each.result()) for each in pending]
    seen = what_replicas_saw(weights)
    processes = list(dict.fromkeys(each["process"] for each in seen))
    assert len(processes) == 2, "one more came under load"
    assert any(each["held"] is None for each in seen if each["process"] == processes[1]), "it came with no weights"
    assert all(each["queried"] == each["proven"] and each["may_label"] for each in seen), "and proved them first"
    assert all(answer == said[0] for answer in said), "whoever answers says the same"


class Named:
    """Tells whose it is."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def whose(self) -> str:
        return self._owner


@pytest.fixture
def cluster():
    start_local(num_cpus=4, object_store_memory=200 * 2**20)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    serve.shutdown()
    ray.shutdown()


def test_runs_that_share_a_cluster_have_a_captioner_each(cluster):
    config = NativeCaptionerConfig(threads_per_replica=1)

    def whose(deployment: Deployment) -> str:
        deployment.wait_until_running()
        return deployment.call(lambda handle: handle.whose.remote()).result()

    mine, other = (Deployment(Named, config, owner, owner=owner) for owner in ("mine", "other"))
    assert (whose(mine), whose(other)) == ("mine", "other")
    other.shutdown()
    assert whose(mine) == "mine"
    # What a run that was killed left is replaced by the one that goes on.
    again = Deployment(Named, config, "mine, again", owner="mine")
    assert whose(again) == "mine, again"
    assert len(serve.status().applications) == 1
    again.shutdown(wait=False)
    while serve.status().applications:
        time.sleep(0.1)
