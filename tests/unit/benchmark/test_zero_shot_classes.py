"""Classification by sentences about the classes, without learning."""

import numpy as np
import pytest

from benchmark.datasets.base import Classification, LabelledImages, SeveralLabels
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.prompts import TEMPLATES, VERSION, cosines, prompts_sha256, sentences_of
from benchmark.suite.tasks.classification import SETTINGS, ClassificationTask

CLASSES = ("bright_field", "dark_field")


class ByBrightness:
    """Embeds a picture by whether it is bright, and a sentence by the word in it."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed_pairs(self, images, texts):
        self.read += texts
        seen = [[1.0, 0.1] if image.array.mean() > 30 else [0.1, 1.0] for image in images]
        said = [[2.0, 0.0] if "bright field" in text else [0.0, 0.5] for text in texts]
        return np.array(seen, np.float32), np.array(said, np.float32)


def labelled(levels):
    images = [as_backscatter(np.full((8, 8), level, np.uint8)) for level in levels]
    labels = np.array([0 if level > 100 else 1 for level in levels])
    return LabelledImages(images, labels, [str(number) for number in range(len(levels))])


def test_the_mean_direction_of_all_sentences_of_a_class_decides():
    method, task = ByBrightness(), ClassificationTask("", ())
    assert task.applies("zero_shot", method)
    assert not task.applies("knn5", method)
    data = Classification(CLASSES, labelled([200, 5]), labelled([210, 4, 220, 3]))
    scores = task.run(data, "zero_shot", method, 0).scores
    assert scores["accuracy"].value == 1
    assert scores["accuracy_grey"].value == 0.5  # a grey image is always of one class
    assert scores["accuracy_shuffled"].value < 1
    assert len(method.read) == 2 * 2 * len(TEMPLATES)  # once more for the grey image
    assert method.read[0] == "a radar image of bright field."


def test_cosines_are_those_worked_out_by_hand():
    found = cosines(ByBrightness(), labelled([200]).images, CLASSES)
    length = (1 + 0.01) ** 0.5
    assert found[0] == pytest.approx([1 / length, 0.1 / length])


def test_of_several_labels_the_cosine_ranks_the_images():
    data = labelled([210, 4, 220, 3])
    has = np.stack([data.labels == 0, data.labels == 1], axis=1)
    several = SeveralLabels(CLASSES, data, data, has, has)
    scores = ClassificationTask("", ()).run(several, "zero_shot", ByBrightness(), 0).scores
    assert scores["mean_average_precision"].value == 1


def test_the_sentences_are_of_the_version_that_the_setting_names():
    # Another hash: raise VERSION, and write the new hash here.
    assert (VERSION, prompts_sha256()[:16]) == (1, "05ca1c946fac4f4e")
    assert f"version {VERSION}" in SETTINGS["zero_shot"].about
    assert sentences_of("A320-321")[0] == "a radar image of A320 321."
