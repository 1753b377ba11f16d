"""`knowlip benchmark` from the command line, on a small set in the folders of a public one."""

import json

import pytest
import yaml

import benchmark.suite.members  # noqa: F401  # registered before what a test adds is forgotten
from benchmark.suite.base import METHODS
from support.bright_boxes import write_box_table
from support.labelled_images import write_folders, write_labels
from support.paths import ROOT
from support.plugins import forgotten_afterwards

TASKS = "classification_aircraft,segmentation_polarimetric"
"""None of them simulates its scenes first, which takes minutes."""


@pytest.fixture(autouse=True)
def _the_method_from_outside_is_forgotten():
    with forgotten_afterwards("support.toy_method", METHODS):
        yield


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "own",
                "model": str(ROOT / "configs" / "model" / "tiny.yaml"),
                "plugins": ["support.toy_method"],
                "tracking": {"kind": "none"},
                "benchmark": {
                    "data_dir": str(tmp_path / "none"),
                    "paths": {"sar_acd": str(write_folders(tmp_path / "ships"))},
                    "seeds": 1,
                },
            }
        )
    )
    return path


def test_a_table_is_written_and_a_second_call_runs_nothing_again(config, tmp_path, call):
    arguments = ("benchmark", config, "--tasks", TASKS, "--methods", "majority,toy_spread,ours")
    arguments = (*arguments, "--out", tmp_path / "out", "--set", "benchmark.settings=[knn5, all_labels]")
    status, said, error = call(*arguments, "--json")
    assert (status, error) == (0, error)
    cells = {(cell["data_set"], cell["method"], cell["setting"]): cell for cell in json.loads(said)}
    assert cells["sar_acd", "toy_spread", "knn5"]["scores"]["accuracy"]["value"] == 1
    assert cells["sar_acd", "majority", "all_labels"]["scores"]["accuracy"]["value"] == 0.5
    assert "name a run with --run" in cells["sar_acd", "ours", ""]["note"]
    assert "not found at" in cells["polsf_airsar", "toy_spread", ""]["note"]
    table = (tmp_path / "out" / "benchmark.md").read_text()
    assert "| toy_spread | 1.000 [1.000, 1.000] |" in table
    before = (tmp_path / "out" / "benchmark.csv").read_text()
    status, said, _ = call(*arguments)
    assert "toy_spread knn5" not in said  # it is not run again
    assert sorted((tmp_path / "out" / "benchmark.csv").read_text().splitlines()) == sorted(before.splitlines())


def test_a_set_that_cannot_be_used_is_one_error_before_anything_is_learned(config, tmp_path, call):
    lines = ["train/c0/0.png,train,a,1", "nowhere.png,test,a,2"]
    write_labels(tmp_path / "ships", lines, "file,split,class,near_duplicate_group")
    arguments = (
        "benchmark",
        config,
        "--tasks",
        "classification_aircraft",
        "--methods",
        "majority",
        "--out",
        tmp_path / "o",
    )
    status, _, error = call(*arguments)
    assert status == 2
    assert "labels.csv, line 3: there is no image" in " ".join(error.split())
    assert "Traceback" not in error


def test_the_list_says_what_there_is_and_where(config, call):
    status, said, _ = call("benchmark", config, "--list", "--json")
    found = json.loads(said)
    assert status == 0
    assert "toy_spread" in found["methods"]
    assert found["tasks"]["classification_aircraft"]["data_sets"]["sar_acd"]["found"] is True
    assert found["tasks"]["classification_target"]["data_sets"]["mstar_soc"]["found"] is False
    status, said, _ = call("benchmark", config, "--list")
    assert "get it from" in " ".join(said.split())


def test_an_unknown_task_is_refused_with_the_nearest(config, call):
    status, _, error = call("benchmark", config, "--tasks", "retrieva")
    assert status == 2
    assert "Did you mean 'retrieval'" in " ".join(error.split())


def detection(config, root, out):
    """Arguments of a command that judges detectors on a folder."""
    arguments = ("benchmark", config, "--tasks", "detection_dense", "--methods", "nothing,cfar,majority")
    return (*arguments, "--set", f"benchmark.paths={{mstar_scenes_composite: {root}}}", "--out", out)


def test_detectors_are_judged_and_methods_without_boxes_have_no_row(config, tmp_path, call):
    status, said, error = call(*detection(config, write_box_table(tmp_path / "set"), tmp_path / "out"), "--json")
    assert (status, error) == (0, error)
    cells = {cell["method"]: cell["scores"] for cell in json.loads(said)}
    assert set(cells) == {"nothing", "cfar"}
    assert cells["nothing"]["ap"]["value"] == 0 < cells["cfar"]["ap50_any_class"]["value"]
    assert "semi-real" in (tmp_path / "out" / "benchmark.md").read_text()


def test_a_box_outside_its_image_is_one_error_with_its_line(config, tmp_path, call):
    table = write_box_table(tmp_path / "set") / "boxes.csv"
    table.write_text(table.read_text() + "test/3.png,test,a,190,10,230,30\n")
    status, _, error = call(*detection(config, table.parent, tmp_path / "out"))
    assert status == 2
    said = " ".join(error.split())
    assert f"{table}, line 12: the box 190, 10, 230, 30 is empty or leaves its image of 200 x 150 pixels" in said
    assert "Traceback" not in said
