"""The endpoint's client over real HTTP, against a server that answers as told; test_endpoint_vllm.py has vLLM."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from actors.captioner import CaptionerConfig
from hcot_llm.endpoint import Endpoint, EndpointConfig, EndpointFailed
from hcot_llm.schema import Clause
from orchestrator.config import ConfigError, load_config
from orchestrator.errors import expected_errors
from orchestrator.preflight import needed

KEY = "sk-a-secret-that-nobody-may-read"
CLAUSES = (Clause.WATER, Clause.ROAD)
TEXT = '{"water": "lake", "road": "grid"}'
PIECES = ['{"', "water", '": "', "lake", '", "', "road", '": "', "gr", 'id"}']


def answer(text: str = TEXT, pieces: list[str] | None = None) -> dict:
    """A chat completion whose every token has probability 0.8, 'sea' 0.2 beside it."""
    content = None if pieces is None else [
        {"token": piece, "logprob": np.log(0.8), "bytes": None,
         "top_logprobs": [{"token": piece, "logprob": np.log(0.8), "bytes": None},
                          {"token": "sea", "logprob": np.log(0.2), "bytes": None}]} for piece in pieces]
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text},
                         "logprobs": None if content is None else {"content": content}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}}


@contextmanager
def server(respond):
    """A server on a free port; respond(request body, headers) -> (status, JSON). Yields (url, bodies received)."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(body)
            self.reply(*respond(body, self.headers))

        def do_GET(self):
            self.reply(200, {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]})

        def reply(self, status, content):
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", received
    finally:
        http.shutdown()
        http.server_close()


def client(url: str, **settings) -> Endpoint:
    return Endpoint(EndpointConfig(**{"url": url, "model": "m", "patience_s": 20, **settings}))


def test_an_answer_with_its_distributions():
    with server(lambda body, headers: (200, answer(pieces=PIECES))) as (url, received):
        completion = client(url).complete("What is here?", CLAUSES, None)
    assert completion.text == TEXT and completion.tokens == 9
    [body] = received
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["road", "water"] and "lake" in schema["properties"]["water"]["enum"]
    assert body["temperature"] == 0 and "seed" not in body
    water = dict(zip(("none", "channel", "lake", "sea"), completion.distributions[Clause.WATER], strict=True))
    assert water["lake"] == pytest.approx(0.8, abs=1e-3) and water["sea"] == pytest.approx(0.2, abs=1e-3)
    # 'gr' begins 'grid' alone.
    assert completion.distributions[Clause.ROAD].argmax() == 2


def test_a_token_that_does_not_tell_the_value_gives_no_distribution():
    pieces = ['{"water', '": "lake"', ', "road": "', "", 'grid"}']
    with server(lambda body, headers: (200, answer(pieces=pieces))) as (url, _):
        found = client(url).complete("", CLAUSES, None).distributions
    assert Clause.WATER not in found and Clause.ROAD not in found


def test_free_text_asks_for_no_schema_and_a_candidate_is_seeded():
    with server(lambda body, headers: (200, answer("A harbour."))) as (url, received):
        assert client(url).complete("Describe it.", (), 7).text == "A harbour."
    assert "response_format" not in received[0] and "logprobs" not in received[0]
    assert received[0]["seed"] == 7 and received[0]["temperature"] == 1.0


@pytest.mark.parametrize(("status", "times"), [(429, 1), (500, 2), (503, 1)])
def test_what_may_pass_is_asked_again(status, times):
    states = [status] * times
    with server(lambda body, headers: (states.pop(), {"error": {"message": "busy"}}) if states else
                (200, answer())) as (url, received):
        assert client(url).complete("", CLAUSES, None).text == TEXT
    assert len(received) == times + 1


def test_patience_ends_with_what_to_do():
    with server(lambda body, headers: (503, {"error": {"message": f"busy with {KEY}"}})) as (url, _):
        with pytest.raises(EndpointFailed, match=r"no answer for 0.2 s .*knowlip resume") as error:
            client(url, patience_s=0.2).complete("", CLAUSES, None)
    assert isinstance(error.value, expected_errors())


def test_nobody_there_is_a_clear_error():
    with server(lambda body, headers: (200, answer())) as (url, _):
        pass
    with pytest.raises(EndpointFailed, match="gave no answer.*Start it again"):
        client(url, patience_s=0.2).check()


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_named_by_its_variable_and_never_shown(status, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    sent = []

    def refuse(body, headers):
        sent.append(headers["Authorization"])
        return status, {"error": {"message": f"Incorrect API key provided: {KEY}"}}

    with server(refuse) as (url, received):
        with pytest.raises(EndpointFailed, match="refused the key.*MY_KEY") as error:
            client(url, key_variable="MY_KEY").complete("", CLAUSES, None)
    assert sent == [f"Bearer {KEY}"] and len(received) == 1, "a refused key is not tried again"
    assert KEY not in str(error.value) and error.value.__cause__ is None and error.value.__suppress_context__


def test_a_key_in_another_refusal_is_taken_out(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with server(lambda body, headers: (400, {"error": {"message": f"bad request by {KEY}"}})) as (url, _):
        with pytest.raises(EndpointFailed, match=r"refused a request: .*\*\*\*") as error:
            client(url, key_variable="MY_KEY").complete("", CLAUSES, None)
    assert KEY not in str(error.value)


def test_the_key_of_another_service_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    sent = []
    with server(lambda body, headers: (sent.append(str(headers)), (200, answer()))[1]) as (url, _):
        client(url).complete("", CLAUSES, None)
    assert KEY not in sent[0]


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(EndpointFailed, match="MY_KEY, which is not set"):
        client("http://127.0.0.1:1/v1", key_variable="MY_KEY")


def test_what_the_server_does_not_know_is_left_out_and_said_once():
    def old_server(body, headers):
        if "response_format" in body:
            return 400, {"error": {"message": "response_format is not supported"}}
        if "logprobs" in body:
            return 400, {"error": {"message": "unknown field: logprobs"}}
        return 200, answer()

    with server(old_server) as (url, received):
        endpoint = client(url)
        with pytest.warns(UserWarning) as said:
            for _ in range(3):
                assert endpoint.complete("", CLAUSES, None).text == TEXT
    assert [("structured output" in str(each.message), "logprobs" in str(each.message)) for each in said] == [
        (True, False), (False, True)]
    assert len(received) == 2 + 3


def test_a_model_that_is_not_there_is_answered_with_those_that_are():
    with server(lambda body, headers: (200, answer())) as (url, _):
        client(url).check()
        with pytest.raises(EndpointFailed, match="no model 'other'; it lists m"):
            client(url, model="other").check()


@pytest.mark.parametrize(("override", "why"), [
    (f"captioner.endpoint.url=http://me:{KEY}@host/v1", "holds no user"),
    ("captioner.endpoint.url=host:1", "http://HOST"),
    ("captioner.endpoint.key=x", "no such key"), ("captioner.levels_in_prompt=false", "asks level by level")])
def test_a_configuration_that_cannot_be(override, why, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("captioner: {kind: endpoint, endpoint: {model: m}}\n")
    with pytest.raises(ConfigError, match=why) as error:
        load_config(path, [override])
    assert KEY not in str(error.value)


def test_a_model_elsewhere_needs_no_replica_here(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("captioner: {kind: endpoint, endpoint: {model: m}}\n")
    there, here = load_config(path), load_config(path, ["captioner.kind=native"])
    assert needed(here).cpus - needed(there).cpus == here.captioner.cpus_per_replica
    assert CaptionerConfig().candidates == CaptionerConfig().engine.candidates and there.captioner.candidates == 1
