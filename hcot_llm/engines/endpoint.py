"""A model behind an OpenAI-compatible endpoint: one question, its text and what its log-probabilities say."""

import base64
import ipaddress
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import openai
import stamina

from corpus.storage.errors import UserError
from hcot_llm.engines.completion import Completion
from hcot_llm.engines.endpoint_answer import ChatAnswer, ModelList, Unreadable, read_response
from hcot_llm.engines.endpoint_config import EndpointConfig
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import answer_json_schema

Received = TypeVar("Received")

_NO_KEY: Final = "none"
# What a request may hold that not every server knows, and how a refusal names it. Servers of models that reason refuse
# the last two; "unsupported" tells that from a prompt that leaves no room for max_tokens.
_REFUSALS = {
    "logprobs": ("logprobs", re.compile(r"(?i)logprob")),
    "structured output": ("response_format", re.compile(r"(?i)response_format|json_schema|structured|guided|grammar")),
    "max_tokens": ("max_tokens", re.compile(r"(?i)unsupported.{0,40}max_tokens")),
    "temperature": ("temperature", re.compile(r"(?i)unsupported.{0,40}temperature")),
}


class EndpointFailed(UserError):
    """The endpoint cannot be used; the message says which, why and what to do, and never holds the key."""


class Endpoint:
    """A client of one model. Safe to use from several threads.

    Args:
        config: The settings.

    Raises:
        EndpointFailed: No model is named, or the variable of the key is not set.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        if not config.model:
            raise EndpointFailed(
                "captioner.kind is endpoint and captioner.endpoint.model names no model; "
                "`curl URL/models` lists what the endpoint has."
            )
        self._key = _NO_KEY
        if config.key_variable is not None:
            self._key = os.environ.get(config.key_variable, "")
            if not self._key:
                raise EndpointFailed(
                    f"captioner.endpoint.key_variable names {config.key_variable}, which is not set in "
                    "the environment. Export the key in it, or set key_variable to null."
                )
        # Always given, as the library would else send what OPENAI_API_KEY holds to whatever endpoint is named here.
        self._client = openai.OpenAI(
            base_url=config.url,
            api_key=self._key,
            timeout=config.timeout_s,
            max_retries=0,
            http_client=_client_past_proxies() if is_loopback(config.url) else None,
        )
        self._without: set[str] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Ask nothing more: a question that comes now, or waits to be repeated, fails; one under way may fail."""
        self._closed.set()
        self._client.close()

    @property
    def model_id(self) -> str:
        """Where answers come from, for records: the model's name and the endpoint; no proof of any weights."""
        return f"endpoint {self._config.model} at {self._config.url}"

    def check(self) -> None:
        """Ask the endpoint for its models.

        Raises:
            EndpointFailed: The endpoint does not answer, refuses the key, or does not have the model; or this client
                was closed.
        """
        try:
            found = self._patiently(lambda: self._client.models.with_raw_response.list().text)
            listed = [model.id for model in read_response(ModelList, found).data]
        except Unreadable as error:
            raise EndpointFailed(
                f"The endpoint {self._config.url} is not the API of a model: {self._clean(error)}. "
                "Compare captioner.endpoint.url, which goes up to and with /v1."
            ) from None
        if self._config.model not in listed:
            raise EndpointFailed(
                f"The endpoint {self._config.url} has no model '{self._config.model}'; it lists "
                f"{', '.join(listed[:20]) or 'none'}. Set captioner.endpoint.model."
            )

    def complete(
        self,
        schema: AnnotationSchema,
        prompt: str,
        clauses: Sequence[str],
        seed: int | None,
        picture: bytes | None = None,
    ) -> Completion:
        """Return the model's answer to one prompt.

        Args:
            schema: The schema of the annotations.
            prompt: The text of the prompt.
            clauses: What the answer has to hold as JSON; empty for free text.
            seed: Of a sampled answer; None is greedy.
            picture: A PNG file that the model is shown; None for a model that does not look.

        Raises:
            EndpointFailed: see `check`; or the endpoint refuses the request.
        """
        content = prompt if picture is None else [_image_part(picture), {"type": "text", "text": prompt}]
        while True:
            used = self._limits(seed) | self._features(schema, clauses)
            try:
                found = self._patiently(partial(self._ask, content, used))
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._do_without(str(error), used):
                    raise self._refused(error) from None
                continue
            return Completion.of(schema, found.text, clauses, found.steps, found.tokens)

    def _ask(self, content: Any, used: dict[str, Any]) -> ChatAnswer:
        """Send one request. Raises errors of the client, and Unreadable."""
        create: Callable[..., Any] = self._client.chat.completions.with_raw_response.create
        messages = [{"role": "user", "content": content}]
        return read_response(ChatAnswer, create(model=self._config.model, messages=messages, **used).text)

    def _limits(self, seed: int | None) -> dict[str, Any]:
        """How long an answer may be, and how it is drawn."""
        longest = "max_completion_tokens" if "max_tokens" in self._without else "max_tokens"
        used: dict[str, Any] = {longest: self._config.max_new_tokens}
        if "temperature" not in self._without:
            used["temperature"] = 0.0 if seed is None else self._config.temperature
        return used if seed is None else used | {"seed": seed % 2**31}

    def _features(self, schema: AnnotationSchema, clauses: Sequence[str]) -> dict[str, Any]:
        """What makes an answer readable, and tells how sure it is."""
        used: dict[str, Any] = {}
        if clauses and "structured output" not in self._without:
            used["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "annotation", "strict": True, "schema": answer_json_schema(schema, clauses)},
            }
        if clauses and self._config.top_logprobs and "logprobs" not in self._without:
            used |= {"logprobs": True, "top_logprobs": self._config.top_logprobs}
        return used

    def _do_without(self, refusal: str, used: dict[str, Any]) -> bool:
        """Leave out from now on what the endpoint does not know; False where that is not the trouble."""
        for feature, (argument, pattern) in _REFUSALS.items():
            if argument in used and pattern.search(refusal):
                with self._lock:
                    new = feature not in self._without
                    self._without.add(feature)
                if new:
                    warnings.warn(
                        f"the endpoint {self._config.url} refuses {feature}; its answers are used without", stacklevel=2
                    )
                return True
        return False

    def _patiently(self, call: Callable[[], Received]) -> Received:
        """Call, and call again while what goes wrong may pass.

        Raises:
            EndpointFailed: Patience has ended, or what goes wrong does not pass.
        """
        try:
            for attempt in stamina.retry_context(
                self._is_repeated, attempts=None, timeout=self._config.patience_s, wait_initial=0.5, wait_max=10.0
            ):
                with attempt:
                    if self._closed.is_set():
                        raise self._shut_down()
                    return call()
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            # Without the server's words: they may quote the key.
            named = self._config.key_variable
            remedy = f"Correct the key in {named}" if named else "It needs one: name its variable in key_variable"
            raise EndpointFailed(
                f"The endpoint {self._config.url} refused the key (HTTP {error.status_code}). "
                f"{remedy} (captioner.endpoint.key_variable)."
            ) from None
        except openai.NotFoundError as error:
            raise EndpointFailed(
                f"The endpoint {self._config.url} does not have what was asked of it: "
                f"{self._clean(error)}. Compare captioner.endpoint.url and model with what it lists."
            ) from None
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise
        except (openai.APIError, Unreadable) as error:
            if self._closed.is_set():
                raise self._shut_down() from None
            if not _may_pass(error):
                raise self._refused(error) from None
            raise EndpointFailed(
                f"The endpoint {self._config.url} gave no answer for {self._config.patience_s:g} s "
                f"(captioner.endpoint.patience_s); the last trouble: {self._clean(error)}. Start it again; "
                "`knowlip resume` goes on from the last finished shard."
            ) from None
        raise AssertionError("a request ends with an answer or an error")

    def _is_repeated(self, error: Exception) -> bool:
        return _may_pass(error) and not self._closed.is_set()

    def _shut_down(self) -> EndpointFailed:
        return EndpointFailed(f"The captioner of {self._config.url} was shut down.")

    def _refused(self, error: openai.APIError | Unreadable) -> EndpointFailed:
        return EndpointFailed(
            f"The endpoint {self._config.url} refused a request: {self._clean(error)}. "
            "Often the prompt is longer than the model's context."
        )

    def _clean(self, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}"
        return (text.replace(self._key, "***") if self._key != _NO_KEY else text)[:500].rstrip(". ")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine, by an address or name of loopback."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _client_past_proxies() -> openai.DefaultHttpxClient:
    """A client that asks no proxy, which would see the key; a certificate is checked as by any other."""
    return openai.DefaultHttpxClient(mounts=dict.fromkeys(("http://", "https://", "all://")))


def _image_part(picture: bytes) -> dict[str, Any]:
    """A PNG file as a part of a message."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}}


def _may_pass(error: Exception) -> bool:
    """Nobody listens, the answer takes too long or cannot be read, too many requests, the server has trouble."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return isinstance(error, (openai.APIConnectionError, Unreadable))
