"""What `knowlip tune` may search, as a file."""

import pytest

from corpus.storage.errors import ConfigError
from orchestrator.experiments.tune_config import Range, load_space
from support.paths import ROOT


def test_the_space_that_comes_with_the_project_is_read():
    space = load_space(ROOT / "configs" / "tune" / "space.yaml")
    assert space.metric == "held_out_log_likelihood"
    assert space.keys["train.round_epochs"] == [6, 10, 14]
    assert space.keys["train.learning_rate"] == Range(low=1e-3, high=8e-3, log=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys: {train.lerning_rate: [1]}", "train.lerning_rate is no configuration key"),
        ("keys: {rounds: [1, 2]}", "rounds is not searched"),
        ("keys: {train.learning_rate: {low: 2, high: 1}}", "low < high"),
        ("keys: {train.learning_rate: {low: 0, high: 1, log: true}}", "low > 0"),
        ("keys: {}", "keys"),
        ("keys: {seed: [1]}", "seed is not searched"),
        ("keys: [", "YAML"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_by_its_key(tmp_path, text, said):
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_space(tmp_path / "space.yaml")


def test_a_space_that_is_not_there_is_named(call, tmp_path):
    status, _, error = call("tune", ROOT / "configs" / "smoke.yaml", "--space", tmp_path / "none.yaml")
    assert status == 2
    assert "There is no space" in error
