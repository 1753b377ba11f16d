"""What a run will hold is estimated from its configuration, and what has no room is named with numbers and keys."""

import pytest
import torch

from model.clause_text import ClauseText
from model.size import model_size
from model.training import TrainingModel
from orchestrator.cluster.footprint import Footprint, Room, footprint, judge
from orchestrator.config.load import load_config
from orchestrator.run.preflight import PreflightError, preflight_size
from support.paths import ROOT

GIB = 2**30
CONFIGS = ROOT / "configs"
PLENTY = Room(1024 * GIB, 1024 * GIB, 1024 * GIB, 1024 * GIB)


def config(name: str = "smoke", *overrides: str):
    return load_config(CONFIGS / f"{name}.yaml", list(overrides))


@pytest.mark.parametrize("name", ["smoke", "paper", "labelled"])
def test_parameters_are_counted_as_torch_counts_them(name):
    run = config(name)
    values = [len(words) for words in run.annotation_schema.vocabulary.values()]
    ids, mask = torch.zeros(len(values), 2, dtype=torch.int64), torch.ones(len(values), 2, dtype=torch.bool)
    texts = ClauseText(ids, mask, ids.expand(1, -1, -1)[0], mask, tuple(values))
    with torch.device("meta"):
        model = TrainingModel.create(run.model, texts)

    def count(module, trained: bool = False) -> int:
        return sum(each.numel() for each in module.parameters() if each.requires_grad or not trained)

    size = model_size(run.model, values)
    assert size.trained == count(model, trained=True)
    assert (size.encoder, size.captioner, size.teacher) == (
        count(model.encoder),
        count(model.captioner),
        count(model.teacher),
    )
    assert size.queue_bytes == sum(each.nbytes for each in model.queue.buffers() if each.ndim)


def test_a_shared_vision_tower_is_counted_once():
    run = config("smoke")
    values, share = [3, 4], run.model.model_copy(update={"share_vision": True})
    apart, shared = model_size(run.model, values), model_size(share, values)
    assert 0 < apart.trained - shared.trained < apart.captioner
    assert apart.weights_bytes == shared.weights_bytes


def test_estimates_are_those_that_were_measured():
    """On one machine: see docs/scale.md."""
    paper = footprint(config("paper", "train.min_workers=1"), 1280)
    assert paper.trainer / GIB == pytest.approx(8.9, rel=0.1)  # peak of a step of two tiles
    run = config("paper", "rounds=3")
    size = model_size(run.model, [len(words) for words in run.annotation_schema.vocabulary.values()])
    assert size.checkpoint_bytes == pytest.approx(6.9e9, rel=0.05)
    torch = 200 * 2**20  # which a run's driver holds, and that of the scale test does not
    assert footprint(config(), 64_000).driver == pytest.approx(658 * 2**20 + torch, rel=0.1)
    assert footprint(config(), 4_000).driver == pytest.approx(410 * 2**20 + torch, rel=0.1)


def test_images_are_float16_of_two_channels_and_unknown_where_the_tiles_are():
    need = footprint(config(), 1000)
    assert need.images == 1000 * 2 * 128 * 128 * 2
    assert need.held == need.images
    assert footprint(config("smoke", "corpus.rows_per_block=1"), 1000).held == 64 * 2 * 128 * 128 * 2
    unknown = footprint(config(), None)
    assert unknown.images is unknown.held is unknown.driver is None


@pytest.mark.parametrize("name", ["smoke", "default", "sentinel1", "chaos", "labelled"])
def test_configurations_that_come_along_fit_a_small_machine(name):
    run = config(name)
    verdict = judge(run, footprint(run, 1280), Room(8 * GIB, None, 2 * GIB, 2 * GIB))
    assert verdict.refused == verdict.warned == []


def judged(run, need: Footprint, **there: float | None) -> str:
    return "\n".join(judge(run, need, Room(**{**vars(PLENTY), **there})).refused)


def test_a_machine_that_cannot_hold_the_processes_is_told_each_of_them():
    run = config("paper", "train.min_workers=2")
    said = judged(run, footprint(run, 120_000), memory=16 * GIB)
    assert "the processes of the run hold" in said
    assert "the driver 1.1 GiB, training workers (train.min_workers=2)" in said
    assert "scorers (score.min_workers=1)" in said
    assert "this machine has 16.0 GiB" in said
    on_gpus = config("paper", "train.gpus_per_worker=1", "captioner.gpus_per_replica=1", "score.gpus_per_worker=1")
    assert judged(on_gpus, footprint(on_gpus, 1280), memory=16 * GIB) == ""


def test_a_cluster_is_told_of_its_head_and_of_its_largest_node():
    run = config("paper", "cluster.address=auto", "train.min_workers=1")
    said = judged(run, footprint(run, 2_400_000), memory=8 * GIB, node_memory=4 * GIB)
    assert "the driver holds 11.3 GiB for the annotations of so many tiles" in said
    assert "give the head more memory" in said
    assert "and the largest node has 4.0 GiB: use larger nodes, more workers" in said


def test_an_object_store_that_cannot_hold_what_a_worker_holds_is_refused_and_one_that_spills_is_warned_of():
    run = config("paper")
    need = footprint(run, 120_000)
    verdict = judge(run, need, PLENTY)
    assert verdict.refused == []
    assert verdict.warned == [
        "The images of the corpus are 29.3 GiB and the object store has 2.0 GiB (cluster.object_store_memory_gib), so "
        "27.3 GiB are spilled to disk and read from there in every round."
    ]
    assert "27.3 GiB of images are spilled to disk, and 20.0 GiB are free there" in judged(
        run, need, spill_disk=20 * GIB
    )
    large = config("paper", "corpus.rows_per_block=256")
    said = judged(large, footprint(large, 120_000))
    assert "a training worker holds 4.0 GiB of images at once (64 blocks of corpus.rows_per_block=256 tiles)" in said


def test_a_disk_that_cannot_hold_checkpoints_and_weights_is_refused_with_the_keys():
    run = config("paper", "schedule.folds=2")
    said = judged(run, footprint(run, 1280), run_disk=20 * GIB)
    assert "comes to hold 39.2 GiB of the trainer's checkpoints (train.keep_checkpoints=2, and the next one; " in said
    assert "schedule.folds=2) and 7.1 GiB of weights (retention.keep_rounds=2), and 20.0 GiB are free there" in said
    assert judged(run, footprint(run, 1280), run_disk=None) == ""


def test_the_preflight_takes_the_number_of_simulated_tiles_from_the_configuration(tmp_path):
    with pytest.raises(PreflightError, match=r"has no room:\n  the processes of the run hold [\d,]+ GiB of memory"):
        preflight_size(config("smoke", "corpus.simulated.tiles=100000000", "corpus.rows_per_block=1"), tmp_path)
    assert preflight_size(config("smoke"), tmp_path) == []
