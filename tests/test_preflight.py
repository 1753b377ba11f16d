"""What a run would lack is named before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from ports import free_port

from orchestrator.cluster import ClusterUnreachable
from orchestrator.config import ConfigError, RunConfig, load_config
from orchestrator.errors import expected_errors
from orchestrator.preflight import (
    PreflightError,
    Resources,
    check,
    check_start_weights,
    check_tile_size,
    needed,
    offered,
    preflight,
)

SMOKE = Path(__file__).resolve().parent.parent / "configs" / "smoke.yaml"
RUNS = [path for path in sorted(SMOKE.parent.glob("*.yaml")) if not path.stem.startswith("ablation")]
PLENTY = Resources(cpus=64, gpus=8, memory_gib=512)


def test_what_a_run_needs_is_counted_by_hand():
    config = load_config(SMOKE, ["train.min_workers=2", "train.max_workers=3", "train.cpus_per_worker=4",
                                 "captioner.min_replicas=2", "captioner.max_replicas=2", "captioner.gpus_per_replica=0.5",
                                 "score.min_workers=3", "score.max_workers=3", "cluster.memory_gib=20"])
    assert needed(config, PLENTY) == Resources(cpus=3 * 4 + 2 * 1 + 3 * 1 + 1, gpus=1.0, memory_gib=20)


def test_a_cluster_that_can_grow_needs_room_for_the_least_group_and_a_local_one_for_all_it_will_take():
    sizes, four = ["train.min_workers=1", "train.max_workers=4"], Resources(cpus=4, gpus=0, memory_gib=64)
    assert needed(load_config(SMOKE, sizes), four).cpus == 4 + 1 + 1 + 1
    assert needed(load_config(SMOKE, [*sizes, "cluster.address=auto"]), four).cpus == 1 + 1 + 1 + 1
    with pytest.raises(PreflightError, match=r"7 CPUs are needed \(4 training workers x 1.*lower train.max_workers"):
        check(load_config(SMOKE, sizes), four)


def test_one_gpu_trains_with_one_worker_unless_others_want_it_too():
    one = Resources(cpus=8, gpus=1, memory_gib=64)
    sizes = ["train.min_workers=1", "train.max_workers=2", "train.gpus_per_worker=1"]
    check(load_config(SMOKE, sizes), one)
    with pytest.raises(PreflightError, match="1.5 GPUs are needed and 1 are offered"):
        check(load_config(SMOKE, [*sizes, "captioner.gpus_per_replica=0.5"]), one)


@pytest.mark.parametrize("name", ["smoke", "default", "sentinel1"])
def test_configurations_that_come_along_fit_the_cluster_they_start(name):
    config = load_config(SMOKE.with_name(f"{name}.yaml"))
    check(config, replace(offered(config), memory_gib=PLENTY.memory_gib))
    assert needed(config, PLENTY).gpus == 0


def test_a_local_cluster_offers_the_gpus_of_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = load_config(SMOKE, ["score.gpus_per_worker=1", "captioner.gpus_per_replica=1"])
    assert offered(config).gpus == needed(config, PLENTY).gpus == 2


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_configurations_that_come_along_look_at_whole_tiles(path):
    check_tile_size(load_config(path))


@pytest.mark.parametrize(("name", "overrides", "said"), [
    ("smoke", ["corpus.simulated.tile_size_pixels=64"],
     "corpus.simulated.tile_size_pixels is 64 and model.encoder.vision.image_size_px is 128"),
    ("smoke", ["model=model/paper.yaml"],
     "corpus.simulated.tile_size_pixels is 128 and model.encoder.vision.image_size_px is 224"),
    ("sentinel1", ["corpus.ingest.tile_px=256"],
     "corpus.ingest.tile_px is 256 and model.encoder.vision.image_size_px is 128"),
    ("smoke", ["model.captioner.vision={image_size_px: 256}"],
     "corpus.simulated.tile_size_pixels is 128 and model.captioner.vision.image_size_px is 256"),
])
def test_tiles_that_the_model_cannot_look_at_are_named_before_anything_starts(name, overrides, said):
    with pytest.raises(ConfigError, match=said):
        preflight(load_config(SMOKE.with_name(f"{name}.yaml"), overrides))


def test_the_size_of_tiles_that_are_not_made_does_not_matter():
    check_tile_size(load_config(SMOKE, ["corpus.ingest.tile_px=64"]))
    check_tile_size(load_config(SMOKE, ["corpus.simulated.tile_size_pixels=224", "model=model/paper.yaml"]))


@pytest.fixture
def start(tmp_path) -> RunConfig:
    """A configuration, and beside it a weights directory of its model, as far as it is looked at."""
    config = load_config(SMOKE, [f"start_weights={tmp_path / 'weights'}"])
    (tmp_path / "weights" / "encoder").mkdir(parents=True)
    (tmp_path / "weights" / "encoder" / "config.json").write_text("{}")
    (tmp_path / "weights" / "model.yaml").write_text(yaml.safe_dump(config.model.model_dump(mode="json")))
    return config


def test_weights_of_the_configured_model_may_be_started_from(start):
    check_start_weights(start.start_weights, start.model)


def test_weights_of_another_model_are_named_with_both_values(start):
    other = load_config(SMOKE, [f"start_weights={start.start_weights}", "model.encoder.clause_heads=8",
                                "model.objective.momentum=0.5", "model.share_vision=true"])
    with pytest.raises(ConfigError) as error:
        preflight(other)
    said = str(error.value)
    assert "model.encoder.clause_heads is 8, there 4" in said and "model.objective.momentum is 0.5, there 0.995" in said
    assert "model.share_vision is True, there False" in said and "more" not in said
    assert f"--set model={start.start_weights / 'model.yaml'}" in said
    # What it advises is accepted.
    taken_over = load_config(SMOKE, [f"model={start.start_weights / 'model.yaml'}"])
    check_start_weights(start.start_weights, taken_over.model)


def test_only_the_first_of_many_differing_keys_are_named(start):
    with pytest.raises(ConfigError, match=r"model\.encoder\.vision\.image_size_px is 224, there 128.*, and \d+ more"):
        check_start_weights(start.start_weights, load_config(SMOKE, ["model=model/paper.yaml"]).model)


def test_weights_without_a_readable_model_are_named(start):
    path = start.start_weights / "model.yaml"
    path.write_text("encoder: {depth: 3}")
    with pytest.raises(ConfigError, match="start_weights names .* is not valid"):
        check_start_weights(start.start_weights, start.model)
    path.unlink()
    with pytest.raises(ConfigError, match="which has no model.yaml"):
        check_start_weights(start.start_weights, start.model)


def test_a_cluster_that_does_not_answer_is_named_with_what_to_look_at():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClusterUnreachable, match=f"cluster.address={address}.*ray status.*RAY_AUTH_MODE=token") as error:
        offered(load_config(SMOKE, [f"cluster.address={address}"]))
    assert isinstance(error.value, expected_errors())


def test_enough_is_enough():
    config = load_config(SMOKE)
    check(config, needed(config, PLENTY))


def test_every_shortfall_is_named_with_its_keys():
    config = load_config(SMOKE, ["train.min_workers=40", "train.max_workers=40", "train.gpus_per_worker=1",
                                 "cluster.memory_gib=4000"])
    with pytest.raises(PreflightError) as error:
        check(config, Resources(cpus=6, gpus=0, memory_gib=16))
    said = str(error.value)
    assert "43 CPUs are needed (40 training workers x 1" in said and "6 are offered" in said
    assert "cluster.local_cpus" in said
    assert "40 GPUs are needed and 0 are offered" in said and "train.gpus_per_worker" in said
    assert "4000 GiB of memory are needed (cluster.memory_gib) and 16.0 GiB are free" in said


def test_only_what_is_short_is_named():
    config = load_config(SMOKE, ["cluster.memory_gib=4000"])
    with pytest.raises(PreflightError) as error:
        check(config, PLENTY)
    assert "CPUs" not in str(error.value) and "GPUs" not in str(error.value)


def test_a_local_cluster_is_checked_without_starting_it():
    import ray

    with pytest.raises(PreflightError, match="cluster is too small"):
        preflight(load_config(SMOKE, ["train.min_workers=1000", "train.max_workers=1000"]))
    assert not ray.is_initialized()
