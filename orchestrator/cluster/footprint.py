"""What a run will hold in memory, in the object store and on disk, by its configuration, before anything starts.

Every formula counts what a run surely comes to hold, and leaves out what it may: activations, results of a phase, old
annotations. So what is refused here would not have ended well. docs/scale.md has the formulas beside what was measured.
"""

from dataclasses import dataclass

from actors.captioner.native import NativeCaptionerConfig
from actors.data.round_rows import BLOCKS_OF_PART
from model.size import ModelSize, model_size
from orchestrator.config.schema import RunConfig

_GIB = 2**30
_CHANNELS, _IMAGE_VALUE_BYTES = 2, 2
_DRIVER_BYTES, _DRIVER_BYTES_PER_ANNOTATION = _GIB * 3 // 5, 300
"""Of the driver: all that it imports, and what grows with the corpus, at its peak in a round."""
_TRAINER_BYTES, _SCORER_BYTES, _CAPTIONER_BYTES = _GIB // 2, _GIB // 3, _GIB
"""Of a process without its model: torch and DeepSpeed, torch, torch and vLLM."""


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes. What depends on the number of tiles is None where that is not known.

    Attributes:
        images: All tiles, as the object store holds them.
        held: Blocks of images that a training worker holds at once, which the object store may not spill.
        driver: Memory of the driver.
        trainer: Memory of a training worker of the least group, where it trains on the CPU.
        captioner: Memory of a replica of the native captioner on the CPU.
        scorer: Memory of a scoring actor on the CPU.
        checkpoints: The trainer's, on disk.
        weights: Those of the rounds that are kept, on disk.
    """

    images: int | None
    held: int | None
    driver: int | None
    trainer: int
    captioner: int
    scorer: int
    checkpoints: int
    weights: int


def footprint(config: RunConfig, tiles: int | None) -> Footprint:
    """Estimate what a run holds.

    Args:
        config: Its configuration.
        tiles: Number of tiles of its corpus; None where it is not known yet.
    """
    values = [len(words) for words in config.annotation_schema.vocabulary.values()]
    size = model_size(config.model, values)
    image = _CHANNELS * _IMAGE_VALUE_BYTES * config.model.encoder.vision.image_size_px**2
    images = held = driver = None
    if tiles is not None:
        images = tiles * image
        held = min(images, BLOCKS_OF_PART * config.corpus.rows_per_block * image)
        driver = _DRIVER_BYTES + _DRIVER_BYTES_PER_ANNOTATION * tiles * len(values)
    rounds, folds = config.rounds, config.schedule.folds
    return Footprint(
        images,
        held,
        driver,
        0 if config.train.gpus_per_worker else _TRAINER_BYTES + trainer_bytes(size, config.train.min_workers),
        _captioner_bytes(config, size),
        0 if config.score.gpus_per_worker else _SCORER_BYTES + 4 * size.encoder,
        # The next one is whole before the oldest is deleted.
        folds * min(config.train.keep_checkpoints + 1, rounds) * size.checkpoint_bytes,
        (1 + folds * min(config.retention.keep_rounds, rounds)) * size.weights_bytes,
    )


def trainer_bytes(size: ModelSize, workers: int) -> int:
    """Memory that a training worker holds: the model, its gradients, and its share of the optimiser's state."""
    return size.model_bytes + 4 * size.trained + size.optimiser_bytes // workers


def _captioner_bytes(config: RunConfig, size: ModelSize) -> int:
    """The captioner's weights twice, as the engine has its own decoder, and the key-value cache."""
    captioner = config.captioner
    if not isinstance(captioner, NativeCaptionerConfig) or captioner.gpus_per_replica:
        return 0
    return _CAPTIONER_BYTES + 2 * 4 * size.captioner + captioner.engine.kv_cache_gib * _GIB


@dataclass(frozen=True)
class Room:
    """What there is, in bytes. None: not known.

    Attributes:
        memory: Memory of the machine that the driver runs on.
        node_memory: Memory of the largest node.
        run_disk: Free where the run directory is.
        spill_disk: Free where the object store of a local cluster spills to.
    """

    memory: float
    node_memory: float | None
    run_disk: float | None
    spill_disk: float | None


@dataclass(frozen=True)
class Verdict:
    """What of a run does not fit, and what fits but costs time: sentences with the numbers and the keys."""

    refused: list[str]
    warned: list[str]


def judge(config: RunConfig, need: Footprint, there: Room) -> Verdict:
    """Compare what a run holds with what there is.

    Args:
        config: Of the run.
        need: What it holds.
        there: What there is.
    """
    refused = [*_memory(config, need, there), *_disk(config, need, there)]
    warned = []
    store = config.cluster.object_store_memory_gib * _GIB
    if config.cluster.address is None and need.images is not None and need.held is not None:
        if need.held > store:
            refused.append(
                f"a training worker holds {_gib(need.held)} of images at once ({BLOCKS_OF_PART} blocks of "
                f"corpus.rows_per_block={config.corpus.rows_per_block} tiles), and the object store has {_gib(store)} "
                "(cluster.object_store_memory_gib): raise the latter or lower the former"
            )
        elif need.images > store:
            spilled = need.images - store
            warned.append(
                f"The images of the corpus are {_gib(need.images)} and the object store has {_gib(store)} "
                f"(cluster.object_store_memory_gib), so {_gib(spilled)} are spilled to disk and read from there in "
                "every round."
            )
            if there.spill_disk is not None and spilled > there.spill_disk:
                refused.append(
                    f"{_gib(spilled)} of images are spilled to disk, and {_gib(there.spill_disk)} are free there: "
                    "raise cluster.object_store_memory_gib, or name another place (cluster.spill_dir)"
                )
    return Verdict(refused, warned)


def _memory(config: RunConfig, need: Footprint, there: Room) -> list[str]:
    driver = need.driver or _DRIVER_BYTES
    workers = f"train.min_workers={config.train.min_workers}"
    if config.cluster.address is not None:
        found = []
        if driver > there.memory:
            found.append(
                f"the driver holds {_gib(driver)} for the annotations of so many tiles, and its machine, the head of "
                f"the cluster, has {_gib(there.memory)}: give the head more memory"
            )
        if there.node_memory is not None and need.trainer > there.node_memory:
            found.append(
                f"a training worker holds {_gib(need.trainer)}, and the largest node has {_gib(there.node_memory)}: "
                f"use larger nodes, more workers that share the optimiser's state ({workers}), or GPUs "
                "(train.gpus_per_worker)"
            )
        return found
    store = min(need.images or 0, config.cluster.object_store_memory_gib * _GIB)
    parts = {
        "the driver": driver,
        f"training workers ({workers})": config.train.min_workers * need.trainer,
        "captioners (captioner.min_replicas)": config.captioner.replicas.count * need.captioner,
        f"scorers (score.min_workers={config.score.min_workers})": config.score.min_workers * need.scorer,
        "images in the object store": store,
    }
    if sum(parts.values()) <= there.memory:
        return []
    said = ", ".join(f"{what} {_gib(size)}" for what, size in parts.items() if size)
    return [
        f"the processes of the run hold {_gib(sum(parts.values()))} of memory together ({said}), and this machine has "
        f"{_gib(there.memory)}: use a smaller model (model), fewer processes, a larger machine, or a cluster "
        "(cluster.address)"
    ]


def _disk(config: RunConfig, need: Footprint, there: Room) -> list[str]:
    if there.run_disk is None or need.checkpoints + need.weights <= there.run_disk:
        return []
    return [
        f"the run directory comes to hold {_gib(need.checkpoints)} of the trainer's checkpoints "
        f"(train.keep_checkpoints={config.train.keep_checkpoints}, and the next one; schedule.folds="
        f"{config.schedule.folds}) and {_gib(need.weights)} of weights (retention.keep_rounds="
        f"{config.retention.keep_rounds}), and {_gib(there.run_disk)} are free there: make room, name another place "
        "(--run-dir), or keep less"
    ]


def _gib(size: float) -> str:
    return f"{size / _GIB:,.{0 if size >= 100 * _GIB else 1}f} GiB"
