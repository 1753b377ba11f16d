"""The section `score` of a configuration."""

from pydantic import Field, model_validator

from corpus.storage.models import StrictModel
from corpus.storage.precision import PRECISION, Precision


class ScoreConfig(StrictModel):
    """The scoring pass."""

    min_workers: int = Field(default=1, ge=1, description="scoring actors at least")
    max_workers: int = Field(default=2, ge=1, description="scoring actors at most")
    cpus_per_worker: int = Field(default=1, ge=1, description="logical CPUs reserved for a scoring actor")
    gpus_per_worker: float = Field(default=0, ge=0, description="GPUs reserved for a scoring actor")
    precision: Precision = Field(default="fp32", description=f"of the encoder: {PRECISION}")
    neighbours: int = Field(default=8, ge=1, description="nearest tiles that vote")
    exact_neighbours: int = Field(
        default=20_000,
        ge=1,
        description="tiles of the largest corpus in which every tile is compared with all others; in a larger one with "
        "those of the cells nearest to it, which misses some neighbours: neighbour_recall in a round's metrics says "
        "how many are found",
    )
    neighbour_cells: int = Field(
        default=32, ge=1, description="cells of about 256 tiles that a tile of such a corpus is compared with"
    )
    views: int = Field(
        default=8,
        ge=1,
        le=8,
        description="the encoder's distributions are averaged over so many turned and mirrored views of a tile",
    )

    @model_validator(mode="after")
    def _bounds(self) -> "ScoreConfig":
        if self.min_workers > self.max_workers:
            raise ValueError(f"min_workers ({self.min_workers}) is larger than max_workers ({self.max_workers})")
        return self
