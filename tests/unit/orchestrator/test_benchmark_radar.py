"""The radar plot of a benchmark."""

import numpy as np
import pytest
from PIL import Image

import benchmark.suite.members  # noqa: F401  # registers tasks and methods
from benchmark.metrics.group_bootstrap import Estimate
from benchmark.suite.cells import CellResult
from orchestrator.report.benchmark_plot import MOST_METHODS, headlines, radar
from orchestrator.report.plots import save

SETS = (
    ("classification_target", "mstar_soc"),
    ("classification_aircraft", "sar_acd"),
    ("segmentation_land_cover", "ombria_2021"),
)


def cell(place, method, setting, value):
    task, data_set = place
    scores = {"accuracy": Estimate(value, value - 0.1, value + 0.1), "ece": Estimate(0.9)}
    return CellResult(task=task, data_set=data_set, method=method, setting=setting, status="done", scores=scores)


def test_of_several_settings_the_best_headline_counts_and_no_other_score():
    cells = [cell(SETS[0], "ours", "knn5", 0.4), cell(SETS[0], "ours", "linear_probe", 0.6)]
    missing = CellResult(task=SETS[1][0], data_set=SETS[1][1], method="ours", setting="", status="not found")
    sample = cell(("detection_aircraft", "sar_aircraft10_sample"), "ours", "light_head", 0.9)
    assert headlines([*cells, missing, sample]) == {"ours": {SETS[0]: 0.6}}


def test_each_method_has_a_line_and_an_axis_where_it_was_not_judged_interrupts_it():
    cells = [cell(place, "ours", "knn5", 0.5 + number / 10) for number, place in enumerate(SETS)]
    cells += [cell(place, "majority", "all_labels", 0.1) for place in SETS[:2]]
    figure = radar(cells)
    assert figure is not None
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in figure.axes[0].get_lines()}
    assert lines["ours"] == pytest.approx([0.5, 0.6, 0.7, 0.5])
    assert np.isnan(lines["majority"]).tolist() == [False, False, True, False]
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == [f"{task.replace('_', ' ')}\n{data_set}" for task, data_set in SETS]


def test_our_encoder_is_drawn_however_many_methods_are_better_and_the_rest_is_counted():
    others = ["majority", "otsu", "nothing", "cfar", "nearest_pixels", "trees", "size_only", "small_cnn", "mae", "clip"]
    cells = [cell(place, method, "knn5", 0.9) for place in SETS for method in others]
    cells += [cell(SETS[0], "ours", "knn5", 0.1)]
    figure = radar(cells)
    assert figure is not None
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert len(labels) == MOST_METHODS
    assert "ours" in labels
    assert figure.legends[0].get_title().get_text() == "3 more in the table"


def test_fewer_than_three_data_sets_are_no_radar():
    assert radar([cell(place, "ours", "knn5", 0.5) for place in SETS[:2]]) is None


def test_the_picture_is_a_file_that_shows_something(tmp_path):
    figure = radar([cell(place, "ours", "knn5", 0.5) for place in SETS])
    assert figure is not None
    with Image.open(save(figure, tmp_path / "radar.png")) as picture:
        assert len(set(picture.convert("L").tobytes())) > 10
