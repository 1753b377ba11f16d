"""Metrics against numbers worked out by hand, and against torchmetrics where it has the same one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error, multiclass_accuracy, multiclass_cohen_kappa

from benchmark.metrics.accuracy import annotation_accuracy, expected_calibration_error, repairs
from benchmark.metrics.agreement import balanced_accuracy, cohen_kappa, confusion_matrix
from benchmark.metrics.retrieval import retrieval
from benchmark.metrics.slots import slot_report

ABSENCE = {"road": "none", "target_count": "0"}
GROUP = {"terrain": "landform", "road": "landform", "target_count": "target"}
TRUTH = pa.table(
    {
        "tile_id": ["c", "a", "b", "unused"],
        "road": ["grid", "none", "sparse", "grid"],
        "terrain": ["coast", "plain", "hills", "plain"],
        "target_count": ["0", "2", "5", "1"],
        "scene": ["{}"] * 4,
    }
)


def table(rows, confidence=None):
    """'tile.clause' to value, as annotations."""
    keys = [key.split(".") for key in rows]
    columns = {
        "tile_id": [tile for tile, _ in keys],
        "clause": [clause for _, clause in keys],
        "value": list(rows.values()),
    }
    return pa.table(columns | ({"confidence": confidence} if confidence else {}))


BEFORE = {
    "a.terrain": "plain",
    "a.road": "grid",
    "a.target_count": "2",
    "b.terrain": "coast",
    "b.road": "sparse",
    "b.target_count": "3",
    "c.terrain": "hills",
    "c.road": "none",
    "c.target_count": "0",
}


def test_accuracy_is_what_is_counted_by_hand():
    report = annotation_accuracy(table(BEFORE, [0.9] * 9), TRUTH, GROUP, ABSENCE)
    # Right: a.terrain, a.target_count, b.road, c.target_count.
    assert report.overall == pytest.approx(4 / 9)
    assert report.by_clause == pytest.approx({"road": 1 / 3, "target_count": 2 / 3, "terrain": 1 / 3})
    assert report.by_group == pytest.approx({"landform": 2 / 6, "target": 2 / 3})
    # The truth states nothing for a.road and c.target_count.
    assert (report.n_annotations, report.n_stated, report.n_tiles) == (9, 7, 3)
    assert report.stated == pytest.approx(3 / 7)
    assert report.expected_calibration_error == pytest.approx(0.9 - 4 / 9)
    # Terrain and road have chance agreement; of target_count two of three agree, and 2/9 would by chance.
    assert report.mean_kappa == pytest.approx((0 + 0 + (2 / 3 - 2 / 9) / (1 - 2 / 9)) / 3)


def test_accuracy_does_not_depend_on_row_order():
    annotations = table(BEFORE, list(np.linspace(0, 1, 9)))
    shuffled = annotations.take([8, 2, 5, 0, 7, 1, 6, 4, 3])
    assert annotation_accuracy(annotations, TRUTH, GROUP, ABSENCE) == annotation_accuracy(
        shuffled, TRUTH.take([3, 1, 2, 0]), GROUP, ABSENCE
    )


def test_where_nothing_is_stated_stated_accuracy_and_calibration_are_unknown():
    report = annotation_accuracy(table({"a.road": "none"}), TRUTH, GROUP, ABSENCE)
    assert (report.overall, report.stated, report.expected_calibration_error) == (1.0, None, None)


def test_only_the_absence_value_of_a_clause_states_nothing():
    annotations = table(BEFORE)
    assert annotation_accuracy(annotations, TRUTH, GROUP, {}).n_stated == 9, "no clause has an absence value"
    assert annotation_accuracy(annotations, TRUTH, GROUP, {"terrain": "plain"}).n_stated == 8
    assert annotation_accuracy(annotations, TRUTH, GROUP, {"terrain": "none", "target_count": "none"}).n_stated == 9


@pytest.mark.parametrize(
    ("annotations", "truth", "message"),
    [
        (table({}), TRUTH, "no annotations"),
        (table({"z.road": "grid"}), TRUTH, "without a truth, such as z"),
        (table({"a.water": "sea"}), TRUTH, "no column for clause water"),
        (table({"a.road": "grid"}).rename_columns(["tile", "clause", "value"]), TRUTH, "missing: tile_id"),
        (pa.concat_tables([table({"a.road": "grid"})] * 2), TRUTH, "more than once"),
        (table({"a.road": "grid"}), pa.concat_tables([TRUTH, TRUTH]), "more than once"),
        (table({"a.scene": "{}"}), TRUTH, "without a group: scene"),
    ],
)
def test_bad_tables_are_refused(annotations, truth, message):
    with pytest.raises(ValueError, match=message):
        annotation_accuracy(annotations, truth, GROUP, ABSENCE)


def test_repairs_are_what_is_counted_by_hand():
    after = BEFORE | {
        "a.road": "none",  # true repair
        "b.terrain": "hills",  # true repair
        "a.terrain": "coast",  # false repair
        "b.target_count": "4",  # sideways
        "c.target_count": "0",
    }  # unchanged
    report = repairs(table(BEFORE), table(after), TRUTH)
    assert (report.true_repairs, report.false_repairs, report.sideways) == (2, 1, 1)
    assert (report.n_wrong_before, report.n_right_before) == (5, 4)
    assert (report.true_repair_rate, report.false_repair_rate) == (2 / 5, 1 / 4)


def test_without_an_error_there_is_no_repair_rate():
    right = table({"a.road": "none"})
    report = repairs(right, right, TRUTH)
    assert (report.true_repair_rate, report.false_repair_rate) == (None, 0.0)
    with pytest.raises(ValueError, match="same"):
        repairs(right, table({"b.road": "none"}), TRUTH)


def test_accuracy_gain_equals_true_minus_false_repairs():
    rng = np.random.default_rng(0)
    keys = list(BEFORE)
    pool = ["plain", "hills", "none", "grid", "sparse", "0", "2"]
    for _ in range(20):
        one, two = (table(dict(zip(keys, rng.choice(pool, 9), strict=True))) for _ in range(2))
        report = repairs(one, two, TRUTH)
        gain = (
            annotation_accuracy(two, TRUTH, GROUP, ABSENCE).overall
            - annotation_accuracy(one, TRUTH, GROUP, ABSENCE).overall
        )
        assert gain * 9 == pytest.approx(report.true_repairs - report.false_repairs)


def test_calibration_error_is_what_is_computed_by_hand():
    # Bins of 0.5: {0.2, 0.4} are right half the time: |0.3 - 0.5| * 2; {0.9, 1.0} always: |0.95 - 1| * 2; over 4.
    assert expected_calibration_error([0.2, 0.4, 0.9, 1.0], [True, False, True, True], bins=2) == pytest.approx(0.125)
    for bad in ([], [1.1], [float("nan")]):
        with pytest.raises(ValueError):
            expected_calibration_error(bad, [True] * len(bad))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_calibration_error_is_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(200), rng.random(200) < 0.6
    expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct).int(), n_bins=15, norm="l1")
    assert expected_calibration_error(confidence, correct) == pytest.approx(float(expected), abs=1e-6)


def test_retrieval_is_what_is_counted_by_hand():
    text = np.eye(4)
    image = np.array([[1, 0, 0, 0], [0.9, 0.5, 0, 0], [0, 0, 1, 0], [0.4, 0.3, 0.2, 0.1]])
    report = retrieval(image, text, ["w", "x", "y", "z"], ranks=(1, 2, 4))
    # Image ranks: 1, 2, 1, 4. Text ranks: w 1 (image 1 is less aligned), x: image 3 (.55) > 1 (.49): 2; y 1; z 1.
    assert report.image_to_text == {1: 0.5, 2: 0.75, 4: 1.0}
    assert report.text_to_image == {1: 0.75, 2: 1.0, 4: 1.0}
    assert report.mean_recall == pytest.approx((0.5 + 0.75 + 1 + 0.75 + 1 + 1) / 6)


def test_identical_captions_match_each_other():
    # Tiles 0 and 1 share a caption. Image 0 is nearest to that text, image 1 to the other.
    text = np.array([[1, 0], [1, 0], [0, 1]])
    image = np.array([[1, 0.1], [0.1, 1], [0, 1]])
    report = retrieval(image, text, ["same", "same", "other"], ranks=(1,))
    assert report.n_distinct_captions == 2
    assert report.image_to_text == {1: pytest.approx(2 / 3)}
    assert report.text_to_image == {1: 1.0}  # 'same' finds image 0, either of its two is a match
    assert retrieval(image, text, ["all"] * 3).mean_recall == 1.0


def test_collapsed_embeddings_earn_chance_level():
    report = retrieval(np.ones((100, 8)), np.ones((100, 8)), [str(i) for i in range(100)])
    assert report.mean_recall == 0.0


@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_retrieval_in_chunks_is_the_full_matrix(n, seed, chunk):
    rng = np.random.default_rng(seed)
    image, text = rng.normal(size=(2, n, 5))
    captions = [str(number) for number in rng.integers(0, n, n)]
    first = {caption: text[i] for i, caption in reversed(list(enumerate(captions)))}
    names = sorted(first)
    candidates = np.array([first[name] for name in names])
    similarity = (
        image
        / np.linalg.norm(image, axis=1, keepdims=True)
        @ (candidates / np.linalg.norm(candidates, axis=1, keepdims=True)).T
    )
    expected = np.mean([names[row.argmax()] == captions[i] for i, row in enumerate(similarity)])
    backward = np.mean([captions[column.argmax()] == names[j] for j, column in enumerate(similarity.T)])
    report = retrieval(image, text, captions, ranks=(1,), chunk=chunk)
    assert report.image_to_text[1] == pytest.approx(expected)
    assert report.text_to_image[1] == pytest.approx(backward)


@pytest.mark.parametrize(
    ("image", "text", "captions"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), ["a", "b"]),
        (np.ones((2, 3)), np.ones((2, 3)), ["a"]),
        (np.full((1, 3), np.nan), np.ones((1, 3)), ["a"]),
        (np.ones((0, 3)), np.ones((0, 3)), []),
    ],
)
def test_retrieval_refuses_what_does_not_fit_together(image, text, captions):
    with pytest.raises(ValueError, match="Retrieval needs"):
        retrieval(image, text, captions)


def test_slot_accuracy_is_what_is_counted_by_hand():
    predicted = table(
        {
            "a.target_count": "0",
            "b.target_count": "9",
            "c.target_count": "1",
            "a.terrain": "plain",
            "b.terrain": "plain",
            "c.terrain": "coast",
        }
    )
    report = slot_report(predicted, TRUTH, count_clause="target_count")
    assert report.accuracy == pytest.approx(2 / 6)
    assert report.by_clause == pytest.approx({"target_count": 0, "terrain": 2 / 3})
    assert report.count_mae == pytest.approx((2 + 4 + 1) / 3)
    assert report.count_mae_present == pytest.approx(3)
    assert slot_report(table({"a.terrain": "plain"}), TRUTH, count_clause="target_count").count_mae is None
    with pytest.raises(ValueError, match="target_count is a count"):
        slot_report(table({"a.target_count": "many"}), TRUTH, count_clause="target_count")


def test_agreement_is_what_is_counted_by_hand():
    true, found = ["x"] * 8 + ["y"] * 2, ["x"] * 10
    assert balanced_accuracy(found, true) == 0.5
    assert cohen_kappa(found, true) == 0.0
    assert cohen_kappa(true, true) == 1.0
    assert cohen_kappa(found, found) == 1.0
    matrix, classes = confusion_matrix(["y", "z"], ["x", "z"])
    assert classes == ["x", "y", "z"]
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    # A predicted class that never is true does not enter the mean.
    assert balanced_accuracy(["y", "z"], ["x", "z"]) == 0.5
    with pytest.raises(ValueError, match="as many"):
        cohen_kappa(["x"], [])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=50))
@settings(max_examples=40, deadline=None)
def test_agreement_is_torchmetrics(pairs):
    found, true = (torch.tensor(column) for column in zip(*pairs, strict=True))
    names = [list(map(str, column.tolist())) for column in (found, true)]
    if len(set(names[0]) | set(names[1])) > 1:
        assert cohen_kappa(*names) == pytest.approx(float(multiclass_cohen_kappa(found, true, num_classes=4)), abs=1e-5)
    recall = multiclass_accuracy(found, true, num_classes=4, average="none")
    present = torch.isin(torch.arange(4), true)
    assert balanced_accuracy(*names) == pytest.approx(float(recall[present].mean()), abs=1e-5)
