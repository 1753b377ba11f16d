"""COCO's average precision: cases by hand, equal to pycocotools' own figures, weights, counts."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from benchmark.datasets.detection import NOTHING, Found, LabelledBoxes
from benchmark.metrics.box_overlap import overlap, suppressed
from benchmark.metrics.detection import AREAS, best_threshold, count_errors, detection_scores, matched


def truth_of(boxes, labels=None, groups=None):
    boxes = [np.asarray(each, float).reshape(-1, 4) for each in boxes]
    labels = [np.zeros(len(each), np.int64) for each in boxes] if labels is None else labels
    groups = [str(index) for index in range(len(boxes))] if groups is None else groups
    return LabelledBoxes([None] * len(boxes), [(500, 500)] * len(boxes), boxes, labels, groups)


def found_of(boxes, scores, labels=None):
    count = len(scores)
    return Found(np.asarray(boxes, float), np.asarray(scores), np.zeros(count, np.int64) if labels is None else labels)


def test_overlap_is_that_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 8.0]])
    assert overlap(boxes[:1], boxes)[0] == pytest.approx([1, 50 / 150, 0, 0])


def test_a_box_that_overlaps_a_surer_one_of_its_class_goes():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 0, 40, 10.0]])
    kept = suppressed(boxes, np.array([0.5, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0]))
    assert kept.tolist() == [1, 2, 3]


def test_average_precision_is_that_by_hand():
    # Three objects. Right at .9, wrong at .8, right at .7; one is never found.
    truth = truth_of([[[0, 0, 20, 20], [50, 50, 70, 70]], [[0, 0, 20, 20]]])
    found = [found_of([[0, 0, 20, 20], [50, 50, 70, 70]], [0.9, 0.7]), found_of([[100, 100, 120, 120]], [0.8])]
    scores = detection_scores(truth, found, ("ship",), 0.75)
    # Precision 1 up to recall 1/3 (34 of the 101 recalls), 2/3 up to 2/3 (33 more), then 0.
    assert scores["ap50"].value == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert scores["ap"].value == pytest.approx(scores["ap50"].value)
    assert scores["ap_small"].value == pytest.approx(scores["ap50"].value)
    assert scores["count_mae"].value == pytest.approx((1 + 0) / 2)
    assert "ap_large" not in scores


def test_a_box_counts_at_the_overlaps_that_it_reaches():
    # 16 of 20 rows are shared: an overlap of .8 is right at seven of the ten thresholds (.5 to .8).
    truth = truth_of([[[0, 0, 20, 20]], [[0, 0, 20, 20]]])
    found = [found_of([[0, 0, 20, 16.02]], [0.9]), found_of([[0, 0, 20, 16.02]], [0.8])]
    scores = detection_scores(truth, found, ("ship",), 0.5)
    assert (scores["ap50"].value, scores["ap75"].value) == (1, 1)
    assert scores["ap"].value == pytest.approx(0.7)


def test_the_right_place_of_the_wrong_class_counts_only_whatever_the_class():
    truth = truth_of([[[0, 0, 20, 20]], [[0, 0, 20, 20]]], [np.array([0]), np.array([1])])
    found = [found_of([[0, 0, 20, 20]], [0.9], np.array([0])), found_of([[0, 0, 20, 20]], [0.9], np.array([0]))]
    scores = detection_scores(truth, found, ("a", "b"), 0.5)
    assert scores["ap50"].value == pytest.approx(0.5, abs=0.01)  # class a: 1 of its two is right; class b: 0
    assert scores["ap50_any_class"].value == 1


def random_case(images=12, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    boxes, labels, found = [], [], []
    for _ in range(images):
        low = generator.uniform(0, 300, (generator.integers(0, 5), 2))
        own = np.concatenate([low, low + generator.uniform(10, 150, low.shape)], axis=1)
        kinds = generator.integers(0, classes, len(own))
        near = own + generator.normal(0, 4, own.shape)
        far = generator.uniform(0, 200, (3, 2))
        said = np.concatenate([near, np.concatenate([far, far + 60], axis=1)])
        boxes.append(own)
        labels.append(kinds)
        guesses = np.concatenate([np.where(generator.random(len(own)) < 0.8, kinds, 0), generator.integers(0, 3, 3)])
        found.append(Found(said, generator.random(len(said)).round(2), guesses))
    return truth_of(boxes, labels), found


def test_figures_are_those_of_pycocotools(monkeypatch):
    truth, found = random_case()
    judges = []
    before = COCOeval.evaluate
    monkeypatch.setattr(COCOeval, "evaluate", lambda self: (judges.append(self), before(self))[1])
    sizes = matched(truth, found, 3)
    with contextlib.redirect_stdout(io.StringIO()):
        judges[0].accumulate()
    precision = judges[0].eval["precision"][..., 0]  # [thresholds, recalls, classes, sizes]
    every = np.ones(len(truth))
    for place, size in enumerate(AREAS):
        for label in range(3):
            theirs = precision[:, :, label, place]
            expected = np.nan if (theirs < 0).all() else theirs.mean(axis=1)
            assert sizes[size][label].average_precision(every) == pytest.approx(expected, nan_ok=True)


def test_an_image_of_weight_two_counts_as_if_it_were_there_twice():
    truth, found = random_case(4)
    twice = LabelledBoxes(*([*getattr(truth, name), getattr(truth, name)[0]] for name in vars(truth)))
    [once] = matched(truth, found, 1)["all"]
    [doubled] = matched(twice, [*found, found[0]], 1)["all"]
    weighed = once.average_precision(np.array([2.0, 1, 1, 1]))
    assert weighed == pytest.approx(doubled.average_precision(np.ones(5)), abs=0.02)


def test_nothing_found_is_a_precision_of_zero():
    truth = truth_of([[[0, 0, 20, 20]], [[0, 0, 20, 20], [30, 0, 50, 20]]])
    scores = detection_scores(truth, [NOTHING, NOTHING], ("ship",), 0.5)
    assert (scores["ap"].value, scores["count_mae"].value) == (0, 1.5)


def test_images_of_one_group_have_no_interval():
    truth = truth_of([[[0, 0, 20, 20]], [[0, 0, 20, 20]]], groups=["a", "a"])
    scores = detection_scores(truth, [NOTHING, NOTHING], ("ship",), 0.5)
    assert all(score.low is None for score in scores.values())


def test_the_threshold_of_counts_lies_between_right_and_wrong():
    truth = truth_of([[[0, 0, 20, 20]], [[0, 0, 20, 20]]])
    found = [found_of([[0, 0, 20, 20], [60, 0, 80, 20]], [0.9, 0.2]), found_of([[0, 0, 20, 20]], [0.6])]
    threshold = best_threshold(truth, found)
    assert 0.2 < threshold <= 0.6
    assert count_errors(truth, found, threshold).tolist() == [0, 0]


def test_one_sure_mistake_of_twenty_does_not_hide_unsure_objects():
    truth = truth_of([[[0, 0, 20, 20]]] * 20)
    sure = found_of([[0, 0, 20, 20]], [0.6])
    found = [found_of([[0, 0, 20, 20], [60, 0, 80, 20]], [0.95, 0.9]), *[sure] * 19]
    assert best_threshold(truth, found) <= 0.6


def test_the_threshold_is_found_above_thousands_of_weak_boxes():
    truth = truth_of([[[0, 0, 20, 20]]] * 20)
    at = np.arange(300)[:, None] * 30.0
    many = np.concatenate([at, at, at + 20, at + 20], axis=1)
    weak = np.linspace(0.01, 0.04, 299)
    found = [found_of(many, np.concatenate([[0.5], weak + index * 1e-6])) for index in range(20)]
    assert 0.039 < best_threshold(truth, found) < 0.05
