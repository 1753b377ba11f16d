"""Where a run's state is kept besides the folder that it works in."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from corpus.storage.models import FrozenModel
from corpus.storage.objects import StoreUri
from corpus.storage.stores import STORES


class StorageConfig(FrozenModel):
    """A store that holds everything of a run: another machine goes on with the run from its URI alone."""

    uri: str = Field(description="s3://BUCKET/PREFIX, a prefix of the run's own; credentials are in the environment")
    publish_every_s: float = Field(
        default=30.0,
        gt=0,
        description="seconds between looks for checkpoints, shards and other files to be published within a round; a "
        "round is always published as its record is written",
    )
    give_up_after_s: float = Field(
        default=300.0, ge=0, description="seconds for which one request is tried again while the store does not answer"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_uri(cls, given: Any) -> Any:
        return {"uri": given} if isinstance(given, str) else given

    @field_validator("uri")
    @classmethod
    def _is_a_place(cls, uri: str) -> str:
        place = StoreUri.parse(uri)
        STORES.find(place.scheme)
        return str(place)

    @property
    def place(self) -> StoreUri:
        """The URI in its parts."""
        return StoreUri.parse(self.uri)
