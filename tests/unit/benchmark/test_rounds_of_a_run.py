"""The encoder of early rounds of a run, as rows of the table."""

from pathlib import Path

import numpy as np
import pytest

import benchmark.suite.members  # noqa: F401  # registers the methods
from actors.weights import create_weights
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.base import METHODS, MethodInputs, MethodMissing
from benchmark.suite.cells import Job
from model.config import ModelConfig
from support.hcot import HCOT
from support.paths import ROOT


@pytest.fixture
def weights(tmp_path):
    create_weights(HCOT, tmp_path / "w", ModelConfig.from_yaml(ROOT / "configs" / "model" / "tiny.yaml"), seed=0)
    return tmp_path / "w"


def test_what_a_run_started_from_is_a_row_of_its_own(weights):
    method = METHODS["ours_round_0"].open(MethodInputs(rounds={0: weights}))
    assert method.embed([as_backscatter(np.full((8, 8), 9, np.uint8))]).shape[0] == 1


def test_weights_that_a_run_has_deleted_and_a_missing_run_say_what_to_do():
    with pytest.raises(MethodMissing, match="weights not found at nowhere: old rounds are deleted unless"):
        METHODS["ours_round_1"].open(MethodInputs(rounds={1: Path("nowhere")}))
    with pytest.raises(MethodMissing, match="name one with --run"):
        METHODS["ours_round_1"].open(MethodInputs())


def test_a_cell_of_a_round_rests_on_the_weights_of_that_round(weights, tmp_path):
    def digest(method, **inputs):
        return Job(
            "classification_aircraft", "sar_acd", method, tmp_path / "none", MethodInputs(**inputs), 1, {}
        ).digest("knn5")

    assert digest("ours_round_0", rounds={0: weights}) != digest("ours_round_0", rounds={0: tmp_path / "none"})
    assert digest("ours_round_1", rounds={0: weights}) == digest("ours_round_1", rounds={0: tmp_path / "none"})
    assert digest("ours", weights_dir=weights) != digest("ours", rounds={0: weights})
