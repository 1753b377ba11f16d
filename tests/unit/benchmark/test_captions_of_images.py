"""Captioning of real images: several references, the nearest image's caption, and texts without images."""

import json

import numpy as np
import pytest

from benchmark.baselines.trivial import Majority
from benchmark.datasets.base import DATA_SETS, DataSetError, Pairs
from benchmark.datasets.image_text import read_annotation_texts
from benchmark.metrics.captions import bleu4, cider_d
from benchmark.suite.base import NothingToJudge
from benchmark.suite.tasks.captioning import CAPTIONING
from corpus.geotiff.backscatter import Backscatter
from hcot_llm.schema.files import default_schema
from hcot_llm.text.render import render_caption
from support.paths import SHARED


def picture(level):
    array = np.full((1, 8, 8), level, np.float32)
    array[0, 0] = 0
    return Backscatter(array, ("unknown",), calibrated=False)


class Levels:
    """Embeds an image as its brightest value, and says the first value of every clause."""

    def embed(self, images):
        return np.array([[image.array.max(), 1.0] for image in images], np.float32)

    def read_clauses(self, images, values):
        return {clause: np.eye(len(known))[[0] * len(images)] for clause, known in values.items()}


TRAIN = Pairs([picture(-9), picture(9)], [("dark water lies here", "x"), ("bright houses stand in rows",)])
TEST = [("dark water lies here", "still dark water"), ("bright houses stand in rows",), ("dark calm water lies here",)]
DATA = Pairs([picture(-8), picture(8), picture(-7)], TEST, train=TRAIN)


def test_the_nearest_training_image_lends_its_first_caption():
    scores = CAPTIONING.run(DATA, "nearest_caption", Levels(), 0).scores
    said = ["dark water lies here", "bright houses stand in rows", "dark water lies here"]
    assert next(iter(scores)) == "cider_d"
    assert scores["cider_d"].value == pytest.approx(cider_d(said, TEST).mean())
    assert scores["bleu4"].value == pytest.approx(bleu4(said, TEST))
    assert scores["cider_d_shuffled"].value < scores["cider_d"].value
    assert scores["cider_d_grey"].value < scores["cider_d"].value


def test_a_further_reference_of_an_image_can_only_help_bleu():
    one = Pairs(DATA.images, [captions[:1] for captions in TEST], train=TRAIN)
    scores = [CAPTIONING.run(data, "nearest_caption", Levels(), 0).scores["bleu4"].value for data in (one, DATA)]
    assert scores[0] <= scores[1]


def test_clauses_that_a_method_reads_become_a_caption_of_a_real_image():
    schema = default_schema()
    wanted = {clause: schema.vocabulary[clause][0] for clause in schema.names}
    data = Pairs(DATA.images, [(render_caption(schema, wanted, seed=row),) for row in range(3)])
    scores = CAPTIONING.run(data, "zero_shot", Levels(), 0).scores
    assert scores["bleu4"].value == pytest.approx(1)


def test_without_training_captions_or_clauses_there_is_no_cell():
    alone = Pairs(DATA.images, TEST)
    for setting, method in (("nearest_caption", Levels()), ("no_image", Majority())):
        with pytest.raises(NothingToJudge):
            CAPTIONING.run(alone, setting, method, 0)
    with pytest.raises(NothingToJudge):
        CAPTIONING.run(DATA, "by_clauses", Levels(), 0)


def test_the_caption_that_follows_from_no_image_is_the_most_typical_one():
    assert Majority().guess_caption(["a b c d", "a b c e", "a b c d e", "x y"]) == "a b c d e"
    data = Pairs((), TEST, train=Pairs((), [("dark water lies here",), ("dark water lies there",), ("a port",)]))
    scores = CAPTIONING.run(data, "no_image", Majority(), 0).scores
    assert {"cider_d", "cider_d_other_reference"} <= set(scores)
    assert "cider_d_grey" not in scores


def write_texts(folder, records):
    (folder / "caption_part1.json").write_text(json.dumps(records))
    return folder


def test_sentences_of_a_record_become_one_text(tmp_path):
    records = [{"image_id": n, "Terrain": f"Hilly area {n}", "Water": "No water"} for n in range(40)]
    data = read_annotation_texts(write_texts(tmp_path, records))
    assert data.train is not None
    assert len(data.captions) + len(data.train.captions) == 40
    assert all(text.endswith(". No water.") for (text,) in data.captions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "is no list of records"),
        ([{"Terrain": "x"}], r"caption_part1\.json, record 1: it has no image_id"),
        ([{"image_id": 1, "Terrain": 5}], "record 1: it has no sentence"),
        ([{"image_id": 1, "Terrain": "x"}], "has 1 texts; that is too few"),
    ],
)
def test_wrong_texts_are_refused_with_their_record(tmp_path, content, message):
    with pytest.raises(DataSetError, match=message):
        read_annotation_texts(write_texts(tmp_path, content))


def test_real_annotation_texts_are_judged_without_an_image():
    folder = SHARED / "hcot"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    data = DATA_SETS.find("fusar_klip_text").open(folder)
    scores = CAPTIONING.run(data, "no_image", Majority(), 0).scores
    assert len(data.captions) > 250
    assert 0 < scores["bleu4"].value < 1
