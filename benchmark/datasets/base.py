"""What a labelled data set is to the benchmark, and the registry of those that it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpus.geotiff.backscatter import Backscatter
from corpus.registry import Registry
from corpus.storage.errors import InputError


class DataSetError(InputError):
    """A data set that cannot be used; the message names the file and line, and says what to do."""


class DataSetMissing(InputError):
    """A data set is not there; the message says where it was looked for and where it comes from."""


@dataclass(frozen=True)
class LabelledImages:
    """N images with one label each.

    Attributes:
        images: N rasters in dB, of any size.
        labels: int64 [N], index into the classes.
        groups: N names; images of one group are related, and are drawn together by a bootstrap.
    """

    images: Sequence[Backscatter]
    labels: np.ndarray
    groups: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> LabelledImages:
        """Those of int rows, in their order."""
        chosen: list[int] = rows.tolist()
        return LabelledImages(
            [self.images[row] for row in chosen], self.labels[rows], [self.groups[row] for row in chosen]
        )


@dataclass(frozen=True)
class Classification:
    """A data set of images that each have one class.

    Attributes:
        classes: names, in the order of the labels.
        train: what methods may learn from.
        test: what they are judged on; no group is on both sides.
        note: what a reader of the numbers has to know of the split.
        test_again: the test images under another draw of speckle, in the same order; None: there is none.
    """

    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    note: str = ""
    test_again: LabelledImages | None = None


@dataclass(frozen=True)
class SeveralLabels:
    """A data set of images that each have any number of labels.

    Attributes:
        classes: names, in the order of the columns of `has`.
        train: what methods may learn from; its `labels` are row numbers of `train_has`.
        test: what they are judged on; its `labels` are row numbers of `test_has`.
        train_has: bool [N, classes].
        test_has: bool [M, classes].
        note: what a reader of the numbers has to know of the split.
    """

    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    train_has: np.ndarray
    test_has: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class DescribedImages:
    """N images with what is said of them.

    Attributes:
        images: N rasters in dB.
        answers: question -> N right answers. Each is one of `Described.values`.
        captions: N captions.
        groups: N names; images of one group are related.
    """

    images: Sequence[Backscatter]
    answers: Mapping[str, Sequence[str]]
    captions: Sequence[str]
    groups: Sequence[str]


@dataclass(frozen=True)
class Described:
    """A data set of images with captions and answers to questions.

    Attributes:
        values: question -> its possible answers.
        train: what methods may learn from.
        test: what they are judged on.
        note: what a reader of the numbers has to know of the split.
        asked: question -> its words, for methods that are asked in words; {}: it has none.
        test_again: the test images under another draw of speckle, in the same order; (): there are none.
    """

    values: Mapping[str, tuple[str, ...]]
    train: DescribedImages
    test: DescribedImages
    note: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    test_again: Sequence[Backscatter] = ()


@dataclass(frozen=True)
class Pairs:
    """Captioned images.

    Attributes:
        images: N rasters in dB; none where a set has texts alone.
        captions: every caption of each image, N tuples of one at least. Where one is looked for, the first counts.
        note: what a reader of the numbers has to know.
        train: captioned images that methods may learn from; None: there are none.
    """

    images: Sequence[Backscatter]
    captions: Sequence[tuple[str, ...]]
    note: str = ""
    train: Pairs | None = None


@dataclass(frozen=True)
class AskedImages:
    """Questions on images.

    Attributes:
        images: N rasters in dB.
        of: M row numbers: the image that each question is about.
        questions: M pairs of a kind and the words.
        answers: M right answers.
    """

    images: Sequence[Backscatter]
    of: Sequence[int]
    questions: Sequence[tuple[str, str]]
    answers: Sequence[str]


@dataclass(frozen=True)
class Asked:
    """A data set of questions on images, which need not be the same on every image.

    Attributes:
        test: what methods are judged on.
        train: what they may learn from; None: nothing.
        choices: (kind, words) of a question -> its possible answers; a question without any can only be skipped.
        numbers: kinds whose answers are numbers.
        note: what a reader of the numbers has to know.
    """

    test: AskedImages
    train: AskedImages | None
    choices: Mapping[tuple[str, str], tuple[str, ...]]
    numbers: frozenset[str] = frozenset()
    note: str = ""


IGNORED = 255
"""Value of a mask's pixel that nothing is said of: neither learned from nor judged."""


@dataclass(frozen=True)
class LabelledMasks:
    """N places with a class for every pixel.

    Attributes:
        views: of each place one raster or more on the same grid, the one that the mask describes first.
        masks: uint8 [H, W] each, index into the classes, or IGNORED.
        groups: N names; places of one group are related.
    """

    views: Sequence[tuple[Backscatter, ...]]
    masks: Sequence[np.ndarray]
    groups: Sequence[str]

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True)
class Segmentation:
    """A data set with a class for every pixel.

    Attributes:
        classes: names, in the order of the masks' values.
        train: what methods may learn from.
        test: what they are judged on.
        positive: the class whose IoU counts first, where there are two; "": the mean over classes does.
        note: what a reader of the numbers has to know of the split.
        test_again: the views of the test places under another draw of speckle, in the same order; (): there are none.
    """

    classes: tuple[str, ...]
    train: LabelledMasks
    test: LabelledMasks
    positive: str = ""
    note: str = ""
    test_again: Sequence[tuple[Backscatter, ...]] = ()


@dataclass(frozen=True)
class DataSet:
    """A data set that the benchmark knows.

    Attributes:
        folder: where it lies below `benchmark.data_dir`, unless `benchmark.paths` says otherwise.
        source: where it is to be had, for the message of one that is missing.
        read: reads it from its folder; raises DataSetError.
        real: whether every pixel was measured by a radar; what is not is called by its name in tables.
        make: makes one that is absent; None: nobody but its source can.
    """

    folder: str
    source: str
    read: Callable[[Path], Any]
    real: str = "real"
    make: Callable[[Path], None] | None = None

    def open(self, path: Path) -> Any:
        """Read it.

        Raises:
            DataSetMissing: there is no such folder.
            DataSetError: it cannot be used.
        """
        if self.make is not None:
            self.make(path)
        if not path.is_dir():
            raise DataSetMissing(f"not found at {path}, get it from {self.source}")
        return self.read(path)


DATA_SETS: Registry[DataSet] = Registry("data set of the benchmark")
"""Every data set by the name that tasks and `benchmark.paths` give it."""
