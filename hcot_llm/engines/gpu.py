"""What an engine takes of GPUs: how much memory of each, and how many together."""

from typing import Any

from pydantic import Field

from corpus.storage.models import StrictModel

_SHARE_OF_RESERVED = 0.85
"""The rest is for the native captioner's vision tower, and for what other processes have on the device."""


class GpuConfig(StrictModel):
    """Settings of an engine that count where its replica reserves GPUs."""

    gpu_memory_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of a GPU's memory that the engine takes, for weights and key-value cache; null: 0.85 of "
        "what captioner.gpus_per_replica reserves of it",
    )
    tensor_parallel: int = Field(
        default=1,
        ge=1,
        description="GPUs that share the model's matrices; captioner.gpus_per_replica has to be the same number",
    )

    def trouble(self, gpus: float) -> str | None:
        """Why an engine of these settings does not fit what its replica reserves; None where it does."""
        if self.tensor_parallel > 1 and gpus != self.tensor_parallel:
            return (
                f"tensor_parallel is {self.tensor_parallel} and gpus_per_replica {gpus:g}: a replica reserves all GPUs "
                f"that its engine computes on, so set gpus_per_replica to {self.tensor_parallel}"
            )
        if self.gpu_memory_share is not None and 0 < gpus < self.gpu_memory_share:
            return (
                f"gpu_memory_share is {self.gpu_memory_share:g} and gpus_per_replica {gpus:g}: the engine would take "
                "memory of the GPU that others have reserved; lower the former or raise the latter"
            )
        return None

    def arguments(self, gpus: float) -> dict[str, Any]:
        """What vLLM is told, for a replica that reserves so many GPUs; nothing on a CPU."""
        if not gpus:
            return {}
        share = self.gpu_memory_share or _SHARE_OF_RESERVED * min(1.0, gpus)
        told: dict[str, Any] = {"gpu_memory_utilization": share, "tensor_parallel_size": self.tensor_parallel}
        if self.tensor_parallel > 1:
            # vLLM would ask Ray for workers of its own, beside the GPUs that the replica holds.
            told["distributed_executor_backend"] = "mp"
        return told
