"""What is wrong with any data set is found before anything is learned."""

import pytest

import benchmark.suite.members  # noqa: F401  # registers data sets
from benchmark.datasets.base import DataSetError
from benchmark.suite.base import MethodInputs
from benchmark.suite.cells import Job, check_data
from support.bright_boxes import write_box_table
from support.labelled_images import write_folders


def job(task, data_set, path):
    return Job(task, data_set, "majority", path, MethodInputs(), 1, {})


def test_a_later_data_set_is_read_before_the_first_cell_and_one_that_is_absent_is_no_error(tmp_path):
    good = job("classification_aircraft", "sar_acd", write_folders(tmp_path / "chips"))
    absent = job("detection_ship", "ssdd", tmp_path / "nowhere")
    table = write_box_table(tmp_path / "boxes") / "boxes.csv"
    check_data([good, absent, job("detection_dense", "mstar_scenes_composite", table.parent)])
    table.write_text(table.read_text() + "test/3.png,test,a,190,10,230,30\n")
    bad = job("detection_dense", "mstar_scenes_composite", table.parent)
    with pytest.raises(DataSetError, match=r"boxes\.csv, line 12: the box"):
        check_data([good, bad])


def test_simulated_scenes_are_not_made_to_be_checked(tmp_path):
    check_data([job("vqa", "simulated_questions", tmp_path), job("retrieval", "simulated_clauses", tmp_path)])
    assert not list(tmp_path.iterdir())
