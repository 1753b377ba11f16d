"""Settings that several kinds of captioners share. Here and in the kinds nothing imports Ray or an engine."""

from abc import abstractmethod
from typing import Self

from pydantic import Field, model_validator

from actors.captioner.base import CaptionerConfig, Replicas
from hcot_llm.aggregation.label_noise import UNTRAINED, SourceWeightPrior
from hcot_llm.engines.gpu import GpuConfig
from hcot_llm.prompts.chain_config import ChainConfig


class DeployedConfig(CaptionerConfig):
    """Settings of the kinds that Ray Serve runs on the cluster."""

    min_replicas: int = Field(default=1, ge=1, description="replicas kept running")
    max_replicas: int = Field(default=1, ge=1, description="replicas at most; Ray Serve scales between the two by load")
    cpus_per_replica: int = Field(default=1, ge=1, description="logical CPUs reserved for a replica")
    gpus_per_replica: float = Field(default=0, ge=0, description="GPUs reserved for a replica")
    threads_per_replica: int = Field(default=2, ge=1, description="CPU threads of a replica's engine")
    start_timeout_s: float = Field(default=300, gt=0, description="time for the first replica to become ready")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas ({self.min_replicas}) is larger than max_replicas ({self.max_replicas})")
        if self.gpu_settings is not None and (trouble := self.gpu_settings.trouble(self.gpus_per_replica)) is not None:
            raise ValueError(trouble)
        return self

    @property
    def gpu_settings(self) -> GpuConfig | None:
        """What the engine takes of the GPUs that a replica reserves; None where the kind has no such engine."""
        return None

    @property
    def replicas(self) -> Replicas:
        """The least and the largest number of replicas, and what each reserves."""
        return Replicas(self.min_replicas, self.cpus_per_replica, self.gpus_per_replica, self.max_replicas)

    @property
    def shards_in_flight(self) -> int:
        """One shard that a replica works on and one that waits, for each replica."""
        return 2 * self.max_replicas


class ChainedConfig(CaptionerConfig):
    """Settings of the kinds that are queried by the HCoT chain: models that are not trained here.

    A chain corrects by itself the answers that contradict the rest of its tile.
    """

    @property
    @abstractmethod
    def chain(self) -> ChainConfig:
        """The settings of the chain and its model."""

    @property
    def candidates(self) -> int:
        """Chains per tile; the first one is greedy."""
        return self.chain.candidates

    @property
    def prior(self) -> SourceWeightPrior:
        """UNTRAINED: a model not trained on the corpus has to show on held-out tiles that it knows anything."""
        return UNTRAINED
