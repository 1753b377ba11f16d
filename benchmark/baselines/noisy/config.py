"""Networks against wrong labels as a row of an ablation says it."""

from pydantic import Field, field_validator

from corpus.storage.models import FrozenModel


class NetworkConfig(FrozenModel):
    """A row of an ablation that trains networks on the backbone of the loop's encoder, without the loop."""

    recipe: str = Field(default="plain", description="plain, forward_correction, early_learning or co_teaching")
    folds: int = Field(
        default=1,
        ge=1,
        description="1: a network's own word on the tiles that it was taught; more: each tile is judged by a network "
        "that was not taught its fold",
    )
    weighed: bool = Field(
        default=False, description="weighed with the annotations as the loop weighs; else the networks' word alone"
    )
    turns: int = Field(
        default=1, ge=1, description="trainings; each later one is taught the posterior of the one before; weighed only"
    )

    @field_validator("recipe")
    @classmethod
    def _known(cls, recipe: str) -> str:
        from benchmark.baselines.noisy.recipes import RECIPES  # with torch: only where a row asks for a recipe

        RECIPES.find(recipe)
        return recipe
