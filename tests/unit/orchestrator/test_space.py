"""What `knowlip tune` may search, as a file."""

import pytest

from corpus.storage.errors import ConfigError
from orchestrator.experiments.tune_config import Range, SpaceConfig, load_space
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
        (
            "keys: {train.learning_rate: {low: 2, high: 1}}",
            r"  keys\.train\.learning_rate\.range: a range needs low < high",
        ),
        (
            "keys: {train.learning_rate: {low: a, high: 1}}",
            r"learning_rate\.range\.low: a bound is a finite number \(got 'a'\)",
        ),
        ("keys: {train.learning_rate: {low: 1, high: .inf}}", r"range\.high: a bound is a finite number"),
        ("keys: {train.learning_rate: {low: 0, high: 1, lag: true}}", r"range\.lag: no such key"),
        ("keys: {train.learning_rate: {low: 1}}", r"range\.high: this is missing"),
        ("keys: {train.learning_rate: 3}", "learning_rate: give a list of values, or a range {low, high, log}"),
        ("keys: {train.learning_rate: []}", "learning_rate: give a list of values, or a range"),
        ("{mode: best, keys: {train.learning_rate: [1]}}", "mode: Input should be 'max' or 'min'"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_by_its_key(tmp_path, text, said):
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('train.learning_rate: [0.001, "a"]', "train.learning_rate cannot be 'a'"),
        ("captioner.temperature_of_air: [1]", "captioner.temperature_of_air cannot be 1"),
        ("acceptance.minimum_margin: {low: 0.5, high: 2}", "acceptance.minimum_margin cannot be 2"),
        ("acceptance.minimum_margin: {low: -1.0, high: 0.5}", "acceptance.minimum_margin cannot be -1.0"),
        ("train.round_epochs: {low: 1.0, high: 4.0}", "train.round_epochs cannot be 1.95"),  # 4 and 1 could be
    ],
)
def test_a_value_that_no_run_takes_is_refused_with_its_key_before_anything_starts(call, tmp_path, keys, said):
    (tmp_path / "space.yaml").write_text(f"keys: {{{keys}}}")
    arguments = ("--space", tmp_path / "space.yaml", "--out", tmp_path / "out")
    status, _, error = call("tune", ROOT / "configs" / "smoke.yaml", *arguments)
    assert status == 2
    assert said in error
    assert not (tmp_path / "out").exists()


def test_settings_are_drawn_once_each_however_many_trials_are_asked_for():
    from orchestrator.experiments.tune import draw_settings

    few = SpaceConfig(keys={"train.round_epochs": [1, 2, 2], "flag.leave_one_out": [True, False]}, trials=9)
    drawn = draw_settings(few)
    assert sorted(tuple(settings.values()) for settings in drawn) == [(1, False), (1, True), (2, False), (2, True)]
    assert draw_settings(few) == drawn
    many = SpaceConfig(keys={"train.round_epochs": Range(low=1, high=3), "train.learning_rate": [1e-3, 2e-3]}, trials=5)
    assert len({str(settings) for settings in draw_settings(many)}) == 5


def test_a_space_that_is_not_there_is_named(call, tmp_path):
    status, _, error = call("tune", ROOT / "configs" / "smoke.yaml", "--space", tmp_path / "none.yaml")
    assert status == 2
    assert "There is no space" in error
