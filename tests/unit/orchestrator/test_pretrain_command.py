"""`knowlip pretrain` from the command line, on a few simulated tiles, and weights that start from what it wrote."""

import json

import pytest
import torch
import yaml
from safetensors import safe_open
from typer.testing import CliRunner

from actors.weight_files import pretrained_of
from actors.weights import create_weights, load_training_model
from model.own_tower import FILE, OwnTowerError, read_tower
from model.pretrained import check_pretrained, start_from
from model.vision import VisionTower
from orchestrator.cli import app
from orchestrator.config.load import load_config
from support.hcot import HCOT
from support.paths import ROOT


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    path = folder / "own.yaml"
    simulated = {"tiles": 16, "cities": 4}
    path.write_text(
        yaml.safe_dump(
            {
                "name": "own",
                "model": str(ROOT / "configs" / "model" / "tiny.yaml"),
                "corpus": {"name": "own", "data_dir": str(folder / "data"), "simulated": simulated},
            }
        )
    )
    return path


@pytest.fixture(scope="module")
def tower(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("tower") / "out"
    done = CliRunner().invoke(app, ["pretrain", str(config), str(out), "--passes", "2"])
    assert done.exit_code == 0, done.output
    assert f"model.encoder.vision.pretrained={out}" in done.output.replace("\n", "")
    return out


def test_a_tower_that_saw_images_alone_is_kept_with_what_it_was_trained_on(tower, config):
    with safe_open(tower / FILE, framework="pt") as file:
        facts = file.metadata()
        names = list(file.keys())
    assert (facts["recipe"], facts["passes"]) == ("sar_jepa", "2")
    assert int(facts["tiles"]) < 16  # those held out are not among them
    assert json.loads(facts["vision"])["image_size_px"] == load_config(config).model.encoder.vision.image_size_px
    assert names
    assert not [name for name in names if name.startswith("summary.")]


def test_a_run_starts_its_towers_from_it_tensor_by_tensor(tower, config, tmp_path):
    loaded = load_config(config, [f"model.encoder.vision.pretrained={tower}"])
    check_pretrained(loaded.model.encoder.vision, "model.encoder.vision")
    create_weights(HCOT, tmp_path / "weights", loaded.model, seed=3)
    model, _ = load_training_model(tmp_path / "weights")
    found = read_tower(tower / FILE)
    assert found is not None
    for tower_of_run in (
        model.encoder.vision,
        model.captioner.vision,
    ):  # the file of the model has one section for both
        state = tower_of_run.state_dict()
        assert all(torch.equal(state[name], each) for name, each in found.state.items())
    assert set(pretrained_of(tmp_path / "weights")) == {"encoder.vision", "captioner.vision"}


def test_a_tower_of_another_size_is_refused_by_key_and_both_values(tower, config):
    vision = load_config(config).model.encoder.vision
    other = vision.model_copy(update={"pretrained": str(tower), "width": vision.width * 2})
    said = rf"model.encoder.vision.width is {vision.width * 2}, there {vision.width}"
    with pytest.raises(OwnTowerError, match=said):
        start_from(VisionTower(other), other)
    with pytest.raises(OwnTowerError, match=said):
        check_pretrained(other, "model.encoder.vision")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipe", "clip"), "no recipe 'clip' that learns from images alone. There are: sar_jepa, mae, moco_v3"),
        ((), "exists. Weights are not overwritten"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_trained(tower, config, call, arguments, said):
    status, _, error = call("pretrain", config, tower, *arguments)
    assert status == 2
    assert said in " ".join(error.split())
