"""The settings of the captioner that is a vision-language model, which Ray Serve and vLLM serve here."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from actors.captioner.base import CaptionerInputs
from actors.captioner.config import ChainedConfig, DeployedConfig
from hcot_llm.engines.gpu import GpuConfig
from hcot_llm.engines.vision_language import VisionLanguageConfig, check_model

if TYPE_CHECKING:
    from actors.captioner.vision_language_replica import VisionLanguageCaptioner


class VisionLanguageCaptionerConfig(ChainedConfig, DeployedConfig):
    """A vision-language model that vLLM serves on the cluster."""

    kind: Literal["vision_language"] = "vision_language"
    vision_language: VisionLanguageConfig = Field(default_factory=VisionLanguageConfig)

    @property
    def chain(self) -> VisionLanguageConfig:
        """The settings of the chain and the model."""
        return self.vision_language

    @property
    def gpu_settings(self) -> GpuConfig:
        """Those of the engine."""
        return self.vision_language

    def check(self) -> None:
        """Look whether a model is named, and whether its folder looks like one.

        Raises:
            VisionLanguageError: It does not.
        """
        check_model(self.vision_language)

    def start(self, inputs: CaptionerInputs) -> "VisionLanguageCaptioner":
        """Deploy the model."""
        from actors.captioner.vision_language_replica import VisionLanguageCaptioner

        return VisionLanguageCaptioner(self, inputs.tiles, inputs.corpus_dir, inputs.owner)
