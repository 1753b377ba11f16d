"""Means over fields, with intervals that count windows of one block once."""

import numpy as np
import pytest

from benchmark.metrics.agreement import cohen_kappa
from benchmark.metrics.block_bootstrap import block_of, mean_score


def fields(windows: int, right: float):
    generator = np.random.default_rng(4)
    true = [generator.choice(list("abc"), windows).tolist() for _ in range(3)]
    said = [[v if generator.random() < right else "a" for v in field] for field in true]
    return said, true


def test_the_mean_is_that_of_the_fields_and_lies_within_its_interval():
    said, true = fields(80, 0.7)
    found = mean_score(said, true, list(range(80)))
    accuracy = np.mean([np.mean([a == b for a, b in zip(*pair, strict=True)]) for pair in zip(said, true, strict=True)])
    assert found.accuracy == pytest.approx(accuracy)
    assert found.kappa == pytest.approx(np.mean([cohen_kappa(*pair) for pair in zip(said, true, strict=True)]))
    assert found.accuracy_interval[0] < found.accuracy < found.accuracy_interval[1]
    assert found.kappa_interval[0] < found.kappa < found.kappa_interval[1]


def test_windows_that_are_drawn_together_widen_the_interval():
    said, true = ([field * 8 for field in each] for each in fields(20, 0.7))
    apart = mean_score(said, true, list(range(160))).accuracy_interval
    together = mean_score(said, true, list(range(20)) * 8).accuracy_interval
    assert together[1] - together[0] > 1.8 * (apart[1] - apart[0])


def test_the_same_draws_give_the_same_interval():
    said, true = fields(30, 0.5)
    assert mean_score(said, true, list(range(30))) == mean_score(said, true, list(range(30)))


def test_a_block_is_some_eleven_kilometres_of_ground():
    assert block_of(-118.34, 34.05) == block_of(-118.33, 34.06)
    assert block_of(-118.34, 34.05) != block_of(-118.34, 34.16)
    assert block_of(-118.34, 34.05) != block_of(-118.20, 34.05)
