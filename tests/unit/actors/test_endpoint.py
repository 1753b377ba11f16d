"""The endpoint's client over real HTTP, against a server that answers as told; test_endpoint_vllm.py has vLLM."""

import base64
import json
import threading

import numpy as np
import pytest

from actors.captioner.endpoint import EndpointCaptionerConfig
from actors.captioner.endpoint_client import EndpointCaptioner
from actors.captioner.labelling import ask
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.requests import Question
from corpus.geotiff.picture import png
from corpus.simulate.config import SceneConfig
from corpus.simulate.write import simulate_corpus
from corpus.storage.errors import ConfigError, UserError
from corpus.tiles import read_tiles
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.engines.endpoint import Endpoint, EndpointFailed, is_loopback
from hcot_llm.engines.endpoint_config import EndpointConfig
from hcot_llm.prompts.retry import RetryConfig
from hcot_llm.schema.answers import parse_answer
from orchestrator.cluster.requirements import total_requirement
from orchestrator.config.load import load_config
from support.chat_server import server
from support.hcot import CLAUSES as ALL
from support.hcot import HCOT, VOCABULARY

KEY = "sk-a-secret-that-nobody-may-read"

CLAUSES = ("water", "road")

TEXT = '{"water": "lake", "road": "grid"}'


PIECES = ['{"', "water", '": "', "lake", '", "', "road", '": "', "gr", 'id"}']


def answer(text: str = TEXT, pieces: list[str] | None = None) -> dict:
    """A chat completion whose every token has probability 0.8, 'sea' 0.2 beside it."""
    content = (
        None
        if pieces is None
        else [
            {
                "token": piece,
                "logprob": np.log(0.8),
                "bytes": None,
                "top_logprobs": [
                    {"token": piece, "logprob": np.log(0.8), "bytes": None},
                    {"token": "sea", "logprob": np.log(0.2), "bytes": None},
                ],
            }
            for piece in pieces
        ]
    )
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
                "logprobs": None if content is None else {"content": content},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10},
    }


def client(url: str, **settings) -> Endpoint:
    return Endpoint(EndpointConfig(**{"url": url, "model": "m", "patience_s": 20, **settings}))


def test_an_answer_comes_with_the_distributions_of_its_values():
    with server(lambda body, headers: (200, answer(pieces=PIECES))) as (url, received):
        completion = client(url).complete(HCOT, "What is here?", CLAUSES, None)
    assert completion.text == TEXT
    assert completion.tokens == 9
    [body] = received
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["road", "water"]
    assert "lake" in schema["properties"]["water"]["enum"]
    assert body["temperature"] == 0
    assert "seed" not in body
    water = dict(zip(("none", "channel", "lake", "sea"), completion.distributions["water"], strict=True))
    assert water["lake"] == pytest.approx(0.8, abs=1e-3)
    assert water["sea"] == pytest.approx(0.2, abs=1e-3)
    # 'gr' begins 'grid' alone.
    assert completion.distributions["road"].argmax() == 2


def test_a_token_that_does_not_tell_the_value_gives_no_distribution():
    pieces = ['{"water', '": "lake"', ', "road": "', "", 'grid"}']
    with server(lambda body, headers: (200, answer(pieces=pieces))) as (url, _):
        found = client(url).complete(HCOT, "", CLAUSES, None).distributions
    assert "water" not in found
    assert "road" not in found


def test_a_picture_is_sent_beside_the_words():
    picture = png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    with server(lambda body, headers: (200, answer("A harbour."))) as (url, received):
        client(url).complete(HCOT, "Describe it.", (), None, picture)
    [image, words] = received[0]["messages"][0]["content"]
    assert words == {"type": "text", "text": "Describe it."}
    media, _, content = image["image_url"]["url"].partition(",")
    assert media == "data:image/png;base64"
    assert base64.b64decode(content) == picture


def test_free_text_asks_for_no_schema_and_a_candidate_is_seeded():
    with server(lambda body, headers: (200, answer("A harbour."))) as (url, received):
        assert client(url).complete(HCOT, "Describe it.", (), 7).text == "A harbour."
    assert "response_format" not in received[0]
    assert "logprobs" not in received[0]
    assert received[0]["seed"] == 7
    assert received[0]["temperature"] == 1.0


@pytest.mark.parametrize(("status", "times"), [(408, 1), (409, 1), (429, 1), (500, 2), (503, 1)])
def test_what_may_pass_is_asked_again(status, times):
    states = [status] * times
    with server(
        lambda body, headers: (states.pop(), {"error": {"message": "busy"}}) if states else (200, answer())
    ) as (url, received):
        assert client(url).complete(HCOT, "", CLAUSES, None).text == TEXT
    assert len(received) == times + 1


UNREADABLE = {
    "a page": "<html>Sign in</html>",
    "an error sent as a success": {"error": {"message": "no model loaded"}},
    "a body that was cut": json.dumps(answer())[:-20],
    "nothing": "",
    "another shape": {"choices": [{}]},
    "no object": "[]",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_asked_again_and_then_quoted(body):
    bodies = [body]
    with server(lambda *_: (200, bodies.pop() if bodies else answer())) as (url, received):
        assert client(url).complete(HCOT, "", CLAUSES, None).text == TEXT
    assert len(received) == 2
    quoted = (body if isinstance(body, str) else json.dumps(body))[:20]
    with server(lambda *_: (200, body)) as (url, _), pytest.raises(EndpointFailed) as error:
        client(url, patience_s=0.2).complete(HCOT, "", CLAUSES, None)
    assert "gave no answer" in str(error.value)
    assert (quoted or "an empty body") in str(error.value)


@pytest.mark.parametrize("models", ["<html>Welcome</html>", {"error": "x"}, ""])
def test_an_address_that_is_no_api_is_said_at_once(models):
    with (
        server(lambda *_: (200, answer()), models) as (url, _),
        pytest.raises(EndpointFailed, match="is not the API of a model: .*Compare captioner.endpoint.url"),
    ):
        client(url, patience_s=600).check()


@pytest.mark.parametrize("status", [402, 405, 413])
def test_any_other_refusal_ends_with_its_words(status):
    with (
        server(lambda *_: (status, {"error": {"message": "no credit left"}})) as (url, received),
        pytest.raises(EndpointFailed, match="refused a request: .*no credit left"),
    ):
        client(url).complete(HCOT, "", CLAUSES, None)
    assert len(received) == 1


def test_no_choice_is_an_answer_without_text():
    with server(lambda *_: (200, answer() | {"choices": []})) as (url, received):
        assert client(url).complete(HCOT, "", CLAUSES, None).text == ""
    assert len(received) == 1, "the labeller counts it as empty and asks again within its budget"


@pytest.mark.parametrize(
    "said",
    [
        f"<think>\nWater {{maybe}} a lake.\n</think>\n\n{TEXT}",
        f"Water {{maybe}} a lake.\n</think>\n{TEXT}",
        f"```json\n{TEXT}\n```",
        f"```json {TEXT}```",
        f"Here it is:\n```\n{TEXT}\n```\nI hope that helps.",
        f"The answer is {TEXT}",
    ],
)
def test_what_a_model_puts_around_its_answer_is_left_out(said):
    with server(lambda *_: (200, answer(said))) as (url, _):
        assert parse_answer(HCOT, client(url).complete(HCOT, "", CLAUSES, None).text, CLAUSES) == {
            "road": "grid",
            "water": "lake",
        }


@pytest.mark.parametrize("thought", ["", "<think>\nBright spots {on water}.\n</think>", "Bright spots.\n</think>"])
def test_free_text_is_what_was_said_and_not_what_was_thought(thought):
    with server(lambda *_: (200, answer(f"{thought}A {{harbour}}."))) as (url, _):
        assert client(url).complete(HCOT, "", (), None).text == "A {harbour}."


def test_a_model_that_reasons_is_asked_without_a_temperature_and_by_its_own_name_for_the_limit():
    def respond(body, headers):
        for name in ("max_tokens", "temperature"):
            if name in body:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}' is not supported with this model."}}
        return 200, answer()

    with server(respond) as (url, received), pytest.warns(UserWarning, match="max_tokens"):
        assert client(url).complete(HCOT, "", CLAUSES, None).text == TEXT
    assert received[-1]["max_completion_tokens"] == 256
    assert len(received) == 3


def test_a_prompt_without_room_for_its_answer_is_no_unknown_parameter():
    message = "This model's maximum context length is 512 tokens; 'max_tokens' or 'max_completion_tokens' is too large."
    with (
        server(lambda *_: (400, {"error": {"message": message}})) as (url, received),
        pytest.raises(EndpointFailed, match="longer than the model's context"),
    ):
        client(url).complete(HCOT, "", CLAUSES, None)
    assert len(received) == 1


def test_patience_ends_with_what_to_do():
    with (
        server(lambda body, headers: (503, {"error": {"message": f"busy with {KEY}"}})) as (url, _),
        pytest.raises(EndpointFailed, match=r"no answer for 0.2 s .*knowlip resume") as error,
    ):
        client(url, patience_s=0.2).complete(HCOT, "", CLAUSES, None)
    assert isinstance(error.value, UserError)


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

    with server(refuse) as (url, received), pytest.raises(EndpointFailed, match="refused the key.*MY_KEY") as error:
        client(url, key_variable="MY_KEY").complete(HCOT, "", CLAUSES, None)
    assert sent == [f"Bearer {KEY}"]
    assert len(received) == 1, "a refused key is not tried again"
    assert KEY not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_key_in_another_refusal_is_taken_out(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with (
        server(lambda body, headers: (400, {"error": {"message": f"bad request by {KEY}"}})) as (url, _),
        pytest.raises(EndpointFailed, match=r"refused a request: .*\*\*\*") as error,
    ):
        client(url, key_variable="MY_KEY").complete(HCOT, "", CLAUSES, None)
    assert KEY not in str(error.value)


def test_the_key_of_another_service_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    sent = []
    with server(lambda body, headers: (sent.append(str(headers)), (200, answer()))[1]) as (url, _):
        client(url).complete(HCOT, "", CLAUSES, None)
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
        with pytest.warns(UserWarning, match="structured output|logprobs") as said:
            texts = [endpoint.complete(HCOT, "", CLAUSES, None).text for _ in range(3)]
    assert texts == [TEXT] * 3
    assert [("structured output" in str(each.message), "logprobs" in str(each.message)) for each in said] == [
        (True, False),
        (False, True),
    ]
    assert len(received) == 2 + 3


def test_a_model_that_is_not_there_is_answered_with_those_that_are():
    with server(lambda body, headers: (200, answer())) as (url, _):
        client(url).check()
        with pytest.raises(EndpointFailed, match="no model 'other'; it lists m"):
            client(url, model="other").check()


@pytest.mark.parametrize(
    ("override", "why"),
    [
        (f"captioner.endpoint.url=http://me:{KEY}@host/v1", "holds no user"),
        ("captioner.endpoint.url=host:1", "http://HOST"),
        ("captioner.endpoint.key=x", "no such key"),
        ("captioner.levels_in_prompt=false", "levels_in_prompt is a setting of kind native, and kind is endpoint"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_without_showing_its_key(override, why, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("captioner: {kind: endpoint, endpoint: {model: m}}\n")
    with pytest.raises(ConfigError, match=why) as error:
        load_config(path, [override])
    assert KEY not in str(error.value)


def test_a_model_elsewhere_needs_no_replica_here(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("captioner: {kind: endpoint, endpoint: {model: m}}\n")
    there = load_config(path)
    here = there.model_copy(update={"captioner": NativeCaptionerConfig(cpus_per_replica=3)})
    assert total_requirement(here).cpus - total_requirement(there).cpus == 3
    assert here.captioner.candidates == NativeCaptionerConfig().engine.candidates
    assert there.captioner.candidates == 1


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("endpoint")
    simulate_corpus(SceneConfig(tiles=3), root, workers=1)
    return root / "corpus"


def label(url, corpus_dir, folder, retry: RetryConfig | None = None):
    """What the labeller makes of all tiles' answers; water and road are asked."""
    tiles = read_tiles(corpus_dir)
    tile_ids = tuple(sorted(tiles["tile_id"].to_pylist()))
    shape = len(tile_ids), len(ALL)
    annotations = AnnotationMatrix(
        HCOT, tile_ids, np.zeros(shape, int), np.ones(shape, np.float32), np.full(shape, "seed")
    )
    config = EndpointCaptionerConfig(endpoint=EndpointConfig(url=url, model="m", patience_s=1))
    captioner = EndpointCaptioner(config, tiles, corpus_dir)
    try:
        return ask(
            [Question(HCOT, tile_id, CLAUSES, {"terrain": "coast"}, "", 10.0, {}, True, 5) for tile_id in tile_ids],
            captioner,
            None,
            annotations,
            folder,
            tiles_per_shard=2,
            candidates=1,
            retry=retry or RetryConfig(attempts=0),
        )
    finally:
        captioner.shutdown()


def levels_of(received) -> list[str]:
    return [body["messages"][0]["content"].split(",")[0] for body in received]


def obedient(water: str, road: str = "none"):
    """Answers what the schema asks for; level 5 corrects the water to sea."""

    def respond(body, headers):
        if "response_format" not in body:
            return 200, answer("A shore.")
        said = {"water": "sea" if "Level 5" in body["messages"][0]["content"] else water, "road": road}
        asked = body["response_format"]["json_schema"]["schema"]["required"]
        return 200, answer(json.dumps({clause: said[clause] for clause in asked}))

    return respond


def test_tiles_are_asked_level_by_level_with_evidence_and_contradictions_are_sent_back(corpus_dir, tmp_path):
    with server(obedient("none")) as (url, received):
        proposals = label(url, corpus_dir, tmp_path)
    assert sorted(levels_of(received)) == sorted(["Level 0", "Level 1", "Level 2", "Level 5"] * 3)
    prompts = [body["messages"][0]["content"] for body in received]
    assert all("bright blobs" in prompt for prompt in prompts)
    assert all("there is no water" in prompt for prompt in prompts if "Level 5" in prompt)
    values = [VOCABULARY["water"][index] for index in proposals.proposed[:, ALL.index("water"), 0]]
    assert values == ["sea"] * 3
    assert not proposals.invalid
    assert np.isnan(proposals.distributions["water"]).all(), "without log-probabilities it is no label source"


def test_a_level_that_fails_is_counted_and_the_others_are_kept(corpus_dir, tmp_path):
    def respond(body, headers):
        status, content = obedient("sea")(body, headers)
        if "Level 2" in body["messages"][0]["content"]:
            content = answer("I cannot say.")
        return status, content

    with server(respond) as (url, received):
        proposals = label(url, corpus_dir, tmp_path, RetryConfig(attempts=1, budget_share=1.0))
    assert (proposals.proposed[:, ALL.index("water"), 0] >= 0).all()
    assert (proposals.proposed[:, ALL.index("road"), 0] < 0).all()
    # Three first answers and a repetition of each, which asks for the road alone.
    assert proposals.invalid == {"not_json": 6}
    assert (proposals.retried, proposals.recovered) == (3, 0)
    assert levels_of(received).count("Level 1") == 3
    assert levels_of(received).count("Level 2") == 6


def test_chains_that_wait_are_not_asked_once_it_is_shut_down(corpus_dir):
    """The run ended for another reason than the endpoint; nobody waits for the answers."""
    asked, go_on = threading.Event(), threading.Event()

    def respond(body, headers):
        asked.set()
        go_on.wait(30)
        return 200, answer("A shore.")

    with server(respond) as (url, received):
        tiles = read_tiles(corpus_dir)
        config = EndpointCaptionerConfig(endpoint=EndpointConfig(url=url, model="m", concurrency=1))
        captioner = EndpointCaptioner(config, tiles, corpus_dir)
        questions = [
            Question(HCOT, tile_id, CLAUSES, {}, "", 10.0, {}, True, 5) for tile_id in tiles["tile_id"].to_pylist()
        ]
        captioner.submit(captioner.request(questions, None, 0))
        asked.wait(30)
        captioner.shutdown(wait=False)
        go_on.set()
        captioner.shutdown(wait=True)
    assert len(received) == 1


def test_once_it_is_closed_nothing_is_asked_again():
    asked = threading.Event()

    def respond(body, headers):
        asked.set()
        return 503, {"error": {"message": "busy"}}

    said = []

    def ask(endpoint) -> None:
        try:
            endpoint.complete(HCOT, "", CLAUSES, None)
        except EndpointFailed as error:
            said.append(str(error))

    with server(respond) as (url, received):
        endpoint = client(url, patience_s=600)
        waiting = threading.Thread(target=ask, args=[endpoint])
        waiting.start()
        asked.wait(30)
        endpoint.close()
        waiting.join(15)  # longer than it waits for the next attempt
        assert not waiting.is_alive()
        ask(endpoint)
        assert said == [f"The captioner of {url} was shut down."] * 2
        assert len(received) == 1


def test_a_server_that_goes_leaves_finished_shards_and_no_others(corpus_dir, tmp_path):
    """Three tiles are two shards; the server goes away somewhere in the middle, and is there again for the resume."""
    seen = []

    def respond(body, headers):
        seen.append(body)
        return obedient("sea")(body, headers) if len(seen) <= 6 else (503, {"error": {"message": "gone"}})

    with server(respond) as (url, _), pytest.raises(EndpointFailed, match="gave no answer"):
        label(url, corpus_dir, tmp_path)
    assert not list(tmp_path.glob("*.partial"))
    with server(obedient("sea")) as (url, _):
        assert (label(url, corpus_dir, tmp_path).proposed[:, ALL.index("water"), 0] >= 0).all()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_key_for_this_machine_is_shown_to_no_proxy(monkeypatch, host):
    monkeypatch.setenv("THE_KEY", KEY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    shown, seen = [], []

    def refuse(body, headers):
        shown.append(headers.get("Authorization"))
        return 500, {"error": {"message": "I am the proxy"}}

    def respond(body, headers):
        seen.append(headers.get("Authorization"))
        return 200, answer()

    with server(refuse) as (proxy, _), server(respond) as (url, _):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        config = EndpointConfig(
            url=url.replace("127.0.0.1", host), model="m", key_variable="THE_KEY", patience_s=0.1, timeout_s=20
        )
        assert Endpoint(config).complete(HCOT, "What is it?", CLAUSES, None).text == TEXT
    assert seen == [f"Bearer {KEY}"]
    assert shown == []


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8001/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]:8001/v1", True),
        ("https://localhost/v1", True),
        ("http://api.localhost:1/v1", True),
        ("http://127.0.0.1.example.org/v1", False),
        ("https://example.org/v1", False),
        ("http://10.0.0.1/v1", False),
    ],
)
def test_loopback_is_told_from_other_addresses(url, here):
    assert is_loopback(url) == here
