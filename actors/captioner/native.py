"""The native captioner's settings: the decoder being trained, in a vLLM engine behind Ray Serve."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from actors.captioner.base import CaptionerInputs
from actors.captioner.config import DeployedConfig
from hcot_llm.aggregation.label_noise import TRAINED, SourceWeightPrior
from hcot_llm.engines.gpu import GpuConfig
from hcot_llm.engines.native import EngineConfig

if TYPE_CHECKING:
    from actors.captioner.native_replica import NativeCaptioner


class NativeCaptionerConfig(DeployedConfig):
    """The decoder of the model being trained, served by vLLM on the cluster."""

    kind: Literal["native"] = "native"
    engine: EngineConfig = Field(default_factory=EngineConfig)
    contradiction_attempts: int = Field(
        default=1,
        ge=0,
        le=4,
        description="how often HCoT level 5 asks again for what contradicts the rest of its tile; the answer is one "
        "more candidate",
    )
    tower_batch_tiles: int = Field(
        default=512, ge=1, description="tiles that pass through the vision tower at once, on the device of the replica"
    )
    readout_views: int = Field(
        default=8,
        ge=0,
        le=8,
        description="turned and mirrored views of a queried tile off whose image tokens the distributions of all its "
        "clauses are read; 0: those of queried clauses are read off the answer's tokens",
    )
    levels_in_prompt: bool = Field(default=True, description="structure the prompt by the HCoT levels")

    def start(self, inputs: CaptionerInputs) -> "NativeCaptioner":
        """Deploy the captioner with the weights from before the first training."""
        from actors.captioner.native_replica import NativeCaptioner

        return NativeCaptioner(self, inputs.weights_dir, inputs.owner)

    @property
    def gpu_settings(self) -> GpuConfig:
        """Those of the engine."""
        return self.engine

    @property
    def candidates(self) -> int:
        """Answers per question; the first one is greedy."""
        return self.engine.candidates

    @property
    def prior(self) -> SourceWeightPrior:
        """The decoder is trained on the corpus that it labels."""
        return TRAINED

    @property
    def corrections(self) -> int:
        """How often level 5 asks again; without levels in the prompt it never does."""
        return self.contradiction_attempts if self.levels_in_prompt else 0

    @property
    def asks_by_levels(self) -> bool:
        """Whether the decoder is trained on, and asked by, prompts with levels."""
        return self.levels_in_prompt
