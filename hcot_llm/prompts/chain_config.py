"""Settings that all captioners have which are queried by the HCoT chain."""

from pydantic import Field

from corpus.storage.models import StrictModel


class ChainConfig(StrictModel):
    """Settings of a model that is queried level by level."""

    max_new_tokens: int = Field(default=256, ge=8, description="longest answer, in tokens")
    candidates: int = Field(
        default=1, ge=1, le=16, description="chains per tile: the first is greedy, the others sampled"
    )
    temperature: float = Field(default=1.0, gt=0, description="of the sampled candidates")
    top_logprobs: int = Field(
        default=20,
        ge=0,
        le=20,
        description="log-probabilities asked for, from which the distribution "
        "over the values is read; 0: none, and the answers weigh nothing as evidence of their own",
    )
    contradiction_attempts: int = Field(
        default=1, ge=0, le=4, description="how often level 5 sends contradictions back"
    )
