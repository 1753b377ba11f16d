"""The unified benchmark: intervals, probes, cells that are kept, the table."""

import numpy as np
import pytest

from benchmark.datasets.base import DATA_SETS, DataSet, LabelledImages
from benchmark.datasets.image_folder import read_image_folder
from benchmark.metrics.group_bootstrap import Estimate, combine, estimate
from benchmark.suite import probes
from benchmark.suite.base import METHODS, SUITE, MethodInputs
from benchmark.suite.cells import CellResult, jobs_of, run_job
from benchmark.suite.config import BenchmarkConfig
from benchmark.suite.features import SHIFTS, moved
from benchmark.suite.probes import knn, linear_probe
from benchmark.suite.results import ResultsError, add_result, read_results
from benchmark.suite.table import markdown
from benchmark.suite.tasks.classification import ClassificationTask, chosen_rows, judge
from corpus.geotiff.backscatter import Backscatter
from corpus.registry import UnknownMember
from support.labelled_images import write_folders


def test_settings_that_train_networks_have_seeds_of_their_own(tmp_path):
    config = BenchmarkConfig(data_dir=tmp_path, seeds=3, training_seeds=2)
    [job] = [
        job
        for job in jobs_of(config, MethodInputs())
        if (job.task, job.data_set, job.method) == ("classification_target", "mstar_soc", "majority")
    ]
    assert [job.seeds_of(setting) for setting in ("knn5", "40_shot", "all_labels")] == [1, 3, 2]
    assert BenchmarkConfig(data_dir=tmp_path).training_seeds == 1


def test_related_samples_widen_an_interval():
    right = np.repeat(np.random.default_rng(1).random(20) < 0.7, 8)
    apart = estimate(lambda w: float(w @ right / w.sum()), list(range(160)))
    together = estimate(lambda w: float(w @ right / w.sum()), np.repeat(np.arange(20), 8).tolist())
    assert apart.value == together.value == right.mean()
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


def test_one_group_has_no_interval():
    assert estimate(lambda w: 0.5, ["a", "a"]) == Estimate(0.5)


def test_the_interval_over_seeds_holds_test_set_and_seed():
    same = combine([Estimate(0.5, 0.4, 0.6)] * 5)
    assert (same.low, same.high) == pytest.approx((0.4, 0.6))
    apart = combine([Estimate(value, value - 0.1, value + 0.1) for value in (0.3, 0.4, 0.5, 0.6, 0.7)])
    # Variance of the mean over seeds: 0.025 / 5; of the test set: (0.2 / 3.92)^2.
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * (0.005 + (0.2 / 3.92) ** 2) ** 0.5, rel=1e-3)


def test_five_neighbours_vote_and_the_nearest_decides_a_tie():
    train = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [-1, -1.0]])
    labels = np.array([0, 0, 1, 1, 2])
    shares = knn(train, labels, np.array([[1, 0.1], [0.1, 1]]), 3)
    assert shares.argmax(1).tolist() == [0, 1]
    assert shares == pytest.approx(np.array([[0.4, 0.4, 0.2]] * 2), abs=1e-3)


def test_a_linear_probe_separates_what_a_plane_separates():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(200, 5)), np.arange(200) % 2
    features[:, 2] += 4 * labels
    said = linear_probe(features[:100], labels[:100], list(range(100)), features[100:], 2, seed=0)
    assert (said.argmax(1) == labels[100:]).mean() > 0.95
    assert said.sum(1) == pytest.approx(np.ones(100))


def test_fewer_axes_than_features_change_no_answer_of_a_probe(monkeypatch):
    generator = np.random.default_rng(1)
    labels = np.arange(60) % 3
    rows = generator.normal(size=(60, 200)) + np.eye(3, 200)[labels] * 4
    with monkeypatch.context() as patched:
        patched.setattr(probes, "_reduced", lambda rows, queries, plain: (rows, queries))
        whole = linear_probe(rows[:45], labels[:45], list(range(45)), rows[45:], 3, seed=0)
    reduced = linear_probe(rows[:45], labels[:45], list(range(45)), rows[45:], 3, seed=0)
    assert reduced == pytest.approx(whole, abs=0.02)


def test_a_probe_that_saw_shifts_knows_an_image_that_is_shifted():
    generator = np.random.default_rng(2)
    labels = np.arange(60) % 2
    plain = generator.normal(0, 0.3, (60, 12))
    # What marks class 1 in the plain view is where class 0 comes to when it is shifted.
    for label, marks in enumerate(((0, 5), (1, 7))):
        plain[np.ix_(labels == label, marks)] += 3
    shifted = np.roll(plain, 1, axis=1)
    groups = list(range(40))
    alone = linear_probe(plain[:40], labels[:40], groups, shifted[40:], 2, seed=0)
    both = linear_probe([plain[:40], shifted[:40]], labels[:40], groups, [shifted[40:]], 2, seed=0)
    right = [(said.argmax(1) == labels[40:]).mean() for said in (alone, both)]
    assert right[0] < 0.8
    assert right[1] > 0.95


def test_copies_of_the_plain_view_change_no_answer_of_a_probe():
    generator = np.random.default_rng(3)
    labels = np.arange(80) % 2
    rows = generator.normal(size=(80, 4)) + labels[:, None]
    one = linear_probe(rows[:60], labels[:60], list(range(60)), rows[60:], 2, seed=0)
    three = linear_probe([rows[:60]] * 3, labels[:60], list(range(60)), [rows[60:]] * 2, 2, seed=0)
    assert three == pytest.approx(one, abs=0.01)


def test_an_image_moves_by_a_share_of_its_side_and_keeps_its_pixels():
    image = Backscatter(np.arange(64 * 32, dtype=np.float32).reshape(1, 64, 32), ("VV",))
    found = moved(image, 1, -1)
    assert found.array[0, 2, 31] == image.array[0, 0, 0]
    assert sorted(found.array.ravel()) == sorted(image.array.ravel())
    assert moved(image, 0, 0) is image


def test_neighbours_need_no_view_but_the_plain_one(tmp_path):
    class Counted:
        """Counts what it embeds."""

        seen = 0

        def embed(self, images):
            self.seen += len(images)
            return np.array([[image.array.max(), image.array.mean()] for image in images], np.float32)

    data, method = read_image_folder(write_folders(tmp_path)), Counted()
    task = ClassificationTask("", ())
    task.run(data, "knn5", method, 0)
    assert method.seen == 24
    task.run(data, "linear_probe", method, 0)
    assert method.seen == 24 * len(SHIFTS)


def chips(labels):
    return LabelledImages([None] * len(labels), np.asarray(labels), [str(i) for i in range(len(labels))])


def test_forty_shots_take_forty_of_each_class_and_a_share_takes_a_share():
    train = chips([0] * 100 + [1] * 50 + [2] * 10)
    draw = np.random.default_rng
    assert np.bincount(train.labels[chosen_rows(train, "40_shot", draw(0))]).tolist() == [40, 40, 10]
    assert np.bincount(train.labels[chosen_rows(train, "30_percent", draw(0))]).tolist() == [30, 15, 3]
    assert not np.array_equal(chosen_rows(train, "40_shot", draw(0)), chosen_rows(train, "40_shot", draw(1)))


def test_scores_of_a_classification_are_those_by_hand():
    said = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.1, 0.9]])
    scores = judge(said, chips([0, 0, 1, 1]))
    assert scores["accuracy"].value == 0.75
    assert scores["balanced_accuracy"].value == 0.75
    assert scores["kappa"].value == pytest.approx(0.5)  # (0.75 - 0.5) / (1 - 0.5)
    assert scores["ece"].value == pytest.approx((0.1 + 0.4 - 0.1 + 0.8) / 4, abs=0.11)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A registered task on a small data set, and its configuration."""
    folder = tmp_path_factory.mktemp("toy")
    write_folders(folder / "toy_set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATA_SETS._members, "toy_set", DataSet("toy_set", "its author", read_image_folder))
        patch.setitem(SUITE._members, "toy", ClassificationTask("toy", ("toy_set",)))
        yield BenchmarkConfig(data_dir=folder, tasks=("toy",), methods=("majority", "nearest_pixels"), seeds=2)


@pytest.fixture(scope="module")
def cells_of_toy(toy):
    return run(toy)


def run(config, there=()):
    return [cell for job in jobs_of(config, MethodInputs(), there) for cell in run_job(job)]


def test_a_method_is_judged_in_the_settings_that_apply_to_it(cells_of_toy):
    cells = {cell.key[2:]: cell for cell in cells_of_toy}
    assert {setting for method, setting in cells if method == "majority"} == {"all_labels", "all_labels_40"}
    frozen_or_learned = set(SUITE["toy"].settings) - {"zero_shot"}  # which takes a text encoder
    assert {setting for method, setting in cells if method == "nearest_pixels"} == frozen_or_learned
    assert cells["majority", "all_labels"].scores["accuracy"].value == 0.5
    assert cells["nearest_pixels", "knn5"].scores["accuracy"].value == 1
    assert cells["nearest_pixels", "40_shot"].seeds == 2
    assert all(cell.seconds > 0 and cell.peak_memory_mib > 1 for cell in cells.values())


def test_finished_cells_are_not_run_again_unless_what_they_rest_on_changed(toy, cells_of_toy):
    assert run(toy, cells_of_toy) == []
    more = run(toy.model_copy(update={"training_seeds": 3, "methods": ("majority",)}), cells_of_toy)
    assert {cell.setting for cell in more} == {"all_labels", "all_labels_40"}


def test_what_is_not_found_keeps_its_row(toy, tmp_path):
    gone = toy.model_copy(update={"paths": {"toy_set": tmp_path / "gone"}})
    [cell, _] = run(gone)
    assert (cell.status, cell.note) == ("not found", f"not found at {tmp_path / 'gone'}, get it from its author")
    [ours] = run(toy.model_copy(update={"methods": ("ours",)}))
    assert "name a run with --run RUN_DIR" in ours.note
    assert f"| majority | {cell.note} |" in markdown([cell])


def test_cells_survive_in_the_csv_as_they_were(toy, cells_of_toy, tmp_path):
    for cell in cells_of_toy:
        add_result(tmp_path / "out", cell)
    found = read_results(tmp_path / "out")
    assert [cell.scores for cell in found] == [cell.scores for cell in cells_of_toy]
    assert run(toy, found) == []
    table = markdown(found)
    assert "| majority |" in table
    assert "0.500 [" in table


def test_a_cell_replaces_its_older_self_and_its_missing_row(tmp_path):
    cell = CellResult(task="t", data_set="d", method="m", setting="s", status="done", inputs="1")
    missing = cell.model_copy(update={"setting": "", "status": "not found", "note": 'at "a", b'})
    assert add_result(tmp_path, missing) == read_results(tmp_path) == [missing]
    add_result(tmp_path, cell)
    assert add_result(tmp_path, cell.model_copy(update={"inputs": "2"}))[0].inputs == "2"
    assert len(read_results(tmp_path)) == 1


def test_weights_of_a_method_are_below_its_table_and_a_table_from_before_is_read(cells_of_toy, tmp_path):
    cell = cells_of_toy[0].model_copy(update={"weights": "trained here"})
    add_result(tmp_path, cell)
    assert [each.weights for each in read_results(tmp_path)] == ["trained here"]
    assert f"\n{cell.method}: trained here.\n" in markdown([cell])
    lines = (tmp_path / "benchmark.csv").read_text().splitlines()
    (tmp_path / "benchmark.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in [lines[0], lines[1]]))
    [older] = read_results(tmp_path)
    assert (older.key, older.weights) == (cell.key, "")


def test_a_damaged_table_is_refused_with_its_line(tmp_path):
    cell = CellResult(task="t", data_set="d", method="m", setting="s", status="done", inputs="1")
    add_result(tmp_path, cell)
    text = (tmp_path / "benchmark.csv").read_text()
    (tmp_path / "benchmark.csv").write_text(text.replace("done", "half done"))
    with pytest.raises(ResultsError, match="line 2"):
        read_results(tmp_path)


def test_unknown_names_are_refused_with_the_nearest():
    for section in ({"tasks": ["classification_targt"]}, {"methods": ["our"]}, {"paths": {"mstar": "x"}}):
        with pytest.raises((UnknownMember, ValueError), match="Did you mean"):
            BenchmarkConfig.model_validate(section)


def test_every_member_says_what_it_is():
    for task in SUITE.values():
        assert task.about
        assert task.data_sets
        assert all(name in DATA_SETS for name in task.data_sets)
    assert all(method.about for method in METHODS.values())
