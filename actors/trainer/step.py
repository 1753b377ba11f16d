"""One optimiser step, the same whatever number of ranks shares its micro-batches."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from actors.trainer.batch_norm import StatisticsReplay
from actors.trainer.epoch_plan import MicroBatch, assign_micro_batches
from model.training import Batch, TrainingModel

LOSSES = ("total", "itc", "itm", "clause", "reconstruction", "slot")


class Votes(NamedTuple):
    """What ranks tell one another with a step: of one rank whether it says so, of all how many do."""

    stop: float
    """The run is asked to end."""
    save: float
    """A checkpoint is due."""
    written: float
    """The rank has written its part of the checkpoint under way."""


SILENT = Votes(0, 0, 0)


def optimiser_step(
    engine: Any,
    model: TrainingModel,
    batches: Sequence[MicroBatch],
    build: Callable[[MicroBatch], tuple[Batch, torch.Generator]],
    *,
    micro_batch_tiles: int,
    learning_rate: float,
    votes: Votes = SILENT,
) -> tuple[dict[str, float], Votes]:
    """Train on this rank's micro-batches of a step. All ranks call it with the same step.

    Args:
        engine: DeepSpeed's engine of the model.
        model: the model inside the engine.
        batches: the step's micro-batches, in the order of the plan.
        build: makes the tensors of a micro-batch, on the engine's device.
        micro_batch_tiles: tiles of each micro-batch.
        learning_rate: Learning rate of this step.
        votes: What this rank tells the others.

    Returns:
        Mean losses over the step's micro-batches, by the names of LOSSES; how many ranks said what.
    """
    rank, world_size = dist.get_rank(), dist.get_world_size()
    mine = assign_micro_batches(len(batches), world_size)[rank]
    for group in engine.optimizer.param_groups:
        group["lr"] = learning_rate
    # DeepSpeed divides by passes and ranks; the gradient wanted is the mean over the micro-batches.
    weight = len(mine) * world_size / len(batches)
    shape = (len(mine), micro_batch_tiles, model.queue.image.shape[1])
    image, text = torch.zeros(shape), torch.zeros(shape)
    ids = torch.full(shape[:2], -1, dtype=torch.int64)
    sums = torch.tensor([0.0] * len(LOSSES) + list(votes))
    layers = model.normalisation_layers() if world_size > 1 else []
    statistics = StatisticsReplay(layers, len(mine)) if layers else None
    for turn, index in enumerate(mine):
        if index is None:
            # A rank without a micro-batch still takes part in the reduction, with a zero gradient.
            engine.backward(_nothing(engine, model, lambda: build(batches[0])))
        else:
            batch, generator = build(batches[index])
            with nullcontext() if statistics is None else statistics.noting(turn):
                report = engine(batch, generator)
            engine.backward(report.total * weight)
            image[turn], text[turn], ids[turn] = report.teacher_image, report.teacher_text, batch.tile_ids
            sums[: len(LOSSES)] += torch.stack([getattr(report, name).detach().float() for name in LOSSES]).cpu()
        engine.step()
    model.momentum_update()
    dist.all_reduce(sums)
    # Rank r's turn t held micro-batch r + t * world: back to the order of the plan on every rank.
    places = [(index % world_size, index // world_size) for index in range(len(batches))]
    images, texts, tile_ids = (_gather(tensor) for tensor in (image, text, ids))
    for rank, turn in places:
        model.enqueue(images[rank][turn], texts[rank][turn], tile_ids[rank][turn])
    if statistics is not None:
        added = _gather(statistics.added)
        statistics.replay([added[rank][turn] for rank, turn in places])
    losses = {name: float(value) / len(batches) for name, value in zip(LOSSES, sums[: len(LOSSES)], strict=True)}
    return losses, Votes(*sums[len(LOSSES) :].tolist())


def _nothing(engine: Any, model: TrainingModel, build: Callable[[], tuple[Batch, torch.Generator]]) -> torch.Tensor:
    """A loss of zero that gives every trained parameter a gradient of zero.

    ZeRO stage 2 reduces gradients as they come, in buckets that have to be the same on all ranks, so there they come
    from the same computation. What it does to statistics of normalisation is taken back by their replay.
    """
    if engine.zero_optimization_partition_gradients():
        return engine(*build()).total * 0.0
    trained = (parameter.sum() for parameter in model.parameters() if parameter.requires_grad)
    return sum(trained, torch.zeros((), device=engine.device)) * 0.0


def _gather(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensor of every rank, by rank."""
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor)
    return parts
