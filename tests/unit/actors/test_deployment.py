"""A deployment of captioners, without a cluster."""

from types import SimpleNamespace

import pytest
import ray
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError

from actors.captioner.deployment import DEATHS_PER_REQUEST, CaptionerFailed, Deployment


@pytest.mark.parametrize(
    "error", [RayActorError(), ObjectLostError("ab", None, "here")], ids=["replica died", "answer lost"]
)
@pytest.mark.parametrize("times", [DEATHS_PER_REQUEST - 1, DEATHS_PER_REQUEST])
def test_a_request_is_sent_again_but_not_for_ever(monkeypatch, error, times):
    deployment = Deployment.__new__(Deployment)
    deployment.handle = None
    monkeypatch.setattr(deployment, "wait_until_running", lambda: None)
    outcomes, sent = [error] * times + ["answer"], []

    def result():
        if isinstance(outcome := outcomes.pop(0), Exception):
            raise outcome
        return outcome

    pending = deployment.call(lambda handle: sent.append(handle) or SimpleNamespace(result=result))
    if times < DEATHS_PER_REQUEST:
        assert pending.result() == "answer"
        assert len(sent) == times + 1
    else:
        with pytest.raises(CaptionerFailed, match="3 captioner replicas died"):
            pending.result()


def test_without_a_cluster_there_is_nothing_to_shut_down(monkeypatch):
    """Serve would start a cluster of its own to look there."""
    deployment = Deployment.__new__(Deployment)
    deployment._application = "captioner"
    monkeypatch.setattr(serve, "delete", lambda *_, **__: pytest.fail("Serve was asked"))
    deployment.shutdown(wait=False)
    assert not ray.is_initialized()
