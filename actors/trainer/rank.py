"""One rank of the worker group: the model that it holds, and the rounds that it trains."""

import gc
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import torch.distributed as dist

from actors.trainer.background import Interval
from actors.trainer.batches import build_micro_batch
from actors.trainer.channel import RoundResult, TrainCommand
from actors.trainer.checkpoint import PendingCheckpoint, TrainerPosition, load_checkpoint, save_checkpoint
from actors.trainer.config import TrainConfig
from actors.trainer.divergence import refusing_divergence
from actors.trainer.epoch_plan import MicroBatch, plans_of
from actors.trainer.known import known_tiles
from actors.trainer.resume import fold_state_dir, steps_done
from actors.trainer.step import Votes, optimiser_step
from actors.trainer.tensors import training_batch
from actors.trainer.window import RowWindow
from actors.weights import load_training_model, publish_weights
from corpus.storage.errors import ConfigError
from corpus.storage.rng import derive_seed
from corpus.storage.writer import Writer
from hcot_llm.aggregation.label_noise import NoiseModel
from hcot_llm.schema.files import read_schema
from model.acceleration import compile_towers, recompute_activations
from model.precision import use_precision
from model.training import Batch, TrainingModel

_log = logging.getLogger(__name__)

PROBE_TILES = 4


class Stopped(Exception):
    """The run was asked to end; the state is saved."""


class Rank:
    """A rank's model, its DeepSpeed engine, and how far training has come. It outlives rounds.

    Every fold is a model with checkpoints of its own; a rank holds one fold at a time.

    Args:
        settings: WorkerSettings as plain values.
        train: settings of the training.

    Attributes:
        rank: number of this rank, from 0.
        world_size: number of ranks.
        position: Position of the newest checkpoint of the fold; None without one.
        stopping: whether the ranks were told to save their state and end.
        votes: what all ranks said with the newest step.
    """

    def __init__(self, settings: dict[str, Any], train: TrainConfig) -> None:
        self.settings, self.train = settings, train
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.writer = Writer(**settings.get("writer", {}))
        self.stopping = False
        self.fold = 0
        self._interval, self._pending = Interval(train.checkpoint_every_s), None
        use_precision(train.precision)
        self.model, self.tokenizer = self._new_model()
        self.schema = read_schema(Path(settings["start_dir"]))
        self.engine, self.position = load_checkpoint(self._engine, self.state_dir, self.writer)

    @property
    def state_dir(self) -> Path:
        """Where the checkpoints of the fold lie."""
        return fold_state_dir(Path(self.settings["state_dir"]), self.fold)

    def meet(self) -> None:
        """Wait for all ranks."""
        dist.barrier()

    def prepare(self, command: TrainCommand) -> None:
        """Hold the state that a command begins with or, of a command that was interrupted, the newest one saved."""
        if command.fold != self.fold:
            self._drop_model()
            self.fold = command.fold
            self.engine, self.position = load_checkpoint(self._engine, self.state_dir, self.writer)
        if command.from_scratch and self.position is not None and self.position.round != command.round:
            # The position stays: it counts the steps of the whole run.
            self._drop_model()
            self.engine = self._engine(False)

    def _drop_model(self) -> None:
        """Put a new model, as the run began with, in place of the one that is held."""
        self.engine.destroy()
        del self.engine, self.model
        gc.collect()
        self.model, _ = self._new_model()

    def _new_model(self) -> tuple[TrainingModel, Any]:
        """A model as the run began with, set up as the configuration says, and its tokenizer."""
        model, tokenizer = load_training_model(Path(self.settings["start_dir"]))
        model.precision = self.train.precision
        if self.train.activation_checkpointing:
            recompute_activations(model)
        if self.train.compile:
            compile_towers(model)
        return model, tokenizer

    def _engine(self, load_universal: bool) -> Any:
        import deepspeed

        config = self.train.deepspeed(self.world_size)
        if load_universal:
            config["checkpoint"] = {"load_universal": True}
        trained: Any = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        engine, *_ = deepspeed.initialize(model=self.model, config=config, model_parameters=trained)
        return engine

    def train_round(self, command: TrainCommand, channel: Any) -> RoundResult:
        """Train what is left of a command, save its weights, and say what came out.

        Args:
            command: Command that says what to train.
            channel: handle of the trainer channel, which is told of every step.

        Raises:
            Stopped: the run was asked to end; the state is saved.
            ConfigError: there are too few training tiles for a step.
        """
        self.prepare(command)
        self._expect_errors(command)
        plans = plans_of(command, self.train, self.settings["run_seed"])
        steps = sum(plan.steps for plan in plans)
        if steps == 0:
            raise ConfigError(  # another start would come to the same
                f"{sum(command.rows.block_rows)} training tiles make no step of "
                f"{self.train.micro_batches_per_step} micro-batches of {self.train.micro_batch_tiles}: "
                "lower train.micro_batch_tiles or add tiles."
            )
        done_before, total = steps_done(self.position, command, self.state_dir)
        _log.info("round %d, fold %d: steps %d to %d", command.round, command.fold, done_before + 1, steps)
        # The losses of a checkpoint's steps are kept, or the curves would begin where a worker was killed.
        losses = list(self.position.losses) if done_before and self.position is not None else []
        window = RowWindow(command.rows)
        step, told = 0, None
        started = time.monotonic()
        self._interval.restart()
        for plan in plans:
            if step + plan.steps <= done_before:
                step += plan.steps
                continue
            for batches in plan.micro_batches():
                step += 1
                if step <= done_before:
                    continue
                # What the channel answered to the step before; asking without waiting costs a step nothing.
                stop = told is not None and bool(ray.wait([told], timeout=0)[0]) and bool(ray.get(told))
                rate = self.train.learning_rate_at(command.from_scratch, step - 1, steps)
                with refusing_divergence(
                    round_=command.round,
                    step=step,
                    learning_rate=rate,
                    weights_dir=Path(command.weights_dir),
                    from_scratch=command.from_scratch,
                ) as loss:
                    loss.update(self.step(batches, window, rate, stop))
                total += 1
                if self.rank == 0:
                    losses.append({"step": total, **loss})
                    tiles = (step - done_before) * self.train.micro_batch_tiles * len(batches)
                    told = channel.report_progress.remote(
                        {
                            "world_size": self.world_size,
                            "round": command.round,
                            "step": step,
                            "steps": steps,
                            "total_step": total,
                            "losses": loss,
                            "tiles_per_s": tiles / (time.monotonic() - started),
                            **loss,
                        }
                    )
                if step < steps:
                    self.keep_up(TrainerPosition(command.round, step, total, self.world_size, False, list(losses)))
        self.finish_pending()
        if done_before < steps:
            self.position = TrainerPosition(command.round, steps, total, self.world_size, True, losses)
            self._save(self.position)
        digest = self._save_weights(command, window)
        _log.info("round %d, fold %d: weights %s in %s", command.round, command.fold, digest[:12], command.weights_dir)
        return RoundResult(command.round, command.fold, command.weights_dir, digest, self.world_size, losses)

    def keep_up(self, position: TrainerPosition) -> None:
        """Do about checkpoints what the ranks agreed on with the step: finish the one under way, or begin the next.

        Args:
            position: How far training has come.

        Raises:
            Stopped: The run was asked to end; the state is saved.
        """
        if self._pending is not None and self.votes.written == self.world_size:
            self._pending.finish()
            self._pending = None
        if self.stopping:
            self.finish_pending()
            self._save(position)
            raise Stopped
        if self.votes.save and self._pending is None:
            self._interval.restart()
            self._pending = PendingCheckpoint(
                self.engine, self.state_dir, position, keep=self.train.keep_checkpoints, writer=self.writer
            )
            _log.debug("round %d: checkpoint at step %d", position.round, position.step)

    def finish_pending(self) -> None:
        """Wait for the checkpoint that is being written, if there is one. All ranks call it."""
        if self._pending is not None:
            self._pending.wait()
            self._pending = None

    def _expect_errors(self, command: TrainCommand) -> None:
        """Have the clause losses expect that a wrong label is any other value of its clause."""
        self.model.set_noise(
            None
            if command.label_accuracy is None
            else [
                torch.from_numpy(NoiseModel.even(accuracy, size).confusion).float()
                for accuracy, size in zip(command.label_accuracy, self.model.clause_sizes, strict=True)
            ]
        )

    def step(
        self, batches: list[MicroBatch], window: RowWindow, learning_rate: float, stop: bool = False
    ) -> dict[str, float]:
        """Train one optimiser step. `stop` on any rank sets `stopping` on all.

        Returns:
            Mean losses over the step's micro-batches, by name.
        """

        def build(batch: MicroBatch) -> tuple[Batch, torch.Generator]:
            tensors, generator = training_batch(
                self.schema,
                window.rows(batch),
                batch.seed,
                self.tokenizer,
                self.model.encoder.config.typed().text.max_tokens,
                self.train,
                feedback=self.settings["feedback"],
                levels=self.settings["levels"],
            )
            return tensors.to(self.engine.device), generator

        save = self.rank == 0 and self._pending is None and self._interval.is_over()
        written = self._pending is not None and self._pending.written()
        losses, self.votes = optimiser_step(
            self.engine,
            self.model,
            batches,
            build,
            micro_batch_tiles=self.train.micro_batch_tiles,
            learning_rate=learning_rate,
            votes=Votes(stop, save, written),
        )
        self.stopping = self.votes.stop > 0
        return losses

    def _save(self, position: TrainerPosition) -> None:
        save_checkpoint(self.engine, self.state_dir, position, keep=self.train.keep_checkpoints, writer=self.writer)

    def _save_weights(self, command: TrainCommand, window: RowWindow) -> str:
        """Rank 0 writes encoder, captioner, their probe and what they were trained on; returns the weights' hash."""
        if self.rank != 0:
            return ""
        rows = window.rows(
            MicroBatch(0, np.zeros(PROBE_TILES, int), np.arange(PROBE_TILES) % command.rows.block_rows[0], seed=0)
        )
        built = build_micro_batch(
            self.schema,
            rows,
            derive_seed(self.settings["run_seed"], command.round, "probe"),
            self.train.augment,
            feedback=False,
            levels=self.settings["levels"],
        )
        return publish_weights(
            self.schema,
            Path(command.weights_dir),
            self.model,
            self.tokenizer,
            built.images,
            built.prompts,
            self.writer,
            known_tiles(self.model, window, command, self.settings["run_seed"]),
        )
