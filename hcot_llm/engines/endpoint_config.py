"""The settings of a model behind an OpenAI-compatible endpoint. Reading them does not import its client."""

import re

from pydantic import Field, field_validator

from hcot_llm.prompts.chain_config import ChainConfig


class EndpointConfig(ChainConfig):
    """An OpenAI-compatible endpoint."""

    url: str = Field(
        default="http://127.0.0.1:8001/v1", description="of the API, up to and with /v1; holds no user and no key"
    )
    model: str = Field(default="", description="name of the model as the endpoint lists it; required for kind endpoint")
    key_variable: str | None = Field(
        default=None, description="name of the environment variable that holds the key; null: no key"
    )
    timeout_s: float = Field(default=120, gt=0, description="time for one answer")
    patience_s: float = Field(
        default=300,
        ge=0,
        description="how long a request is repeated while nobody answers, what comes cannot be read, or with 408, 409, "
        "429 or 5xx; then the run ends, and `knowlip resume` goes on from the last finished shard",
    )
    concurrency: int = Field(default=8, ge=1, description="tiles asked about at the same time")
    evidence: bool = Field(
        default=True, description="put backscatter statistics and bright blobs of the tile into the prompt"
    )
    picture: bool = Field(
        default=False, description="send the tile as a picture (PNG, grey, co-polarised); for a model that can look"
    )

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s]", url):
            raise ValueError("write it as http://HOST:PORT/v1 or https://HOST/v1")
        if "@" in url or "?" in url:
            raise ValueError(
                "a URL holds no user, password or key, as it is stored with the run; name the variable of "
                "the environment that holds the key in key_variable"
            )
        return url.rstrip("/")
