"""The section `benchmark.recipes`: how methods that are trained here learn."""

from pydantic import Field

from corpus.storage.models import StrictModel


class ViewConfig(StrictModel):
    """Random changes of a training image, in the units of the input convention."""

    turns: bool = Field(
        default=True,
        description="turn by multiples of 90 degrees and mirror, where train.augment.dihedral allows it",
    )
    smallest_side_share: float = Field(
        default=1.0, ge=0.1, le=1, description="side of the part of a tile that is seen, at least, uniform up to 1"
    )
    gain_db: float = Field(default=0.0, ge=0, description="standard deviation of an offset of a whole tile, in dB")
    speckle_db: float = Field(
        default=0.5,
        ge=0,
        description="standard deviation of added speckle at most, in dB; uniform from 0 by tile",
    )
    drop_polarisation_share: float = Field(
        default=0.2, ge=0, le=1, description="share of the tiles that show one polarisation in both channels"
    )


class RecipeConfig(StrictModel):
    """What every recipe has."""

    batch: int = Field(default=64, ge=2, description="tiles a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="peak of AdamW's learning rate; it falls to 0")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's decoupled weight decay")
    views: ViewConfig = Field(default_factory=ViewConfig, description="changes of the tiles that are shown")


class MaskedConfig(RecipeConfig):
    """Prediction of what is hidden."""

    mask_share: float = Field(
        default=0.6, gt=0, lt=1, description="share of a tile's cells that are hidden; a cell is the square of a token"
    )


class MaeConfig(MaskedConfig):
    """MAE: the pixels that are hidden."""

    normalised: bool = Field(
        default=True, description="pixels less the mean of their cell, over its deviation; else as they are"
    )


class SarJepaConfig(MaskedConfig):
    """SAR-JEPA: gradients by ratio of what is hidden."""

    radii_px: tuple[int, ...] = Field(
        default=(5, 9, 13), min_length=1, description="radii of the windows of the gradients, in pixels"
    )
    step_px: int = Field(default=4, ge=1, description="pixels between the points at which gradients are taken")


class MocoConfig(RecipeConfig):
    """MoCo v3: two views of a tile are alike."""

    views: ViewConfig = Field(
        default_factory=lambda: ViewConfig(
            smallest_side_share=0.5, gain_db=2.0, speckle_db=3.0, drop_polarisation_share=0.3
        ),
        description="changes of the tiles; each view draws its own",
    )
    temperature: float = Field(default=0.2, gt=0, description="divides cosines")
    momentum: float = Field(
        default=0.99, ge=0, lt=1, description="of the slowly following network at the start; 1 at the end (cosine)"
    )
    hidden_width: int = Field(default=512, ge=1, description="hidden units of projector and predictor")
    width: int = Field(default=128, ge=1, description="numbers of a projected view")


class ClipConfig(RecipeConfig):
    """CLIP: tiles and their captions are drawn together."""


class BlipConfig(RecipeConfig):
    """BLIP: contrast, matching and captioning; sizes of queue and teacher are those of `model.objective`."""

    batch: int = Field(default=32, ge=2, description="tiles a step")


class CapFiltConfig(BlipConfig):
    """BLIP with CapFilt: captions are written and filtered on the way."""

    first_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the passes before captions are written and filtered"
    )
    filter_quantile: float = Field(
        default=0.75,
        ge=0,
        lt=1,
        description="captions are kept that the matching head finds more probable than so many captions of other tiles",
    )
    top_p: float = Field(
        default=0.9, gt=0, le=1, description="captions are drawn from the likeliest tokens of so much probability"
    )


class NoLoopConfig(RecipeConfig):
    """Our own losses without the loop; their weights are those of `model.objective`."""


class RecipesConfig(StrictModel):
    """Methods that are trained here on the corpus and the backbone of the encoder that they are compared with."""

    passes: int | None = Field(
        default=None,
        ge=1,
        description="passes over the training tiles; null: as many as the run of --run had. A number also trains "
        "without --run, on the `corpus` of this configuration",
    )
    seed: int = Field(default=0, ge=0, description="seed of weights, order and draws")
    mae: MaeConfig = Field(default_factory=MaeConfig, description="masked pixels")
    sar_jepa: SarJepaConfig = Field(default_factory=SarJepaConfig, description="masked gradients by ratio")
    moco_v3: MocoConfig = Field(default_factory=MocoConfig, description="contrast between two views")
    clip: ClipConfig = Field(default_factory=ClipConfig, description="contrast between tiles and captions")
    blip: BlipConfig = Field(default_factory=BlipConfig, description="contrast, matching and captioning")
    blip_capfilt: CapFiltConfig = Field(
        default_factory=CapFiltConfig, description="the same, with captions that it writes and filters"
    )
    no_loop: NoLoopConfig = Field(default_factory=NoLoopConfig, description="our own losses without the loop")
