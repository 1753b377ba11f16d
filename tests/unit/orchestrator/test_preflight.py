"""What a run would lack is named before anything starts."""

import itertools
import random
import shutil
import time

import pytest
import torch
import yaml
from safetensors.torch import save_file

from corpus.storage.errors import ConfigError
from hcot_llm.schema.files import write_schema
from model.pretrained import PretrainedError
from orchestrator.cluster.capacity import capacity_of, cluster_capacity
from orchestrator.cluster.placement import find_unplaced
from orchestrator.cluster.requirements import Requirement, total_requirement
from orchestrator.cluster.resources import ClusterCapacity, Resources
from orchestrator.config.load import load_config, portable
from orchestrator.config.schema import RunConfig
from orchestrator.run.preflight import PreflightError, check, check_start_weights, check_tile_size, preflight
from orchestrator.state.run_directory import RunDirectory
from support.hcot import HCOT
from support.paths import ROOT

SMOKE = ROOT / "configs" / "smoke.yaml"

RUNS = [path for path in sorted(SMOKE.parent.glob("*.yaml")) if "\nbase: " not in path.read_text()]

PLENTY = Resources(cpus=64, gpus=8, memory_gib=512)


def nodes(*sizes: tuple[float, float]) -> ClusterCapacity:
    """A cluster of nodes with so many CPUs and GPUs, and with memory enough."""
    return ClusterCapacity(tuple(Resources(cpus, gpus, memory_gib=64) for cpus, gpus in sizes))


def on_a_cluster(*overrides: str) -> RunConfig:
    return load_config(SMOKE, ["cluster.address=auto", *overrides])


def refusal(config: RunConfig, capacity: ClusterCapacity) -> str:
    with pytest.raises(PreflightError) as error:
        check(config, capacity)
    return str(error.value)


def test_what_a_run_needs_is_counted_by_hand():
    config = load_config(
        SMOKE,
        [
            "train.min_workers=2",
            "train.max_workers=2",
            "train.cpus_per_worker=4",
            "captioner.min_replicas=2",
            "captioner.max_replicas=2",
            "captioner.gpus_per_replica=0.5",
            "score.min_workers=3",
            "score.max_workers=3",
            "cluster.memory_gib=20",
        ],
    )
    assert total_requirement(config) == Resources(cpus=2 * 4 + 2 * 1 + 3 * 1 + 1, gpus=1.0, memory_gib=20)


def test_an_elastic_group_needs_room_for_its_least_size_alone():
    """It takes what is left beside the others (test_reservation.py)."""
    sizes, three = ["train.min_workers=1", "train.max_workers=2"], Resources(cpus=3, gpus=0, memory_gib=64)
    for address in ([], ["cluster.address=auto"]):
        assert total_requirement(load_config(SMOKE, [*sizes, *address])).cpus == 1 + 1 + 1 + 1
    with pytest.raises(PreflightError, match=r"4 CPUs are needed \(1 training workers x 1.*lower train.min_workers"):
        check(load_config(SMOKE, sizes), ClusterCapacity((three,)))


def test_a_run_with_overlap_needs_room_for_training_and_labelling_at_once():
    """Training needs 4 CPUs and labelling 3: four would do for one after the other."""
    sizes = ["train.min_workers=2", "train.max_workers=2", "train.cpus_per_worker=2"]
    config = on_a_cluster("schedule.staleness=1", *sizes)
    assert "7 CPUs are needed" in refusal(config, nodes((4, 0)))
    check(config, nodes((4, 0), (3, 0)))


def test_one_gpu_trains_with_one_worker_unless_others_want_it_too():
    one = nodes((8, 1))
    sizes = ["train.min_workers=1", "train.max_workers=2", "train.gpus_per_worker=1"]
    check(load_config(SMOKE, sizes), one)
    with pytest.raises(PreflightError, match="1.5 GPUs are needed and 1 are there"):
        check(load_config(SMOKE, [*sizes, "captioner.gpus_per_replica=0.5"]), one)


@pytest.mark.parametrize("name", ["smoke", "default", "sentinel1"])
def test_configurations_that_come_along_fit_the_cluster_they_start(name):
    config = load_config(SMOKE.with_name(f"{name}.yaml"))
    [machine] = cluster_capacity(config).nodes
    check(config, nodes((machine.cpus, machine.gpus)))
    assert total_requirement(config).gpus == 0


def test_a_local_cluster_offers_the_gpus_of_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = load_config(SMOKE, ["score.gpus_per_worker=1", "captioner.gpus_per_replica=1"])
    assert cluster_capacity(config).total.gpus == total_requirement(config).gpus == 2


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_configurations_that_come_along_look_at_whole_tiles(path):
    check_tile_size(load_config(path))


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        (
            "smoke",
            ["corpus.simulated.tile_size_pixels=64"],
            "corpus.simulated.tile_size_pixels is 64 and model.encoder.vision.image_size_px is 128",
        ),
        (
            "smoke",
            ["model=model/paper.yaml"],
            "corpus.simulated.tile_size_pixels is 128 and model.encoder.vision.image_size_px is 224",
        ),
        (
            "sentinel1",
            ["corpus.ingest.tile_px=64"],
            "corpus.ingest.tile_px is 64 and model.encoder.vision.image_size_px is 128",
        ),
        (
            "smoke",
            ["model.captioner.vision={image_size_px: 256}"],
            "model.encoder.vision.image_size_px is 128 and model.captioner.vision.image_size_px is 256",
        ),
    ],
)
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
    write_schema(tmp_path / "weights", HCOT)
    return config


def test_weights_of_the_configured_model_may_be_started_from(start):
    check_start_weights(start.start_weights, start.model, HCOT)


def test_a_run_that_goes_on_needs_its_own_copy_of_the_start_weights_only(start, tmp_path):
    config, directory = (
        start.model_copy(update={"cluster": start.cluster.model_copy(update={"memory_gib": 0.1})}),
        RunDirectory(tmp_path / "run"),
    )
    shutil.rmtree(start.start_weights)
    with pytest.raises(ConfigError, match="which holds no weights"):
        preflight(config, directory)  # it was interrupted before it had copied them
    directory.weights(0).mkdir(parents=True)
    preflight(config, directory)
    with pytest.raises(ConfigError, match="which holds no weights"):
        preflight(config)


def test_weights_of_another_model_are_named_with_both_values(start):
    other = load_config(
        SMOKE,
        [
            f"start_weights={start.start_weights}",
            "model.encoder.clause_heads=8",
            "model.objective.momentum=0.5",
            "model.share_vision=true",
        ],
    )
    with pytest.raises(ConfigError) as error:
        preflight(other)
    said = str(error.value)
    assert "model.encoder.clause_heads is 8, there 4" in said
    assert "model.objective.momentum is 0.5, there 0.995" in said
    assert "model.share_vision is True, there False" in said
    assert "more" not in said
    assert f"--set model={start.start_weights / 'model.yaml'}" in said
    # What it advises is accepted.
    taken_over = load_config(SMOKE, [f"model={start.start_weights / 'model.yaml'}"])
    check_start_weights(start.start_weights, taken_over.model, HCOT)


def test_only_the_first_of_many_differing_keys_are_named(start):
    with pytest.raises(ConfigError, match=r"model\.encoder\.vision\.image_size_px is 224, there 128.*, and \d+ more"):
        check_start_weights(start.start_weights, load_config(SMOKE, ["model=model/paper.yaml"]).model, HCOT)


def test_weights_without_a_readable_model_are_named(start):
    path = start.start_weights / "model.yaml"
    path.write_text("encoder: {depth: 3}")
    with pytest.raises(ConfigError, match="start_weights names .* is not valid"):
        check_start_weights(start.start_weights, start.model, HCOT)
    path.unlink()
    with pytest.raises(ConfigError, match="which has no model.yaml"):
        check_start_weights(start.start_weights, start.model, HCOT)


def test_a_cluster_of_exactly_what_is_needed_is_accepted():
    config = load_config(SMOKE)
    check(config, ClusterCapacity((total_requirement(config),)))


def test_every_shortfall_is_named_with_its_keys():
    config = load_config(
        SMOKE, ["train.min_workers=40", "train.max_workers=40", "train.gpus_per_worker=1", "cluster.memory_gib=4000"]
    )
    with pytest.raises(PreflightError) as error:
        check(config, ClusterCapacity((Resources(cpus=6, gpus=0, memory_gib=16),)))
    said = str(error.value)
    assert "43 CPUs are needed (40 training workers x 1" in said
    assert "6 are there" in said
    assert "cluster.local_cpus" in said
    assert "40 GPUs are needed and 0 are there" in said
    assert "train.gpus_per_worker" in said
    assert "4000 GiB of memory are needed (cluster.memory_gib) and 16.0 GiB are free" in said


def test_only_what_is_short_is_named():
    config = load_config(SMOKE, ["cluster.memory_gib=4000"])
    with pytest.raises(PreflightError) as error:
        check(config, ClusterCapacity((PLENTY,)))
    assert "CPUs" not in str(error.value)
    assert "GPUs" not in str(error.value)


def test_a_process_that_fits_on_no_node_is_named_with_its_key_and_the_largest_node():
    said = refusal(on_a_cluster("train.cpus_per_worker=8"), nodes((4, 0), (4, 0), (2, 0), (4, 0)))
    assert "a training worker needs 8 CPUs (train.cpus_per_worker) on one node, and the largest has 4 CPUs:" in said
    assert "captioner" not in said
    assert "scorer" not in said
    assert "together" not in said
    said = refusal(on_a_cluster("train.gpus_per_worker=2"), nodes((4, 1), (4, 1)))
    assert (
        "a training worker needs 1 CPU (train.cpus_per_worker) and 2 GPUs (train.gpus_per_worker) on one node, and "
        "the largest has 4 CPUs and 1 GPU:"
    ) in said


def test_every_kind_of_process_needs_a_node_that_is_large_enough():
    said = refusal(
        on_a_cluster("captioner.cpus_per_replica=5", "score.gpus_per_worker=1.5", "score.cpus_per_worker=2"),
        nodes((4, 1), (4, 1), (4, 0)),
    )
    assert "a captioner needs 5 CPUs (captioner.cpus_per_replica) on one node" in said
    assert "a scorer needs 2 CPUs (score.cpus_per_worker) and 1.5 GPUs (score.gpus_per_worker) on one node" in said
    elsewhere = on_a_cluster("captioner.kind=endpoint", "captioner.endpoint.model=m")
    said = refusal(elsewhere, nodes(*[(0.5, 0)] * 8))
    assert "a task of Ray Data needs 1 CPU on one node, and the largest has 0.5 CPUs: use larger nodes" in said
    assert "captioner" not in said


def test_cpus_and_gpus_have_to_be_on_the_same_node():
    config = on_a_cluster("train.cpus_per_worker=4", "train.gpus_per_worker=1")
    said = refusal(config, nodes((8, 0), (2, 1), (1, 1), (4, 0)))
    assert "4 CPUs (train.cpus_per_worker) and 1 GPU (train.gpus_per_worker)" in said
    assert "the largest has 2 CPUs and 1 GPU or 8 CPUs:" in said
    check(config, nodes((8, 0), (4, 1)))


def test_processes_that_fit_one_by_one_but_not_together_are_named_with_what_may_be_lowered():
    config = on_a_cluster("train.cpus_per_worker=3", "train.min_workers=2", "score.cpus_per_worker=2")
    check(config, nodes((4, 0), (4, 0), (2, 0)))
    said = refusal(config, nodes((4, 0), (4, 0), (1, 0), (1, 0)))
    assert "a scorer of 2 CPUs finds no room: the nodes have enough together" in said
    assert (
        "2 x training worker of 3 CPUs, 1 x captioner of 1 CPU, 1 x scorer of 2 CPUs, 1 x task of Ray Data of 1 "
        "CPU; there are nodes of 2 x 4 CPUs, 2 x 1 CPU:"
    ) in said
    assert (
        "lower train.cpus_per_worker or train.min_workers or score.cpus_per_worker, or use larger or more nodes" in said
    )
    # Where they have not even enough together, that alone is said.
    said = refusal(config, nodes((4, 0), (4, 0), (1, 0)))
    assert "10 CPUs are needed (2 training workers x 3" in said
    assert "finds no room" not in said


def test_a_run_that_only_an_unlikely_placement_has_room_for_is_not_refused():
    """The largest first and each where it leaves the least would put both training workers on one node."""
    config = on_a_cluster(
        "train.cpus_per_worker=4",
        "train.min_workers=2",
        "score.cpus_per_worker=3",
        "score.min_workers=2",
        "score.max_workers=2",
        "captioner.cpus_per_replica=3",
        "captioner.min_replicas=2",
        "captioner.max_replicas=2",
    )
    check(config, nodes((10, 0), (11, 0)))


def test_the_search_for_room_agrees_with_trying_everything():
    draw, answers = random.Random(0), []
    for _ in range(100):
        processes = [Resources(draw.randint(1, 5), draw.choice((0, 0, 0.3, 0.5, 1))) for _ in range(draw.randint(1, 5))]
        there = [Resources(draw.randint(1, 8), draw.randint(0, 2)) for _ in range(draw.randint(1, 3))]

        def fit(placement: tuple[int, ...], processes=processes, there=there) -> bool:
            on = [
                [process for process, at in zip(processes, placement, strict=True) if at == node]
                for node in range(len(there))
            ]
            return all(
                sum(each.cpus for each in held) <= has.cpus and sum(each.gpus for each in held) <= has.gpus
                for held, has in zip(on, there, strict=True)
            )

        found = any(fit(placement) for placement in itertools.product(range(len(there)), repeat=len(processes)))
        assert (find_unplaced([Requirement("process", 1, each) for each in processes], there) is None) == found
        answers.append(found)
    assert 15 < sum(answers) < 85


def test_the_search_for_room_ends_soon_and_does_not_refuse_what_it_could_not_settle(monkeypatch):
    draw = random.Random(0)
    # Every process asks for an even number of CPUs, and every node has an odd one: 2 CPUs find no room anywhere.
    cpus = [2 * draw.randint(10, 50) for _ in range(12)]
    cpus.append((2 - sum(cpus)) % 150)
    processes, there = [Resources(each, 0) for each in cpus], [Resources(151, 0)] * (sum(cpus) // 150)
    assert 150 * len(there) < sum(cpus) <= 151 * len(there)
    start = time.monotonic()
    even = [Requirement("process", 1, each) for each in processes]
    assert find_unplaced(even, there) in even
    assert find_unplaced([Requirement("small", 2000, Resources(1, 0))], [Resources(1, 0)] * 2000) is None
    large = Requirement("large", 2000, Resources(3, 0))
    assert find_unplaced([large], [Resources(5, 0)] * 1999) == large
    assert time.monotonic() - start < 60
    monkeypatch.setattr("orchestrator.cluster.placement._PATIENCE_S", 1e-6)
    assert find_unplaced(even, there) is None


def test_fractions_of_a_gpu_that_add_up_are_enough():
    config = on_a_cluster(
        "score.gpus_per_worker=0.1",
        "score.min_workers=2",
        "captioner.gpus_per_replica=0.4",
        "captioner.min_replicas=7",
        "captioner.max_replicas=7",
    )
    assert 2 * 0.1 + 7 * 0.4 > 3
    assert total_requirement(config).gpus == 3
    check(config, nodes((16, 1), (16, 2)))


def test_what_a_cluster_would_have_to_keep_is_said_only_where_there_is_one():
    few = nodes((2, 0))
    said = refusal(on_a_cluster(), few)
    assert "lower train.min_workers" in said
    assert "minReplicas" in said
    said = refusal(load_config(SMOKE), few)
    assert "lower train.min_workers" in said
    assert "minReplicas" not in said
    assert "on one node" not in said


def test_nodes_that_have_died_offer_nothing():
    dead = {"Alive": False, "Resources": {"CPU": 64.0}}
    alive = [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 2**31}}, {"Alive": True, "Resources": {"GPU": 1.0}}]
    assert capacity_of([dead, *alive]).nodes == (Resources(2, 0, memory_gib=2), Resources(0, 1))


def test_a_local_cluster_is_checked_without_starting_it():
    import ray

    with pytest.raises(PreflightError, match="cluster is too small"):
        preflight(load_config(SMOKE, ["train.min_workers=1000", "train.max_workers=1000"]))
    assert not ray.is_initialized()


def test_weights_of_another_size_that_a_tower_is_to_start_from_are_named_before_anything_starts(tmp_path):
    width = {"embeddings.patch_embeddings.projection.weight": torch.zeros(8, 3, 16, 16)}
    save_file(width | {"embeddings.position_embeddings": torch.zeros(1, 5, 8)}, tmp_path / "model.safetensors")
    patch = ["model.encoder.vision.stem=patch", f"model.encoder.vision.pretrained={tmp_path}"]
    with pytest.raises(PretrainedError, match=r"model.encoder.vision.width is \d+, there 8"):
        preflight(load_config(SMOKE, patch))
    nowhere = load_config(SMOKE, ["model.encoder.vision.pretrained=vit_nowhere"])
    with pytest.raises(PretrainedError, match="weights not found at vit_nowhere"):
        preflight(nowhere)


def test_a_folder_that_a_tower_starts_from_is_kept_absolute_and_a_name_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vit").mkdir()
    for source, kept in (("vit", str(tmp_path / "vit")), ("vit_base_patch16_224", "vit_base_patch16_224")):
        model = portable(load_config(SMOKE, [f"model.encoder.vision.pretrained={source}"]))["model"]
        assert model["encoder"]["vision"]["pretrained"] == kept
