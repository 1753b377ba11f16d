"""What one training worker does: DeepSpeed steps on the micro-batches that fall to its rank.

The worker outlives rounds. It asks the mailbox what to train, and where it (re)starts in the middle of a round
it continues from the newest checkpoint of that round's fold. Every fold is a model with checkpoints of its own.
"""

import gc
import logging
import os
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import ray

from actors.data.object_store import NoRoomForBlocks, take
from actors.data.shuffler import image_of
from actors.logs import join_run_log
from actors.trainer.batches import TrainingRow, build_micro_batch
from actors.trainer.config import TrainConfig
from actors.trainer.divergence import TrainingDiverged, refusing_divergence
from actors.trainer.epoch_plan import EpochPlan, MicroBatch, assign_micro_batches
from actors.trainer.orders import RoundOrder, RoundResult
from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost
from corpus.storage.rng import derive_seed
from corpus.storage.writer import Writer
from hcot_llm.aggregation.label_noise import NoiseModel

if TYPE_CHECKING:  # torch is imported in the workers only
    from actors.trainer.checkpoint import TrainerPosition

_log = logging.getLogger(__name__)

LOSSES = ("total", "itc", "itm", "clause", "reconstruction", "slot")
PROBE_TILES = 4


def train_worker(config: dict[str, Any]) -> None:
    """Entry point that Ray Train calls on every rank. Whatever ends it early, the mailbox is told why."""
    from actors.trainer.safe_load import StateRefused

    join_run_log()
    mailbox = config["mailbox"]
    try:
        _serve(config["settings"], mailbox)
    except _Stopped:
        return
    except (DiskFull, LeaseLost, NoRoomForBlocks, StateRefused, TrainingDiverged) as error:
        # Raised, it would have the group started again, to come to the same end.
        _log.error("training cannot go on: %s", error)
        ray.get(mailbox.give_up.remote(error))
    except Exception:
        _log.exception("a rank failed; Ray Train starts the group again")
        ray.get(mailbox.put_error.remote(traceback.format_exc()))
        raise


def _serve(settings: dict[str, Any], mailbox) -> None:
    """Build a worker and train what is ordered, until the mailbox is closed."""
    train = TrainConfig.model_validate(settings["train"])
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if train.gpus_per_worker else "cpu")
    import torch

    torch.set_num_threads(train.threads_per_worker)
    _announce(mailbox)
    from actors.trainer.communication_op import compile_communication_op

    if not train.gpus_per_worker:
        compile_communication_op()
    worker = _Worker(settings, train)
    _log.info("rank %d of %d is ready", worker.rank, worker.world_size)
    if worker.rank == 0:
        ray.get(mailbox.started.remote(worker.world_size))
    while True:
        order = ray.get(mailbox.order.remote())
        if order is not None:
            result = worker.train_round(order, mailbox)
            # All ranks meet here before the result opens the next round.
            ray.train.report({"round": order.round, **(result.losses[-1] if result.losses else {})})
            if worker.rank == 0:
                ray.get(mailbox.put_result.remote(result))
            worker.meet()
        elif ray.get(mailbox.closed.remote()):
            return
        else:
            time.sleep(0.1)


def _announce(mailbox) -> None:
    """Have the start counted, once a group, before any rank of it can fail."""
    import torch.distributed as dist

    if dist.get_rank() == 0:
        ray.get(mailbox.starting.remote())
    dist.barrier()


class _Stopped(Exception):
    """The run was asked to end; the state is saved."""


@dataclass
class _Window:
    """Blocks used last, by index, the newest at the end: Arrow tables read from shared memory without a copy.

    What is held the object store may not spill. A step can begin in one window of the plan and end in the next.
    """

    refs: list
    tables: dict[int, pa.Table]
    holds: int = 2 * EpochPlan.window_blocks

    def rows(self, batch: MicroBatch) -> list[TrainingRow]:
        return [_row(self._table(block), int(row)) for block, row in zip(batch.block, batch.row, strict=True)]

    def _table(self, block: int) -> pa.Table:
        if (table := self.tables.pop(block, None)) is None:
            [table] = take([self.refs[block]])
        self.tables[block] = table
        if len(self.tables) > self.holds:
            del self.tables[next(iter(self.tables))]
        return table


def _row(table: pa.Table, row: int) -> TrainingRow:
    return TrainingRow(
        tile_id=table["tile_id"][row].as_py(),
        image=image_of(table, row).astype(np.float32),
        values=np.asarray(table["values"][row].as_py()),
        trusted=np.asarray(table["trusted"][row].as_py()),
        reconstructed=np.asarray(table["reconstructed"][row].as_py()),
        knowledge=table["knowledge"][row].as_py(),
        hints=table["hints"][row].as_py(),
    )


def trainer_state_dir(run_dir: Path) -> Path:
    """Where a run's checkpoints of the trainer lie: those of the first fold, see `fold_state_dir`."""
    return run_dir / "checkpoints" / "trainer"


def fold_state_dir(state_dir: Path, fold: int) -> Path:
    """Where the checkpoints of a fold lie; the first fold's are those of a run without folds."""
    return state_dir if fold == 0 else state_dir.with_name(f"{state_dir.name}-fold-{fold}")


def steps_done(position: "TrainerPosition | None", order: RoundOrder, state_dir: Path) -> tuple[int, int]:
    """Steps of the order's round that the newest checkpoint already holds, and all steps up to there.

    Args:
        position: of the newest checkpoint in state_dir, None if there is none.

    Raises:
        StateRefused: the order goes on from the state of the round before, and that is not what is there.
    """
    from actors.trainer.safe_load import StateRefused

    if position is not None and position.round == order.round:
        return position.step, position.total_steps
    if order.from_scratch and (position is None or position.round < order.round):
        return 0, 0 if position is None else position.total_steps
    if position is None and order.round == 1:
        return 0, 0
    if position is not None and position.round == order.round - 1 and position.round_finished:
        return 0, position.total_steps
    found = (
        "no whole checkpoint" if position is None else f"a checkpoint of round {position.round}, step {position.step}"
    )
    before = order.round - 1
    weights = Path(order.weights_dir).with_name(f"round-{before:04d}")
    raise StateRefused(
        f"Round {order.round} goes on from the trainer's state at the end of round {before}, which is missing: "
        f"{state_dir} holds {found}. Nothing was trained. Put the folder back from a copy of this run and `knowlip "
        f"resume` it; or, if the run has no folds, start a new run with start_weights={weights}, with a new optimiser."
    )


class _Worker:
    def __init__(self, settings: dict, train: TrainConfig) -> None:
        import torch.distributed as dist

        from actors.trainer.checkpoint import load_checkpoint
        from actors.weights import load_training_model

        self.settings, self.train = settings, train
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.writer = Writer(**settings.get("writer", {}))
        self.stopping = False
        self.fold = 0
        self.model, self.tokenizer = load_training_model(Path(settings["start_dir"]))
        self.engine, self.position = load_checkpoint(self._engine, self.state_dir, self.writer)

    @property
    def state_dir(self) -> Path:
        return fold_state_dir(Path(self.settings["state_dir"]), self.fold)

    def stand_at(self, order: RoundOrder) -> None:
        """Hold the state that the order begins with or, of an order that was interrupted, the newest one saved."""
        from actors.trainer.checkpoint import load_checkpoint

        if order.fold != self.fold:
            self._let_go()
            self.fold = order.fold
            self.engine, self.position = load_checkpoint(self._engine, self.state_dir, self.writer)
        if order.from_scratch and self.position is not None and self.position.round != order.round:
            # The position stays: it counts the steps of the whole run.
            self._let_go()
            self.engine = self._engine(False)

    def _let_go(self) -> None:
        """Put a new model, as the run began with, in place of the one that is held."""
        from actors.weights import load_training_model

        self.engine.destroy()
        self.engine = self.model = None
        gc.collect()
        self.model, _ = load_training_model(Path(self.settings["start_dir"]))

    def meet(self) -> None:
        import torch.distributed as dist

        dist.barrier()

    def _engine(self, load_universal: bool):
        import deepspeed

        config = self.train.deepspeed(self.world_size)
        if load_universal:
            config["checkpoint"] = {"load_universal": True}
        engine, *_ = deepspeed.initialize(
            model=self.model, config=config, model_parameters=[p for p in self.model.parameters() if p.requires_grad]
        )
        return engine

    def train_round(self, order: RoundOrder, mailbox) -> RoundResult:
        """Train what is left of the order, save its weights, say what came out."""
        from actors.trainer.checkpoint import TrainerPosition, save_checkpoint

        self.stand_at(order)
        self._expect_errors(order)
        seed = (
            self.settings["run_seed"] if order.fold == 0 else derive_seed(self.settings["run_seed"], order.fold, "fold")
        )
        plans = [
            EpochPlan(
                seed,
                order.round,
                epoch,
                order.block_rows,
                self.train.micro_batch_tiles,
                self.train.micro_batches_per_step,
            )
            for epoch in range(order.epochs)
        ]
        steps = sum(plan.steps for plan in plans)
        if steps == 0:
            raise ValueError(
                f"{sum(order.block_rows)} training tiles make no step of "
                f"{self.train.micro_batches_per_step} micro-batches of {self.train.micro_batch_tiles}: "
                "lower train.micro_batch_tiles or add tiles"
            )
        done_before, total = steps_done(self.position, order, self.state_dir)
        finished_before = done_before >= steps
        _log.info("round %d, fold %d: steps %d to %d", order.round, order.fold, done_before + 1, steps)
        # Those of the steps that a checkpoint holds too, or the curves would begin where it was killed.
        losses = list(self.position.losses) if done_before else []
        window = _Window(order.blocks, {})
        step, told = 0, None
        started = time.monotonic()
        for plan in plans:
            if step + plan.steps <= done_before:
                step += plan.steps
                continue
            for batches in plan.micro_batches():
                step += 1
                if step <= done_before:
                    continue
                # What the mailbox answered to the step before; asking without waiting costs a step nothing.
                stop = told is not None and bool(ray.wait([told], timeout=0)[0]) and ray.get(told)
                rate = self.train.learning_rate_at(order.from_scratch, step - 1, steps)
                with refusing_divergence(
                    round_=order.round,
                    step=step,
                    learning_rate=rate,
                    weights_dir=Path(order.weights_dir),
                    from_scratch=order.from_scratch,
                ) as loss:
                    loss.update(self._step(batches, window, rate, stop))
                total += 1
                if self.rank == 0:
                    losses.append({"step": total, **loss})
                    tiles = (step - done_before) * self.train.micro_batch_tiles * len(batches)
                    told = mailbox.put_progress.remote(
                        {
                            "world_size": self.world_size,
                            "round": order.round,
                            "step": step,
                            "steps": steps,
                            "tiles_per_s": tiles / (time.monotonic() - started),
                            **loss,
                        }
                    )
                if (self.stopping or step % self.train.checkpoint_every_steps == 0) and step < steps:
                    save_checkpoint(
                        self.engine,
                        self.state_dir,
                        TrainerPosition(order.round, step, total, self.world_size, False, losses),
                        keep=self.train.keep_checkpoints,
                        writer=self.writer,
                    )
                    _log.debug("round %d: checkpoint at step %d", order.round, step)
                    if self.stopping:
                        raise _Stopped
        if not finished_before:
            self.position = TrainerPosition(order.round, steps, total, self.world_size, True, losses)
            save_checkpoint(
                self.engine, self.state_dir, self.position, keep=self.train.keep_checkpoints, writer=self.writer
            )
        digest = self._save_weights(Path(order.weights_dir), order, window)
        _log.info("round %d, fold %d: weights %s in %s", order.round, order.fold, digest[:12], order.weights_dir)
        return RoundResult(order.round, order.fold, order.weights_dir, digest, self.world_size, losses)

    def _expect_errors(self, order: RoundOrder) -> None:
        """Have the clause losses expect that a wrong label is any other value of its clause."""
        import torch

        self.model.set_noise(
            None
            if order.label_accuracy is None
            else [
                torch.from_numpy(NoiseModel.even(accuracy, size).confusion).float()
                for accuracy, size in zip(order.label_accuracy, self.model.clause_sizes, strict=True)
            ]
        )

    def _step(
        self, batches: list[MicroBatch], window: _Window, learning_rate: float, stop: bool = False
    ) -> dict[str, float]:
        """One optimiser step; mean losses. `stop` on any rank sets `stopping` on all."""
        import torch
        import torch.distributed as dist

        from actors.trainer.batch_norm import StatisticsReplay

        mine = assign_micro_batches(len(batches), self.world_size)[self.rank]
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        # DeepSpeed divides by passes and ranks; the gradient wanted is the mean over the micro-batches.
        weight = len(mine) * self.world_size / len(batches)
        width = self.model.queue.image.shape[1]
        tiles = self.train.micro_batch_tiles
        shape = (len(mine), tiles, width)
        image, text = torch.zeros(shape), torch.zeros(shape)
        ids = torch.full((len(mine), tiles), -1, dtype=torch.int64)
        sums = torch.zeros(len(LOSSES) + 1)
        sums[-1] = float(stop)
        layers = self.model.normalisation_layers() if self.world_size > 1 else []
        statistics = StatisticsReplay(layers, len(mine)) if layers else None
        for turn, index in enumerate(mine):
            if index is None:
                # A rank without a micro-batch still takes part in the reduction, with a zero gradient.
                self.engine.backward(sum(p.sum() for p in self.model.parameters() if p.requires_grad) * 0.0)
            else:
                batch, generator = self._batch(window.rows(batches[index]), batches[index].seed)
                with nullcontext() if statistics is None else statistics.noting(turn):
                    report = self.engine(batch, generator)
                self.engine.backward(report.total * weight)
                image[turn], text[turn], ids[turn] = report.teacher_image, report.teacher_text, batch.tile_ids
                sums[:-1] += torch.stack([getattr(report, name).detach().float() for name in LOSSES]).cpu()
            self.engine.step()
        self.model.momentum_update()
        dist.all_reduce(sums)
        self.stopping = bool(sums[-1] > 0)
        # Rank r's turn t held micro-batch r + t * world: back to the order of the plan on every rank.
        places = [(index % self.world_size, index // self.world_size) for index in range(len(batches))]
        gathered = [self._gather(tensor) for tensor in (image, text, ids)]
        for rank, turn in places:
            self.model.enqueue(*(tensor[rank][turn] for tensor in gathered))
        if statistics is not None:
            added = self._gather(statistics.added)
            statistics.replay([added[rank][turn] for rank, turn in places])
        return {name: float(value) / len(batches) for name, value in zip(LOSSES, sums[:-1], strict=True)}

    def _gather(self, tensor):
        import torch
        import torch.distributed as dist

        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return parts

    def _batch(self, rows: list[TrainingRow], seed: int):
        import torch

        from model.losses.reconstruction import answer_labels
        from model.tokenizer import encode_texts
        from model.training import Batch

        built = build_micro_batch(
            rows, seed, self.train.augment, feedback=self.settings["feedback"], levels=self.settings["levels"]
        )
        tokens = self.tokenizer
        caption_ids, caption_mask = encode_texts(
            tokens, built.captions, self.model.encoder.config.typed().text.max_tokens
        )
        prompts = tokens(built.prompts, add_special_tokens=False)["input_ids"]
        answers = [[*ids, tokens.eos_token_id] for ids in tokens(built.answers, add_special_tokens=False)["input_ids"]]
        input_ids, attention_mask, labels = answer_labels(prompts, answers, tokens.pad_token_id)
        batch = Batch(
            images=torch.from_numpy(built.images),
            tile_ids=torch.tensor([derive_seed(row.tile_id) for row in rows]),
            caption_ids=caption_ids,
            caption_mask=caption_mask,
            caption_keys=torch.tensor([derive_seed(caption) for caption in built.captions]),
            clause_labels=torch.from_numpy(built.targets),
            input_ids=input_ids,
            attention_mask=attention_mask,
            labels=labels,
        )
        generator = torch.Generator().manual_seed(derive_seed(seed, "hard negatives"))
        return batch.to(self.engine.device), generator

    def _save_weights(self, directory: Path, order: RoundOrder, window: _Window) -> str:
        """Rank 0 writes encoder, captioner and the probe of what it holds in memory; returns the weights' hash."""
        from actors.weights import publish_weights

        if self.rank != 0:
            return ""
        rows = window.rows(
            MicroBatch(0, np.zeros(PROBE_TILES, int), np.arange(PROBE_TILES) % order.block_rows[0], seed=0)
        )
        built = build_micro_batch(
            rows,
            derive_seed(self.settings["run_seed"], order.round, "probe"),
            self.train.augment,
            feedback=False,
            levels=self.settings["levels"],
        )
        return publish_weights(directory, self.model, self.tokenizer, built.images, built.prompts, self.writer)
