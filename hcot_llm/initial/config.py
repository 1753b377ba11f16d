"""How wrong the initial annotations of simulated scenes are, as a configuration says it."""

from typing import Literal

from pydantic import Field, model_validator

from corpus.storage.models import FrozenModel


class CorruptionConfig(FrozenModel):
    """How wrong the initial annotations of simulated scenes are; the rates stand in the annotation schema."""

    kind: Literal["confusable", "image_dependent", "place_dependent"] = Field(
        default="confusable",
        description="what a wrong clause says: a value easily taken for the right one, drawn for each tile; what a "
        "weak classifier that was taught other cities takes the tile for, on the tiles that it is most wrong about; "
        "or, within a city, always the same wrong value for a right one",
    )
    stated_confidence: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="what every annotation states of itself, as where nobody knows (acceptance.initial_accuracy "
        "estimated finds it); null: the true rate of its kind",
    )
    error_scale: float = Field(default=1.0, ge=0, le=2, description="factor on every error rate; 0 gives the truth")
    share_random: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the wrong clauses whose value is any other with equal probability; the rest are values "
        "that are easily taken for the right one",
    )
    share_invented: float = Field(
        default=0.08, ge=0, le=0.15, description="share of empty tiles given targets that are not there"
    )
    share_missed: float = Field(
        default=0.06, ge=0, le=0.15, description="share of tiles with targets annotated as empty"
    )
    share_whole_image: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of tiles that carry the annotation of another tile: all its clauses, errors and hedges",
    )
    share_hedged_when_right: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the clauses right for the annotated tile whose text is in doubt ('Possibly: ...')",
    )
    share_hedged_when_wrong: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the wrong ones whose text is in doubt; the larger against the share of the right "
        "ones, the more a hedge says",
    )

    @model_validator(mode="after")
    def _apart(self) -> "CorruptionConfig":
        if self.kind == "image_dependent" and self.share_random > 0:
            raise ValueError(
                "share_random says which value a drawn error has; errors of kind image_dependent are not drawn"
            )
        return self
