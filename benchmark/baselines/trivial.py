"""Methods that a figure has to beat before it means anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.baselines.features import pixel_side, pixel_statistics, resized, statistics
from benchmark.datasets.base import LabelledImages, LabelledMasks
from benchmark.suite.base import MethodInputs
from benchmark.suite.probes import knn, probabilities
from corpus.geotiff.backscatter import Backscatter
from corpus.storage.rng import derive_seed

_PIXELS = 32
_TREES = 200
_PIXELS_AN_IMAGE = 100


class Majority:
    """The most frequent class for everything."""

    about = "the most frequent class of the training images, its share as confidence"

    def open(self, inputs: MethodInputs) -> Majority:
        """Itself."""
        return self

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Class shares of the training images, for every test image."""
        shares = np.bincount(train.labels, minlength=classes) / len(train)
        return np.tile(shares, (len(test), 1))

    def segment(
        self, train: LabelledMasks, test: Sequence[tuple[Backscatter, ...]], classes: int, seed: int
    ) -> list[np.ndarray]:
        """Class shares of the training pixels, for every pixel."""
        counts = sum(np.bincount(mask.ravel(), minlength=256)[:classes] for mask in train.masks)
        shares = (np.asarray(counts) / np.sum(counts)).astype(np.float32)
        return [np.broadcast_to(shares[:, None, None], (classes, *views[0].array.shape[1:])) for views in test]

    def guess_caption(self, learned: Sequence[str]) -> str:
        """The most typical caption: that nearest the mean of all in words and pairs of words, weighed by rarity."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        weigh = TfidfVectorizer(token_pattern=r"[a-z0-9]+", ngram_range=(1, 2), sublinear_tf=True)
        rows = weigh.fit_transform(learned)
        return learned[int((rows @ np.asarray(rows.mean(axis=0)).T).argmax())]


class NearestPixels:
    """The picture itself as features."""

    about = (
        "decibels of 32 x 32 pixels as features; by itself: the class of the nearest training image; of masks: "
        "the light head on the picture alone"
    )
    tunable = False

    def open(self, inputs: MethodInputs) -> NearestPixels:
        """Itself."""
        return self

    def embed(self, images: Sequence[Backscatter]) -> np.ndarray:
        """float32 [N, 1024]."""
        return resized(images, _PIXELS).reshape(len(images), -1)

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """1 for the class of the nearest training image."""
        return knn(self.embed(train.images), train.labels, self.embed(test), classes, neighbours=1)

    def pixel_images(self, views: Sequence[tuple[Backscatter, ...]]) -> Any:
        """No image for an encoder, as there is none: float32 [N, 1, views, 0, S, S]."""
        import torch

        side = pixel_side(views)
        return torch.zeros(len(views), 1, len(views[0]), 0, side, side)

    def pixel_maps(self, channels: int, *, frozen: bool) -> tuple[None, tuple[()]]:
        """No map: the head reads the picture."""
        return None, ()


class Trees:
    """Extra-trees on statistics."""

    about = "200 extra-trees on statistics of intensity"

    def open(self, inputs: MethodInputs) -> Trees:
        """Itself."""
        return self

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Class shares of the trees' leaves."""
        return grow(statistics(train.images), train.labels, statistics(test), classes, seed)

    def segment(
        self, train: LabelledMasks, test: Sequence[tuple[Backscatter, ...]], classes: int, seed: int
    ) -> list[np.ndarray]:
        """Class shares of the trees' leaves at every second pixel, each for four."""
        generator = np.random.default_rng(derive_seed(seed, "benchmark pixels"))
        rows, labels = [], []
        for views, mask in zip(train.views, train.masks, strict=True):
            judged = np.flatnonzero(mask.ravel() < classes)
            some = generator.permutation(judged)[:_PIXELS_AN_IMAGE]
            rows.append(pixel_statistics(views)[some])
            labels.append(mask.ravel()[some].astype(np.int64))
        trees = planted(np.concatenate(rows), np.concatenate(labels), seed, least=5, count=60)
        said = []
        for views in test:
            height, width = views[0].array.shape[1:]
            coarse = pixel_statistics(views).reshape(height, width, -1)[::2, ::2]
            shares = np.zeros((classes, *coarse.shape[:2]), np.float32)
            shares[trees.classes_] = trees.predict_proba(coarse.reshape(-1, coarse.shape[2])).T.reshape(
                -1, *coarse.shape[:2]
            )
            said.append(shares.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width])
        return said


class SizeOnly:
    """A control: the size of an image, which says nothing of what is in it."""

    about = "control: nine nearest neighbours by height and width of the image alone; above chance, the sizes leak"

    def open(self, inputs: MethodInputs) -> SizeOnly:
        """Itself."""
        return self

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Class shares of the nine training images nearest in size."""
        from sklearn.neighbors import KNeighborsClassifier

        model = KNeighborsClassifier(min(9, len(train))).fit(_sizes(train.images), train.labels)
        return probabilities(model, _sizes(test), classes)


def grow(train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Probabilities float64 [N, classes] of extra-trees on features float [M, F] and [N, F]."""
    return probabilities(planted(train, labels, seed), test, classes)


def planted(rows: np.ndarray, labels: np.ndarray, seed: int, *, least: int = 1, count: int = _TREES) -> Any:
    """Fitted extra-trees.

    Args:
        rows: float [M, F].
        labels: int [M].
        seed: of the trees.
        least: rows in a leaf at least.
        count: number of trees.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(count, min_samples_leaf=least, random_state=seed % 2**32)
    return model.fit(rows, labels)


def _sizes(images: Sequence[Backscatter]) -> np.ndarray:
    return np.array([image.array.shape[1:] for image in images], np.float64)
