"""The settings of the captioner that is a model behind an OpenAI-compatible endpoint."""

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from actors.captioner.base import CaptionerInputs
from actors.captioner.config import ChainedConfig
from hcot_llm.engines.endpoint_config import EndpointConfig

if TYPE_CHECKING:
    from actors.captioner.endpoint_client import EndpointCaptioner

# How long the check before a run is patient with the endpoint, at most.
_CHECK_PATIENCE_S: Final = 30.0


class EndpointCaptionerConfig(ChainedConfig):
    """A model behind an OpenAI-compatible endpoint."""

    kind: Literal["endpoint"] = "endpoint"
    endpoint: EndpointConfig = Field(default_factory=EndpointConfig)

    @property
    def chain(self) -> EndpointConfig:
        """The settings of the chain and the endpoint."""
        return self.endpoint

    def check(self) -> None:
        """Ask the endpoint whether it answers, takes the key and has the model.

        Raises:
            EndpointFailed: It does not.
        """
        from hcot_llm.engines.endpoint import Endpoint

        patience = min(_CHECK_PATIENCE_S, self.endpoint.patience_s)
        Endpoint(self.endpoint.model_copy(update={"patience_s": patience})).check()

    def start(self, inputs: CaptionerInputs) -> "EndpointCaptioner":
        """Make the client of the endpoint."""
        from actors.captioner.endpoint_client import EndpointCaptioner

        return EndpointCaptioner(self, inputs.tiles, inputs.corpus_dir)
