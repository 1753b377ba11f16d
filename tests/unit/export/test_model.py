"""The model as a folder: transformers and knowlip load it; its card and its STAC item are read and valid."""

import json
import shutil

import pystac
import pytest
import torch

from actors.weights import copy_weights, create_weights
from export.base import ExportError
from export.formats.model_folder import ModelExporter
from model.checkpoint import load_captioner, load_encoder, weights_sha256
from orchestrator.config.load import load_saved_config
from orchestrator.data.exported import open_source
from orchestrator.state.run_directory import RunDirectory
from support.hcot import HCOT


@pytest.fixture(scope="module")
def run_dir(simulated, tmp_path_factory):
    """The run with weights of rounds 0 and 3, of which its record of round 3 tells."""
    copy = tmp_path_factory.mktemp("weighted") / "run"
    shutil.copytree(simulated, copy)
    directory, config = RunDirectory(copy), load_saved_config(copy / "config.yaml")
    for round_ in (0, 3):
        digest = create_weights(HCOT, directory.weights(round_), config.model, round_)
    record = copy / "rounds" / "0003.json"
    record.write_text(record.read_text().replace("a" * 64, digest))
    return copy


@pytest.fixture(scope="module")
def folder(run_dir, export):
    return export(run_dir, "model")


def test_knowlip_loads_encoder_and_captioner_from_the_folder(run_dir, folder):
    weights = run_dir / "weights" / "round-0003"
    assert weights_sha256(folder) == weights_sha256(weights)
    for load in (load_encoder, load_captioner):
        was, now = load(weights).state_dict(), load(folder).state_dict()
        assert all(torch.equal(was[name], now[name]) for name in was)
    assert not list(folder.rglob("probe*"))


def test_a_run_can_start_from_the_folder(run_dir, folder, tmp_path):
    assert copy_weights(folder, tmp_path / "round-0000") == weights_sha256(run_dir / "weights" / "round-0003")


def test_transformers_loads_decoder_and_tokenizer_by_their_own_classes(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, subfolder="captioner/decoder")
    tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="captioner/decoder")
    assert type(model).__name__ == "LlamaForCausalLM"
    assert tokenizer("terrain")["input_ids"]


def test_the_hubs_library_reads_the_card(folder):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-to-text"
    assert {result.metric_type for result in card.data.eval_results} == {
        "annotation_accuracy",
        "held_out_log_likelihood",
    }
    assert all(f"| {name} |" in card.text for name in HCOT.names)


def test_the_item_is_valid_by_the_mlm_extension_and_pystac_reads_it(folder):
    pytest.importorskip("pystac.extensions.mlm", reason="pystac's extensions are of the extra export")
    from pystac.extensions.mlm import MLMExtension

    from support.stac_schemas import validate

    item = pystac.Item.from_file(folder / "mlm_item.json")
    assert any("/mlm/" in each for each in validate(item))
    mlm = MLMExtension.ext(item)
    assert mlm.input[0].input.shape == [-1, 2, 128, 128]
    assert [each.name for each in mlm.output] == list(HCOT.names)
    classes = item.properties["mlm:output"][0]["classification:classes"]
    assert [each["description"] for each in classes] == list(HCOT.vocabulary[HCOT.names[0]])
    for asset in item.assets.values():
        assert (folder / asset.href).exists()


def test_weights_that_were_deleted_are_said_with_those_that_there_are(run_dir):
    with pytest.raises(ExportError, match=r"no weights of round 1: .* There are: round-0000, round-0003"):
        ModelExporter().check(open_source(run_dir, round_=1))


def test_weights_that_are_not_those_of_the_record_are_refused(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "weights" / "round-0003")
    shutil.copytree(run_dir / "weights" / "round-0000", tmp_path / "run" / "weights" / "round-0003")
    with pytest.raises(ExportError, match="are not those that round 3 recorded"):
        ModelExporter().check(open_source(tmp_path / "run"))


def test_the_facts_name_the_weights(run_dir, folder):
    facts = json.loads((folder / "knowlip_export.json").read_text())
    assert facts["weights_sha256"] == weights_sha256(run_dir / "weights" / "round-0003")
