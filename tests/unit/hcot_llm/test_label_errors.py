"""Errors put into right labels: how many, of which kind, alike in a group, and the same for the same seed."""

import numpy as np
import pytest

from hcot_llm.initial.label_errors import LabelErrorsConfig, with_errors

LABELS = np.arange(6000) % 6
ALONE = [str(number) for number in range(len(LABELS))]


def errors(kind: str, share: float, seed: int = 0, groups=ALONE, labels=LABELS, **more) -> np.ndarray:
    config = LabelErrorsConfig(kind=kind, share=share)
    return with_errors(labels, 6, config, groups=groups, seed=seed, **more)


def test_no_errors_leave_the_labels_alone():
    assert (errors("none", 0.4) == LABELS).all()
    assert (errors("symmetric", 0.0) == LABELS).all()


def test_symmetric_errors_are_any_other_value_alike():
    wrong = errors("symmetric", 0.4)
    assert (wrong != LABELS).mean() == pytest.approx(0.4, abs=0.02)
    steps = (wrong - LABELS)[wrong != LABELS] % 6
    assert np.bincount(steps, minlength=6)[1:] / len(steps) == pytest.approx([0.2] * 5, abs=0.03)


def test_class_dependent_errors_are_the_next_value():
    wrong = errors("class_dependent", 0.3)
    assert (wrong != LABELS).mean() == pytest.approx(0.3, abs=0.02)
    assert set((wrong - LABELS)[wrong != LABELS] % 6) == {1}


def test_image_dependent_errors_are_where_the_weak_classifier_is_most_wrong():
    taken_for = np.full((len(LABELS), 6), 0.1)
    taken_for[np.arange(len(LABELS)), LABELS] = 0.5
    hard = np.arange(0, len(LABELS), 10)
    taken_for[hard, (LABELS[hard] + 2) % 6] = 0.9
    wrong = errors("image_dependent", 0.1, taken_for=taken_for)
    assert np.flatnonzero(wrong != LABELS).tolist() == hard.tolist()
    assert set((wrong - LABELS)[hard] % 6) == {2}


@pytest.mark.parametrize("kind", ["symmetric", "class_dependent"])
def test_images_of_one_group_are_wrong_alike(kind):
    labels, groups = np.repeat(np.arange(2000) % 6, 3), [str(number // 3) for number in range(6000)]
    wrong = errors(kind, 0.4, groups=groups, labels=labels).reshape(-1, 3)
    assert (wrong == wrong[:, :1]).all()


def test_the_same_seed_makes_the_same_errors_in_whatever_order_the_images_come():
    order = np.random.default_rng(0).permutation(len(LABELS))
    straight = errors("symmetric", 0.4)
    shuffled = errors("symmetric", 0.4, groups=[ALONE[row] for row in order], labels=LABELS[order])
    assert (straight[order] == shuffled).all()
    assert (straight != errors("symmetric", 0.4, seed=1)).any()
