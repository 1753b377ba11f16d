"""Bases of the project's pydantic models. An unknown key is an error in every one of them."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A model that refuses keys it does not declare. The base of every configuration section."""

    model_config = ConfigDict(extra="forbid")


class FrozenModel(StrictModel):
    """A strict model whose fields cannot be set again after its construction."""

    model_config = ConfigDict(frozen=True)


class StateModel(FrozenModel):
    """The content of a file of a run's state: frozen, and every number in it is finite."""

    model_config = ConfigDict(allow_inf_nan=False)
