"""What the benchmark's recipes learn from: the training tiles of a run, as many passes as it had."""

import pickle
from dataclasses import replace

import numpy as np

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.suite.base import METHODS, MethodInputs
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.pretraining import pretraining_of


def test_the_training_tiles_of_a_run_are_learned_from_and_no_held_out_one(made, tmp_path):
    found = pickle.loads(pickle.dumps(pretraining_of(RunConfig(name="own"), made.path, tmp_path)))
    tiles = found.open_tiles()
    splits = dict(zip(*made.prepared.tiles.select(["tile_id", "split"]).to_pydict().values(), strict=True))
    assert set(tiles.initial.tile_ids) == {each for each, split in splits.items() if split == "train"}
    images = tiles.images(32)
    assert images.shape == (len(tiles.initial), 2, 32, 32)
    assert np.isfinite(images).all()
    assert found.passes == 16 + 10  # a round from scratch and one that goes on
    assert tiles.identity == found.open_tiles().identity
    method = METHODS["clip"].open(MethodInputs(pretraining=replace(found, passes=1)))
    assert f"1 passes over {len(tiles.initial)} training tiles" in method.disclosure
    assert [file.name[:5] for file in (tmp_path / "weights").glob("*.safetensors")] == ["clip-"]


def test_without_a_run_passes_have_to_be_named(tmp_path):
    assert pretraining_of(RunConfig(name="own"), None, tmp_path) is None
    named = RunConfig.model_validate({"name": "own", "benchmark": {"recipes": {"passes": 3}}})
    assert pretraining_of(named, None, tmp_path).passes == 3
