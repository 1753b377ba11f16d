"""A set of labelled images as a configuration says it."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from corpus.storage.models import FrozenModel


class LabelledConfig(FrozenModel):
    """Images without a place on Earth and a table of their labels, which are taken for the truth."""

    labels: Path | None = Field(
        default=None,
        description="CSV with a header, a row an image: columns file (relative to the CSV), split and one for each "
        "clause; a part of an image by x, y and size in pixels",
    )
    image: Path | None = Field(default=None, description="the one image of all rows, where the CSV has no column file")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="clause -> its column of the CSV; a clause that is missing has a column of its own name",
    )
    values: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="clause -> label in the CSV -> value of the schema; a label that is missing is the value itself",
    )
    train_splits: tuple[str, ...] = Field(default=("train",), description="values of split whose images are trained on")
    held_out_splits: tuple[str, ...] = Field(
        default=("test",), description="values of split whose images are held out; rows of other splits are left out"
    )
    group: str | None = Field(
        default=None, description="column that images of one object share; an error is made of all of them alike"
    )
    fit: Literal["crop", "resize"] = Field(
        default="crop",
        description="how an image comes to tile_px: its middle, mirrored at the borders where it is smaller; or all "
        "of it, resampled",
    )
    tile_px: int = Field(default=64, ge=16, le=1024, description="side of a tile in pixels")
    gsd_m: float = Field(default=1.0, gt=0, description="metres on the ground per pixel of the images")
    pixels: Literal["amplitude", "power", "decibels"] = Field(
        default="amplitude", description="what the numbers are, up to a constant factor, or a constant of decibels"
    )
    level: Literal["image", "set"] = Field(
        default="image",
        description="the decibels that are 0 to the models: the median of each image, where images are scaled one by "
        "one; or of the training images together",
    )
    platform: str = Field(default="unknown", description="of all images")
    band: str = Field(default="unknown", description="of all images, such as X")
    polarisation: Literal["HH", "VV", "HV", "VH", "unknown"] = Field(
        default="unknown", description="of all images; bands of one image are averaged"
    )

    def resolved(self) -> "LabelledConfig":
        """The same set, its paths absolute."""
        paths = {"labels": self.labels, "image": self.image}
        return self.model_copy(update={key: path and path.resolve() for key, path in paths.items()})
