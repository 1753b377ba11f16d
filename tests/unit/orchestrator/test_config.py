"""Configurations: one declaration of every key, overrides, and errors that name the key and the way out."""

from pathlib import Path

import pytest
import yaml

from corpus.storage.errors import ConfigError
from orchestrator.config.load import flatten, load_config, save_config
from orchestrator.config.reference import markdown_reference, reference
from orchestrator.config.schema import RunConfig
from support.paths import ROOT

# An ablation is rows of configurations; test_ablation.py has those.
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if "\nbase: " not in path.read_text())
SMOKE = ROOT / "configs" / "smoke.yaml"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_that_come_along_are_valid(path):
    assert load_config(path).name == path.stem


def test_a_configuration_from_elsewhere_names_parts_that_come_along(tmp_path):
    default = (ROOT / "configs" / "default.yaml").read_text()
    assert load_config(write(tmp_path / "mine.yaml", default)) == load_config(ROOT / "configs" / "default.yaml")


def test_a_part_beside_the_configuration_counts_before_one_that_comes_along(tmp_path):
    (tmp_path / "schedule").mkdir()
    write(tmp_path / "schedule" / "default.yaml", "phase: [2]")
    assert load_config(write(tmp_path / "mine.yaml", "schedule: schedule/default.yaml")).schedule.phase == (2,)


def test_the_default_run_is_as_large_as_promised():
    config = load_config(ROOT / "configs" / "default.yaml")
    assert config.rounds >= 3
    assert config.corpus.simulated.tiles >= 1024


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("roudns", "rounds"),
        ("train.round_epoch", "train.round_epochs"),
        ("model.encoder.embed_dims", "model.encoder.embed_dim"),
        ("captioner.engine.candidate", "captioner.engine.candidates"),
        ("corpus.simulated.tile", "corpus.simulated.tiles"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key, nearest):
    with pytest.raises(ConfigError) as error:
        load_config(SMOKE, [f"{key}=3"])
    assert f"{key}: no such key. Did you mean '{nearest}'?" in str(error.value)


def test_a_key_like_no_other_is_answered_with_the_list():
    with pytest.raises(ConfigError, match="zzz: no such key. `knowlip config` lists the keys"):
        load_config(SMOKE, ["zzz=1"])


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("rounds=many", "rounds"),
        ("rounds=0", "rounds"),
        ("train.gradient_clipping=-1", "train.gradient_clipping"),
        ("corpus.kind=sonar", "corpus.kind"),
        ("seed=1.5", "seed"),
        ("train.augment.dihedral=7", "train.augment.dihedral"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(override, key):
    with pytest.raises(ConfigError, match=rf"cannot be used:\n  {key}: .*\(got "):
        load_config(SMOKE, [override])


def test_all_wrong_keys_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        load_config(SMOKE, ["rounds=0", "roudns=1", "seed=-1"])
    assert len(str(error.value).splitlines()) == 4


def test_keys_that_contradict_each_other_are_explained_without_a_dump():
    with pytest.raises(ConfigError, match=r"train: .*min_workers \(3\) is larger than max_workers \(2\)\.$"):
        load_config(SMOKE, ["train.min_workers=3"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["captioner.min_replicas=2"], r"captioner: .*min_replicas \(2\) is larger than max_replicas \(1\)"),
        (["score.min_workers=3"], r"score: .*min_workers \(3\) is larger than max_workers \(2\)"),
        (
            ["acceptance.use_encoder=false", "acceptance.use_captioner=false"],
            "acceptance.use_encoder and acceptance.use_captioner are both false",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load_config(SMOKE, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["captioner.min_replicas=2", "captioner.max_replicas=2"],
        ["score.min_workers=2"],
        ["acceptance.use_encoder=false"],
        ["acceptance.use_captioner=false"],
    ],
)
def test_values_just_inside_the_limits_are_accepted(overrides):
    assert load_config(SMOKE, overrides)


def test_overrides_are_yaml_and_reach_every_depth():
    config = load_config(
        SMOKE,
        [
            "rounds=5",
            "train.later_learning_rate=2e-4",
            "corpus.data_dir=/some/where",
            "captioner.feedback_in_prompt=false",
            "train.augment.speckle_db=0",
            "model.objective.momentum=0.9",
            "start_weights=null",
        ],
    )
    assert (config.rounds, config.train.later_learning_rate, config.corpus.data_dir) == (5, 2e-4, Path("/some/where"))
    assert config.captioner.feedback_in_prompt is False
    assert config.train.augment.speckle_db == 0
    # The model's other keys are still those of its file.
    assert config.model.objective.momentum == 0.9
    assert config.model.encoder == load_config(SMOKE).model.encoder


def test_another_model_and_a_key_of_it_can_be_set_together():
    config = load_config(SMOKE, ["model.encoder.clause_heads=8", "model=model/paper.yaml"])
    assert config.model.encoder.vision.depth == 12
    assert config.model.encoder.clause_heads == 8


@pytest.mark.parametrize("override", ["rounds", "=3", "rounds.deep=1", "rounds=[1"])
def test_an_override_that_cannot_be_read_is_quoted(override):
    with pytest.raises(ConfigError) as error:
        load_config(SMOKE, [override])
    assert str(error.value).startswith(f"--set {override}: ")


def test_files_that_are_no_configuration_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no configuration .*nowhere.yaml"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="no configuration"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(write(tmp_path / "broken.yaml", "a: [1"))
    with pytest.raises(ConfigError, match="must hold keys and values, not list"):
        load_config(write(tmp_path / "list.yaml", "- 1"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="model.yaml, which does not exist"):
        load_config(write(tmp_path / "lost.yaml", "model: model.yaml"))
    write(tmp_path / "broken_model.yaml", "encoder: {")
    with pytest.raises(ConfigError, match="broken_model.yaml is not YAML"):
        load_config(write(tmp_path / "with.yaml", "model: broken_model.yaml"))


def test_a_saved_configuration_says_all_and_can_be_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(SMOKE, ["corpus.data_dir=relative", "rounds=7"])
    save_config(config, tmp_path / "saved.yaml")
    monkeypatch.chdir("/")
    again = load_config(tmp_path / "saved.yaml")
    assert again.corpus.data_dir == tmp_path / "relative"
    assert again.model_copy(update={"corpus": config.corpus, "benchmark": config.benchmark}) == config
    assert set(yaml.safe_load((tmp_path / "saved.yaml").read_text())) == {
        "benchmark",
        "format",
        "schema",
        *RunConfig.model_fields,
    } - {"annotation_schema"}


def test_every_key_is_a_parameter_and_has_a_meaning():
    keys = [key for key, _, _ in reference()]
    assert len(keys) == len(set(keys))
    assert set(flatten(load_config(SMOKE))) <= {*keys, *flatten(load_config(SMOKE, ["model=model/paper.yaml"]))}
    units = [key for key, _, meaning in reference() if not meaning and not key.startswith("model.")]
    assert units == [], "these keys are declared without a description"


def test_the_reference_in_docs_is_current():
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == markdown_reference(), "run `python -m orchestrator.config.reference > docs/configuration.md`"


@pytest.mark.parametrize("value", ["2026-13-45", "9" * 5000])
def test_a_value_that_cannot_be_read_is_an_error_of_the_file(tmp_path, value):
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\nrounds: {value}\n")
    with pytest.raises(ConfigError, match="own.yaml"):
        load_config(path)
