"""Cheap tasks of the benchmark after every round: five nearest neighbours on labelled data sets."""

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from actors.weights import create_weights
from benchmark.base import EvaluationInputs, HeldOutTiles, evaluate_all
from benchmark.config import EvaluationConfig
from benchmark.datasets.base import DataSetError, DataSetMissing
from benchmark.tasks import DEFAULT_TASKS
from benchmark.tasks.nearest_neighbours import NAME, check_data_sets
from model.config import ModelConfig
from orchestrator.config.schema import RunConfig
from support.hcot import HCOT
from support.labelled_images import write_folders
from support.paths import ROOT

ROWS = pa.table({"tile_id": ["a"], "clause": ["terrain"], "value": ["plain"], "confidence": [0.5]})


def judged(weights_dir, data_sets, tiles=("a",)):
    held_out = HeldOutTiles(tiles, {}, np.zeros((len(tiles), 2), np.float32), weights_dir)
    return evaluate_all(
        [NAME], EvaluationInputs(HCOT, ROWS, ROWS, held_out_tiles=held_out, data_sets=data_sets)
    ).metrics


def test_the_encoder_of_the_round_is_judged_on_each_data_set(tmp_path):
    create_weights(HCOT, tmp_path / "weights", ModelConfig.from_yaml(ROOT / "configs" / "model" / "tiny.yaml"), seed=0)
    found = judged(tmp_path / "weights", {"mstar_soc": write_folders(tmp_path / "chips")})
    assert list(found) == ["knn5/mstar_soc"]
    assert 0.5 < found["knn5/mstar_soc"] <= 1  # bright columns are told from none, also by random weights


def test_without_data_sets_nothing_is_judged_and_the_tasks_are_as_before():
    assert EvaluationConfig().all_tasks == DEFAULT_TASKS
    assert EvaluationConfig(data_sets=("sar_acd",)).all_tasks == (*DEFAULT_TASKS, NAME)
    assert EvaluationConfig(tasks=(NAME,), data_sets=("sar_acd",)).all_tasks == (NAME,)


def test_a_data_set_that_neighbours_cannot_judge_is_refused_by_name():
    with pytest.raises(ValidationError, match="neighbours judge no data set 'ssdd'; there are: mstar_soc"):
        EvaluationConfig(data_sets=("ssdd",))


def test_data_sets_lie_where_the_benchmark_says():
    sections = {"evaluation": {"data_sets": ["sar_acd", "mstar_soc"]}, "benchmark": {"paths": {"sar_acd": "/data/acd"}}}
    config = RunConfig.model_validate({"name": "a", **sections})
    places = config.judged_data_sets()
    assert str(places["sar_acd"]) == "/data/acd"
    assert places["mstar_soc"].is_absolute()


def test_what_is_missing_or_wrong_is_found_before_a_run_begins(tmp_path):
    with pytest.raises(DataSetMissing, match="not found at .*nowhere, get it from"):
        check_data_sets({"sar_acd": tmp_path / "nowhere"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataSetError, match="has no train images"):
        check_data_sets({"mstar_soc": tmp_path / "empty"})
