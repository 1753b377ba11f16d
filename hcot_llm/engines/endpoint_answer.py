"""Responses of an OpenAI-compatible endpoint, as far as they are used; a refusal quotes any other response."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

Kind = TypeVar("Kind", bound=BaseModel)
_QUOTED_CHARACTERS = 200


class Unreadable(Exception):
    """A response is not what the API promises: a page of a proxy, an error sent as a success, a body that was cut."""


class TopLogprob(BaseModel):
    """A likely token at one position.

    Attributes:
        token: Its text.
        logprob: Its log-probability, in nats.
    """

    token: str
    logprob: float


class Step(BaseModel):
    """A generated token.

    Attributes:
        token: Its text.
        top_logprobs: The likeliest tokens at its position.
    """

    token: str
    top_logprobs: list[TopLogprob] = []


class _Logprobs(BaseModel):
    content: list[Step] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    completion_tokens: int = 0


class ChatAnswer(BaseModel):
    """A chat completion; one without a choice, as some content filters send, is an answer without text."""

    choices: list[_Choice]
    usage: _Usage | None = None

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return (self.choices[0].message.content or "") if self.choices else ""

    @property
    def tokens(self) -> int:
        """Number of generated tokens; 0 where the endpoint does not say."""
        return self.usage.completion_tokens if self.usage is not None else 0

    @property
    def steps(self) -> list[Step]:
        """One step for each generated token; empty where the endpoint gives no log-probabilities."""
        logprobs = self.choices[0].logprobs if self.choices else None
        return (logprobs.content or []) if logprobs is not None else []


class _Model(BaseModel):
    id: str


class ModelList(BaseModel):
    """The models that an endpoint has."""

    data: list[_Model]


def read_response(kind: type[Kind], body: str) -> Kind:
    """Read the body of a response with status 200.

    Args:
        kind: The model of the response.
        body: The body as text.

    Raises:
        Unreadable: The body does not fit `kind`; the message quotes how it begins.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        begins = " ".join(body[:_QUOTED_CHARACTERS].split())
        raise Unreadable(
            f"what came is no {'list of models' if kind is ModelList else 'chat completion'}: "
            f"{begins or 'an empty body'}"
        ) from error
