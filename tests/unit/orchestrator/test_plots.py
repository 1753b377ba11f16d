"""Pictures: what is drawn, and input that cannot be drawn."""

import numpy as np
import pytest

from orchestrator.report.gallery import GalleryTile, gallery, stretch_db
from orchestrator.report.plots import accuracy_by_clause, losses_by_step, save, time_per_phase

INITIAL = {"terrain": 0.8, "target_count": 0.7}
TIMES = {
    f"{name}_s": 1.0 for name in ("startup", "train", "publish", "score", "label", "refresh", "evaluate", "unaccounted")
} | {"total_s": 8.0}


def words(figure) -> str:
    texts = [text for axes in figure.axes for text in [*axes.texts, axes.title, axes._left_title]]
    return "\n".join(text.get_text() for text in [*texts, *figure.texts])


def tile(**changes) -> GalleryTile:
    values = {
        "image": np.ones((8, 8)),
        "platform": "Sentinel-1",
        "polarisation": "VV",
        "city": "Lagos",
        "gsd_m": 10.0,
        "before": {"terrain": "hills", "road": "grid"},
        "after": {"terrain": "plain", "road": "grid"},
    }
    return GalleryTile(**{**values, **changes})


@pytest.mark.parametrize(
    "make",
    [
        lambda: accuracy_by_clause(INITIAL, [{"terrain": 0.9, "target_count": 0.6}], {"terrain": "landform"}),
        lambda: losses_by_step({1: [{"step": 0, "itc": 1.0}], 2: [{"step": 1, "itc": 0.5, "itm": 0.7}]}),
        lambda: time_per_phase([TIMES, TIMES]),
        lambda: gallery(
            [tile(), tile(truth={"terrain": "plain", "road": "none"}, simulated=True)], title="Before, after"
        ),
    ],
    ids=["accuracy", "losses", "time", "gallery"],
)
def test_every_picture_is_written(tmp_path, make):
    path = save(make(), tmp_path / "figures" / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5000


def test_accuracy_tells_the_means_and_each_change():
    figure = accuracy_by_clause(
        INITIAL, [{"terrain": 0.85, "target_count": 0.7}, {"terrain": 0.9, "target_count": 0.6}]
    )
    assert "80 → 90" in words(figure)
    assert "70 → 60" in words(figure)
    assert "75.0% initially, 75.0% after round 2" in figure.get_suptitle()


def test_truth_is_marked_only_where_it_is_given():
    assert "✓" not in words(gallery([tile()])).replace("✓ right", "")
    assert "not known" in words(gallery([tile()]))
    text = words(gallery([tile(truth={"terrain": "plain", "road": "none"}, simulated=True)]))
    assert "plain ✓" in text
    assert "hills ✗" in text
    assert "grid ✗" in text
    assert "Lagos (simulated)" in text
    assert "simulated" not in words(gallery([tile()]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: accuracy_by_clause(INITIAL, []),
        lambda: accuracy_by_clause(INITIAL, [{}]),
        lambda: losses_by_step({}),
        lambda: time_per_phase([]),
        lambda: gallery([]),
        lambda: stretch_db(np.ones((2, 3, 3))),
    ],
)
def test_nothing_to_draw_is_an_error(call):
    with pytest.raises(ValueError):
        call()


def test_the_stretch_is_in_decibels_and_leaves_no_data_black():
    image = np.array([[1.0, 10.0, 100.0], [np.nan, 0.0, 1.0]])
    grey = stretch_db(image, low=0, high=100)
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, [[0, 0.5, 1], [0, 0, 0]], atol=1e-6)
    assert stretch_db(np.zeros((2, 2))).max() == 0
