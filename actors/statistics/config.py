"""The section `statistics` of a configuration."""

from pydantic import Field

from corpus.storage.models import StrictModel


class StatisticsConfig(StrictModel):
    """Shallow classifiers on intensity statistics, as a label source beside encoder and captioner."""

    enabled: bool = Field(
        default=False,
        description="shallow classifiers on statistics and pixels of the tiles count as a label source; they are "
        "fitted once, before round 1, in one process that holds some 10 KB a tile",
    )
    folds: int = Field(
        default=5, ge=2, description="parts of the training tiles; what is said of one part was learned from the others"
    )
    turns: int = Field(
        default=4,
        ge=1,
        description="times that the classifiers are fitted at most, each time to what was concluded before; the "
        "first turn after which held-out annotations are no more probable ends it",
    )
    most_tiles: int = Field(
        default=4096,
        ge=64,
        description="tiles that one fit uses at most; of more, so many are drawn. A fit takes their square of memory",
    )
