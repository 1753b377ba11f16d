"""Tasks, settings and methods of the unified benchmark: their protocols and registries.

A *method* gives features or predictions of images. A *setting* says what it may learn from before it is judged: its
features with five neighbours, 40 labels a class, all labels. A *cell* is one setting of one method on one data set of
a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from benchmark.datasets.base import LabelledImages, LabelledMasks
from benchmark.datasets.detection import Found, LabelledBoxes
from benchmark.metrics.group_bootstrap import Estimate
from corpus.geotiff.backscatter import Backscatter
from corpus.registry import Registry
from corpus.storage.errors import InputError

if TYPE_CHECKING:
    from benchmark.suite.pretraining import Pretraining


class MethodMissing(InputError):
    """A method cannot be used here: its weights or a library are missing; the message says what to do."""


class NothingToJudge(Exception):
    """A setting asks what a data set does not have, so that there is no such cell."""


@runtime_checkable
class ImageEncoder(Protocol):
    """A method with features that were learned elsewhere."""

    def embed(self, images: Sequence[Backscatter]) -> np.ndarray:
        """float32 [N, D] of N rasters. It looks at each raster alone: no label, no other raster changes a row."""
        ...


@runtime_checkable
class ImageClassifier(Protocol):
    """A method that learns classes from labelled images itself."""

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Probabilities float64 [N, classes] of the N test rasters, once it has learned from `train`."""
        ...


@runtime_checkable
class PixelEncoder(Protocol):
    """A method with a network whose feature maps a light head can read, beside the picture itself."""

    @property
    def tunable(self) -> bool:
        """Whether the network can be fine-tuned with the head."""
        ...

    def pixel_maps(self, channels: int, *, frozen: bool) -> tuple[Any, tuple[int, ...]]:
        """A copy of the network, from float32 [B, channels, S, S] to maps of falling size, and the maps' channels.

        Args:
            channels: of an image.
            frozen: whether its weights stay as they are.

        Returns:
            A torch module, or None for a method without one, of which the head reads the picture alone.
        """
        ...

    def pixel_images(self, views: Sequence[tuple[Backscatter, ...]]) -> Any:
        """Each place cut or resampled to parts of the network's size: float32 [N, parts, views, channels, S, S]."""
        ...


@runtime_checkable
class ImageSegmenter(Protocol):
    """A method that learns the classes of pixels from masks itself."""

    def segment(
        self, train: LabelledMasks, test: Sequence[tuple[Backscatter, ...]], classes: int, seed: int
    ) -> list[np.ndarray]:
        """Of each test place probabilities float32 [classes, H, W], once it has learned from `train`.

        Raises:
            MethodMissing: it cannot tell so many classes apart.
        """
        ...


@runtime_checkable
class MapEncoder(Protocol):
    """A method with a network whose feature maps a light head can search for objects."""

    @property
    def map_side(self) -> int:
        """Pixels along a side of the windows that its network takes."""
        ...

    @property
    def tunable(self) -> bool:
        """Whether the network can be fine-tuned with the head."""
        ...

    def map_images(self, windows: Sequence[Backscatter]) -> Any:
        """N rasters of map_side x map_side pixels, each at its known level, as float32 [N, channels, S, S]."""
        ...

    def map_network(self) -> tuple[Any, tuple[int, ...]]:
        """A copy of the network, from images [B, channels, S, S] to maps of falling size, and the maps' channels."""
        ...


@runtime_checkable
class ObjectDetector(Protocol):
    """A method that finds objects by itself."""

    def detect(self, train: LabelledBoxes, test: Sequence[Backscatter], classes: int, seed: int) -> list[Found]:
        """What it finds in each test image, once it has learned what it can from `train`."""
        ...


@runtime_checkable
class PairEncoder(Protocol):
    """A method that embeds images and texts in one space."""

    def embed_pairs(self, images: Sequence[Backscatter], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """float32 [N, E] of N images and [M, E] of M texts; a cosine says how well they fit."""
        ...


@runtime_checkable
class ClauseReader(Protocol):
    """A method that knows the clauses of annotations without learning them from the task."""

    def read_clauses(self, images: Sequence[Backscatter], values: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """Clause -> probabilities float64 [N, values].

        Raises:
            MethodMissing: it knows other clauses or values.
        """
        ...


@runtime_checkable
class AnswerReader(Protocol):
    """A method that is asked in words."""

    def read_answers(
        self, images: Sequence[Backscatter], asked: Mapping[str, str], values: Mapping[str, Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Question -> probabilities float64 [N, answers].

        Args:
            images: N rasters.
            asked: question -> its words.
            values: question -> its possible answers.
        """
        ...


@runtime_checkable
class CaptionGuesser(Protocol):
    """A method that captions images without seeing them."""

    def guess_caption(self, learned: Sequence[str]) -> str:
        """The caption that it gives every image, once it has learned what it can from N captions of other images."""
        ...


@runtime_checkable
class Disclosing(Protocol):
    """A method with weights of its own, which every table says.

    Attributes:
        weights_sha256: of the weights' content; another one makes a finished cell stale.
        disclosure: what a reader has to know of the weights.
    """

    weights_sha256: str
    disclosure: str


@dataclass(frozen=True)
class MethodInputs:
    """What methods may need.

    Attributes:
        weights_dir: weights of a run, for method `ours`; None: none were named.
        rounds: number -> weights of a round of that run, there or not; {}: no run was named.
        encoder: folder or name of an encoder of somebody else, for method `encoder`; None: none was named.
        checkpoints_dir: published checkpoints lie here, a folder each.
        checkpoints: folder or file of one that lies elsewhere, by its name.
        pretraining: what methods that are trained here learn from; None: neither a run nor passes were named.
    """

    weights_dir: Path | None = None
    rounds: Mapping[int, Path] = field(default_factory=dict)
    encoder: str | None = None
    pretraining: Pretraining | None = None
    checkpoints_dir: Path = Path("data/checkpoints")
    checkpoints: Mapping[str, Path] = field(default_factory=dict)


class Method(Protocol):
    """One row of the table."""

    @property
    def about(self) -> str:
        """One sentence for `knowlip benchmark --list`."""
        ...

    def open(self, inputs: MethodInputs) -> Any:
        """An object with the methods of one or more of the protocols above.

        Raises:
            MethodMissing: it cannot be used here.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """What one cell came to with one seed.

    Attributes:
        scores: name of a score -> its value and interval. The first one is the task's headline.
    """

    scores: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What a method may learn from before it is judged.

    Attributes:
        about: one sentence.
        seeded: whether the outcome depends on a seed, so that several are run.
        trains: whether a network may be trained, which takes minutes: `benchmark.training_seeds` says how many are run.
    """

    about: str
    seeded: bool = False
    trains: bool = False


class SuiteTask(Protocol):
    """One task of the benchmark."""

    @property
    def about(self) -> str:
        """One sentence for `knowlip benchmark --list`."""
        ...

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets that it runs on, see `benchmark.datasets.base.DATA_SETS`."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Settings by name, in the order of the table."""
        ...

    def applies(self, setting: str, method: Any) -> bool:
        """Whether an opened method can be judged in a setting."""
        ...

    def run(self, data: Any, setting: str, method: Any, seed: int) -> Outcome:
        """Judge an opened method on a data set.

        Args:
            data: what the data set's reader gives.
            setting: one of `settings`.
            method: an opened method to which the setting applies.
            seed: of every random draw.

        Raises:
            NothingToJudge: the data set does not have what the setting asks for.
        """
        ...


SUITE: Registry[SuiteTask] = Registry("task of the benchmark")
"""Every task by the name that --tasks gives it."""
METHODS: Registry[Method] = Registry("method of the benchmark")
"""Every method by the name that --methods gives it."""
