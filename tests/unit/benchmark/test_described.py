"""Simulated scenes with exact truth, questions, retrieval and captions."""

import numpy as np
import pytest

from benchmark.baselines.own_encoder import OwnEncoder
from benchmark.baselines.trivial import Majority, NearestPixels
from benchmark.datasets import simulated
from benchmark.datasets.base import DataSetError
from benchmark.metrics.captions import bleu4, cider_d, rouge_l
from benchmark.suite import tasks
from benchmark.suite.answers import as_rows, derangement, grey_like
from benchmark.suite.base import SUITE, MethodInputs
from benchmark.suite.tasks.captioning import CAPTIONING
from benchmark.suite.tasks.retrieval import RETRIEVAL, recalls
from benchmark.suite.tasks.vqa import VQA, exact_by_kind, share_errors
from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import simulate_scene
from model.config import ModelConfig
from support.hcot import HCOT
from support.paths import ROOT

assert tasks  # registers them
SMALL = SceneConfig(tiles=20, tile_size_pixels=64, seed=5, cities=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated")
    simulated.make(path, SMALL)
    return path


def test_no_training_scene_is_near_a_test_scene(folder):
    scenes = simulated.read_scenes(folder)
    train, test, apart = scenes.split()
    assert simulated.distances_km(scenes.rows, train, test).min() == pytest.approx(apart)
    assert apart >= simulated.DISTANCE_KM
    assert not {scenes.rows[row]["city"] for row in train} & {scenes.rows[row]["city"] for row in test}


def test_a_degree_of_longitude_at_the_equator_is_111_km():
    rows = [{"lon": 0.0, "lat": 0.0}, {"lon": 1.0, "lat": 0.0}]
    assert simulated.distances_km(rows, [0], [1])[0, 0] == pytest.approx(111.2, abs=0.1)


def test_what_is_kept_is_what_was_simulated(folder):
    scenes, scene = simulated.read_scenes(folder), simulate_scene(SMALL, 3)
    bands = len(scene.bands)
    assert scenes.image(3).array.shape[0] == bands
    assert scenes.image(3).array == pytest.approx(10 * np.log10(np.maximum(scene.bands, 1e-6)), abs=0.05)
    assert scenes.rows[3]["facts"] == scene.truth.facts()
    water = np.isin(scene.truth.land_cover, [0, 1, 2])
    assert ((scenes.cover[3] == 0) == water).all()


def test_another_draw_of_speckle_is_of_the_same_ground():
    first, second = simulate_scene(SMALL, 3), simulate_scene(SMALL, 3, speckle=1)
    assert np.array_equal(first.truth.land_cover, second.truth.land_cover)
    assert not np.array_equal(first.bands, second.bands)
    assert np.median(first.bands) == pytest.approx(np.median(second.bands), rel=0.2)


def test_classes_of_scenes_are_judged_under_another_draw_of_speckle(folder):
    data = simulated.read_by_fact(folder, "terrain")
    assert data.test_again.labels.tolist() == data.test.labels.tolist()
    assert not np.array_equal(data.test_again.images[0].array, data.test.images[0].array)
    scores = SUITE["classification_land_cover"].run(data, "knn5", NearestPixels(), 0).scores
    assert {"accuracy_other_speckle", "same_answer_other_speckle"} <= set(scores)
    assert 0 <= scores["same_answer_other_speckle"].value <= 1


def test_damaged_scenes_are_refused(folder, tmp_path):
    (tmp_path / "scenes.json").write_text("{")
    (tmp_path / "scenes.npz").write_bytes((folder / "scenes.npz").read_bytes())
    with pytest.raises(DataSetError, match="are damaged"):
        simulated.read_scenes(tmp_path)


def test_answers_follow_from_the_pixels(folder):
    scenes = simulated.read_scenes(folder)
    cover = scenes.cover.copy()
    cover[0], cover[0, :32, 32:] = 1, 3  # cropland, but for a wood in the north-east
    said = simulated.answers_of(simulated.Scenes(scenes.decibels, scenes.again, cover, scenes.rows), 0)
    assert (said["main_landform"], said["regional_landform:northeast"]) == ("cropland", "forest")
    assert (said["all_landforms:forest"], said["all_landforms:water"]) == ("yes", "no")
    # A quarter is 0.25, which rounds to the nearest even tenth.
    assert (said["land_cover_share:forest"], said["land_cover_share:cropland"]) == ("0.2", "0.8")


def one_hot(rows, answers):
    return np.eye(answers)[rows]


def test_exact_matches_are_counted_by_kind():
    truth = {"count": np.array([0, 1]), "all_landforms:a": np.array([0, 1]), "all_landforms:b": np.array([1, 1])}
    truth |= {"regional_landform:n": np.array([0, 0]), "regional_landform:s": np.array([1, 0])}
    said = {question: one_hot(rows, 3) for question, rows in truth.items()}
    said["all_landforms:b"] = one_hot([1, 0], 3)
    said["regional_landform:s"] = one_hot([0, 0], 3)
    right = exact_by_kind(said, truth)
    assert right["count"].tolist() == [1, 1]
    assert right["all_landforms"].tolist() == [1, 0]  # all parts or nothing
    assert right["regional_landform"].tolist() == [0.5, 1]


def test_the_error_of_a_share_is_that_of_what_is_expected():
    said = {"land_cover_share:a": np.array([[0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]])}
    assert share_errors(said, {"land_cover_share:a": np.array([3])}) == pytest.approx([0.2])


def test_no_image_stays_in_its_place_when_images_are_shuffled():
    order = derangement(50, 3)
    assert sorted(order) == list(range(50))
    assert (order != np.arange(50)).all()


def test_a_grey_image_shows_nothing(folder):
    image = simulated.read_scenes(folder).image(0)
    grey = grey_like(image)
    assert grey.array.std(axis=(1, 2)) == pytest.approx(0)
    assert grey.array.shape == image.array.shape


def test_the_majority_answers_alike_with_and_without_an_image(folder):
    data = simulated.read_questions(folder)
    scores = VQA.run(data, "light_head", Majority(), 0).scores
    assert scores["exact"].value == scores["exact_grey"].value == pytest.approx(scores["exact_shuffled"].value)
    assert {f"exact_{kind}" for kind in ("count", "recognition", "position", "regional_landform")} <= set(scores)


def test_rows_of_probabilities_fit_their_texts():
    said = {"a": np.array([[0.25, 0.75], [1, 0]]), "b": np.array([[1, 0], [0, 1.0]])}
    rows = as_rows(said, ["a", "b"])
    text = as_rows({"a": one_hot([0, 0], 2), "b": one_hot([0, 0], 2)}, ["a", "b"])
    assert (rows * text).sum(1) / 2 == pytest.approx([(0.5 + 1) / 2, 0.5])


def test_retrieval_is_whole_for_equal_embeddings_and_chance_for_a_grey_image():
    rows = np.eye(40)
    scores = recalls(rows, rows, [str(i) for i in range(40)], 0, [str(i) for i in range(40)])
    assert scores["mean_recall"].value == 1
    assert scores["text_to_image_r1"].value == 1
    assert scores["mean_recall_grey"].value < 0.2
    assert scores["mean_recall_shuffled"].value < 0.2


def test_the_interval_of_a_recall_is_that_of_drawn_images():
    rows, groups = np.eye(40), [str(i) for i in range(40)]
    half = np.roll(rows, 1, axis=0)
    half[:20] = rows[:20]
    scores = recalls(half, rows, groups, 0, groups)
    estimate = scores["mean_recall"]
    assert estimate.low < estimate.value < estimate.high
    by_hand = [scores[f"{way}_r{rank}"].value for way in ("image_to_text", "text_to_image") for rank in (1, 5, 10)]
    assert estimate.value == pytest.approx(np.mean(by_hand))


def test_answers_under_another_draw_of_speckle_are_judged_too(folder):
    data = simulated.read_questions(folder)
    assert len(data.test_again) == len(data.test.images)
    scores = VQA.run(data, "light_head", Majority(), 0).scores
    assert scores["exact_other_speckle"].value == scores["exact"].value
    clauses = simulated.read_clauses(folder)
    scores = RETRIEVAL.run(clauses, "by_clauses", Majority(), 0).scores
    assert scores["mean_recall_other_speckle"].value == pytest.approx(scores["mean_recall"].value)


def test_captions_of_the_truth_are_perfect_in_their_clauses_and_not_in_their_words(folder):
    data = simulated.read_clauses(folder)

    class Knows:
        def read_clauses(self, images, values):
            count = len(data.test.images)
            assert len(images) == 2 * count + 1  # under two draws of speckle, and a grey one, last
            known = {c: [values[c].index(answer) for answer in data.test.answers[c]] for c in values}
            return {c: one_hot([*known[c], *[0] * count, 0], len(values[c])) for c in values}

    scores = CAPTIONING.run(data, "zero_shot", Knows(), 0).scores
    assert scores["clause_accuracy"].value == 1
    assert 0.1 < scores["bleu4"].value <= 1
    assert scores["clause_accuracy_shuffled"].value < 1
    assert scores["clause_accuracy_grey"].value < 1
    assert scores["clause_accuracy_other_speckle"].value == scores["clause_accuracy_grey"].value
    assert scores["ece"].value == pytest.approx(0)
    assert scores["bleu4"].low < scores["bleu4"].value < scores["bleu4"].high


def test_our_encoder_reads_clauses_and_embeds_captions(folder, tmp_path):
    from actors.weights import create_weights

    create_weights(HCOT, tmp_path / "weights", ModelConfig.from_yaml(ROOT / "configs" / "model" / "tiny.yaml"), seed=0)
    ours = OwnEncoder().open(MethodInputs(weights_dir=tmp_path / "weights"))
    data = simulated.read_clauses(folder)
    said = ours.read_clauses(data.test.images, data.values)
    assert all(rows.sum(1) == pytest.approx(np.ones(len(data.test.images)), abs=1e-4) for rows in said.values())
    assert set(RETRIEVAL.run(data, "zero_shot", ours, 0).scores) >= {"mean_recall", "image_to_text_r10"}
    assert RETRIEVAL.applies("by_clauses", NearestPixels())
    assert not RETRIEVAL.applies("zero_shot", NearestPixels())
    features = ours.embed(data.test.images[:2])
    assert np.allclose(features[:1], ours.embed(data.test.images[:1]), atol=1e-4)  # other images change nothing
    network, widths = ours.map_network()
    maps = network(ours.map_images(data.test.images[:2]))
    assert [each.shape[1] for each in maps] == list(widths)
    assert maps[0].shape[-1] * 4 == ours.map_side


def test_bleu_is_that_by_hand():
    assert bleu4(["the cat sat on the mat"], [["The cat sat on the mat."]]) == pytest.approx(1)
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 fours, and one word too few of six.
    expected = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * np.exp(1 - 6 / 5)
    assert bleu4(["a b c d x"], [["a b c d e f"]]) == pytest.approx(expected)
    assert bleu4(["a b"], [["c d"]]) == 0


def test_rouge_is_that_by_hand():
    # Longest common subsequence "a c d" of 3; precision 3/4, recall 3/5.
    precision, recall = 3 / 4, 3 / 5
    f = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(["a c x d"], [["a b c d e"]]) == pytest.approx([f])


def test_cider_counts_what_is_rare_and_nothing_that_all_texts_have():
    references = [["water lies here"], ["forest lies here"]]
    right, wrong = cider_d(["water lies here", "water lies here"], references)
    assert right > 2
    assert wrong == 0
    # By hand for single words: "lies" and "here" are in both texts, so "water" alone counts; all four orders: words,
    # pairs and triples have one that is rare, of four words there is none.
    assert right == pytest.approx(10 * 3 / 4)
