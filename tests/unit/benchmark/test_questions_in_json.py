"""Questions on images in JSON: what is read, what is refused, and how answers are judged."""

import json

import numpy as np
import pytest

from benchmark.baselines.trivial import Majority
from benchmark.datasets.base import Asked, AskedImages, DataSetError
from benchmark.datasets.image_questions import read_image_questions
from benchmark.suite.base import NothingToJudge
from benchmark.suite.tasks.vqa import VQA
from corpus.geotiff.backscatter import Backscatter
from support.labelled_images import write_chip

COUNT, COVER = ("count", "How many ships?"), ("land cover", "What fills most of the image?")


def record(image, question, answer, split="test", **more):
    return {"image": image, "kind": question[0], "question": question[1], "answer": answer, "split": split, **more}


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        write_chip(tmp_path / "images" / f"{number}.png", number)
    return tmp_path


def write(folder, content):
    (folder / "questions.json").write_text(json.dumps(content))
    return folder


def test_records_become_questions_on_images_and_a_kind_of_numbers_is_known(folder):
    records = [
        record("0.png", COUNT, 2, "train"),
        record("0.png", COVER, "Water", "train"),
        record("1.png", COUNT, "2.0"),
        record("1.png", COVER, " water "),
        record("2.png", COUNT, 0),
        record("3.png", COVER, "x", "val"),
    ]
    data = read_image_questions(write(folder, records))
    assert (len(data.test.images), data.test.of) == (2, [0, 0, 1])
    assert data.test.answers == ["2", "water", "0"]
    assert data.numbers == {"count"}
    assert data.choices[COUNT] == ("2",)
    assert data.choices[COVER] == ("water",)


def test_choices_of_a_question_come_before_what_training_images_answer(folder):
    records = [record("0.png", COVER, "a", choices=["a", "b"]), record("1.png", ("land cover", "And else?"), "b")]
    data = read_image_questions(write(folder, records))
    assert data.choices == {COVER: ("a", "b"), ("land cover", "And else?"): ()}
    assert data.train is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"questions\.json is no list of records"),
        ([[]], "record 1: it is no record"),
        ([{"image": "0.png", "question": "?", "answer": "a"}], "record 1: it has no kind"),
        ([record("0.png", COUNT, None)], "record 1: it has no answer"),
        ([record("9.png", COUNT, 1)], r"record 1: there is no image .*9\.png"),
        ([record("../9.png", COUNT, 1)], "leads out of"),
        ([record("0.png", COUNT, 1, "new")], "record 1: split is 'new'"),
        ([record("0.png", COUNT, 1, "train")], "has no question to judge"),
        ([record("0.png", COVER, "c", choices=["a"])], "record 1: the answer 'c' is none of its choices: a"),
        ([record("0.png", COVER, "c", choices="c")], "record 1: choices is no list"),
        ([record("0.png", COUNT, 1, "train"), record("0.png", COUNT, 1)], r"record 2: the image .* is in train too"),
    ],
)
def test_wrong_questions_are_refused_with_their_record(folder, content, message):
    with pytest.raises(DataSetError, match=message):
        read_image_questions(write(folder, content))


def picture(level):
    return Backscatter(np.full((1, 8, 8), level, np.float32), ("unknown",), calibrated=False)


def asked(answers, of, questions, levels):
    return AskedImages([picture(level) for level in levels], of, questions, answers)


class Reader:
    """Answers by the image's level, as a number of the choices; never sure of a third choice."""

    def __init__(self):
        self.heard = []

    def read_answers(self, images, asked, values):
        [(name, words)] = asked.items()
        self.heard.append(words)
        rows = [int(image.array.max()) % len(values[name]) for image in images]
        return {name: np.eye(len(values[name]))[rows] * 0.8 + 0.2 / len(values[name])}


def test_a_skipped_answer_is_wrong_and_counts_as_zero_among_numbers():
    questions = [COUNT, COUNT, ("count", "How many aircraft?"), COVER]
    data = Asked(
        asked(["1", "3", "4", "b"], [0, 1, 0, 1], questions, [1, 1]),
        None,
        {COUNT: ("0", "1"), ("count", "How many aircraft?"): (), COVER: ("a", "b")},
        frozenset({"count"}),
    )
    method = Reader()
    scores = VQA.run(data, "zero_shot", method, 0).scores
    assert method.heard == ["How many ships?", "What fills most of the image?"]
    assert scores["exact_count"].value == pytest.approx(1 / 3)
    assert scores["exact_land cover"].value == 1
    assert scores["exact"].value == pytest.approx(2 / 3)
    assert scores["mae_count"].value == pytest.approx((0 + 2 + 4) / 3)
    assert "mae_land cover" not in scores
    assert scores["answered"].value == 0.75


def test_a_head_learns_each_question_and_the_controls_lose_what_the_image_shows():
    levels = [0, 1] * 12
    train = asked([str(level) for level in levels], list(range(24)), [COUNT] * 24, levels)
    test = asked(["0", "1"] * 6, list(range(12)), [COUNT] * 12, [0, 1] * 6)

    class Level:
        def embed(self, images):
            return np.array([[image.array.max(), 0.0] for image in images], np.float32)

    data = Asked(test, train, {COUNT: ("0", "1")}, frozenset({"count"}))
    scores = VQA.run(data, "light_head", Level(), 0).scores
    assert scores["exact"].value == 1
    assert scores["mae_count"].value == 0
    assert scores["exact_grey"].value == 0.5
    assert scores["exact_shuffled"].value < 1
    common = VQA.run(data, "light_head", Majority(), 0).scores
    assert common["exact"].value == 0.5


def test_a_head_needs_training_questions():
    data = Asked(asked(["1"], [0], [COUNT], [1]), None, {COUNT: ("0", "1")})
    with pytest.raises(NothingToJudge):
        VQA.run(data, "light_head", Majority(), 0)


def test_a_question_that_training_images_were_not_asked_is_skipped_by_a_head():
    train = asked(["1", "0"], [0, 1], [COUNT] * 2, [1, 0])
    data = Asked(asked(["a"], [0], [COVER], [1]), train, {COUNT: ("0", "1"), COVER: ("a",)})
    scores = VQA.run(data, "light_head", Majority(), 0).scores
    assert (scores["exact"].value, scores["answered"].value) == (0, 0)
    assert "ece" not in scores
