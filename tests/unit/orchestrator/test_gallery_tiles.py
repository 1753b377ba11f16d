"""Which tiles a round's gallery shows."""

import numpy as np

from orchestrator.report.figures import spread


def test_each_city_shows_its_most_changed_tile_before_any_city_shows_a_second_one():
    changed = np.array([5, 9, 8, 7, 1, 9])
    city = np.array([0, 1, 1, 0, 2, 1])
    assert spread(changed, city, 6).tolist() == [1, 3, 4, 5, 2, 0]
    assert spread(changed, city, 2).tolist() == [1, 3]


def test_tiles_of_one_city_come_by_what_changed():
    assert spread(np.array([1, 3, 2]), np.zeros(3), 6).tolist() == [1, 2, 0]
