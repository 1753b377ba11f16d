"""The trainer: one elastic Ray Train worker group for the whole run, handed a round at a time."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig

from actors.data.round_rows import RoundRows
from actors.trainer.channel import RoundResult, TrainCommand, start_channel
from actors.trainer.config import TrainConfig
from actors.trainer.resume import trainer_state_dir
from actors.trainer.start_weights import StartWeights
from actors.trainer.worker import train_worker
from corpus.storage.errors import UserError
from corpus.storage.writer import UNGUARDED, Writer

if TYPE_CHECKING:
    from actors.trainer.orphaned_groups import CleanTorchTrainer

# A worker that dies is replaced, but a group that starts this often without one step in between has a bug or
# lacks something that another start will not bring.
FRUITLESS_STARTS = 3
# As often without a step that no group before had trained: whatever ends them there will end the next one, too. It is
# more, since kills that happen to come before the next checkpoint do the same.
STARTS_AT_ONE_STEP = 10
LOSSES_EVERY_S = 10.0


class TrainingFailed(UserError):
    """The worker group gave up; the message carries its reason."""


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker needs to know for the whole run. All plain values."""

    run_seed: int
    train: dict
    start_dir: str
    state_dir: str
    feedback: bool
    levels: bool
    writer: Writer = UNGUARDED


class TrainerGroup:
    """Starts the workers in a thread and trains rounds through the trainer channel."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        run_seed: int,
        run_dir: Path,
        start: StartWeights,
        feedback: bool,
        levels: bool,
        writer: Writer = UNGUARDED,
    ) -> None:
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(config.regroup_timeout_s))
        self._config = config
        self._channel = start_channel()
        self._error: BaseException | None = None
        self._deaths_at_start = 0
        self._under_way: tuple[int, int] | None = None
        self._ray_train_dir = run_dir / "ray_train"
        settings = WorkerSettings(
            run_seed,
            config.model_dump(),
            str(start.directory),
            str(trainer_state_dir(run_dir)),
            feedback,
            levels,
            writer,
        )
        trainer_state_dir(run_dir).mkdir(parents=True, exist_ok=True)
        self._settings, self._start = asdict(settings), start
        self._thread = threading.Thread(target=self._keep_training, name="trainer", daemon=True)
        self._thread.start()

    def _keep_training(self) -> None:
        try:
            while not self._fit():
                continue
        except BaseException as error:  # handed to the loop's thread, which raises it
            self._error = error

    def _fit(self) -> bool:
        """Train until the run is over; False where groups have to be started anew.

        Ray Train 2.60 starts a group again in place of one that fails, but gives up where a worker dies while it is
        handed what to run, which takes seconds.
        """
        try:
            self._trainer().fit()
        except ControllerError as error:
            self._deaths_at_start += 1
            most = self._config.max_failures
            if not isinstance(error.controller_failure, RayActorError) or 0 <= most < self._deaths_at_start:
                raise
            # The group did not come so far as to say so itself.
            ray.get(self._channel.starting.remote())
            ray.get(self._channel.report_error.remote(str(error.controller_failure)))
            return ray.get(self._channel.closed.remote())
        return True

    def _trainer(self) -> "CleanTorchTrainer":
        # They import torch, for seconds, while the driver's main thread goes on.
        from ray.train.torch import TorchConfig

        from actors.trainer.orphaned_groups import CleanTorchTrainer

        config = self._config
        resources = {"CPU": config.cpus_per_worker}
        if config.gpus_per_worker:
            resources["GPU"] = config.gpus_per_worker
        workers = (
            config.min_workers
            if config.min_workers == config.most_workers
            else (config.min_workers, config.most_workers)
        )
        return CleanTorchTrainer(
            train_worker,
            train_loop_config={"settings": self._settings, "channel": self._channel, "start": self._start},
            torch_config=TorchConfig(backend=config.communication_backend),
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=bool(config.gpus_per_worker),
                resources_per_worker=resources,
                elastic_resize_monitor_interval_s=config.resize_interval_s,
            ),
            run_config=RunConfig(
                name=f"workers-{time.time_ns()}",
                storage_path=str(self._ray_train_dir),
                failure_config=FailureConfig(max_failures=config.max_failures),
            ),
        )

    def _check(self) -> None:
        reason: Any = ray.get(self._channel.given_up.remote())
        if reason is not None:
            raise reason
        if self._error is not None:
            raise TrainingFailed(f"the training workers stopped: {self._error}") from self._error
        if not self._thread.is_alive():
            raise TrainingFailed("the training workers ended although the run is not over")
        starts, error = ray.get(self._channel.trouble.remote())
        if starts > FRUITLESS_STARTS:
            raise TrainingFailed(f"the training workers started {starts} times without training one step:\n{error}")
        furthest, starts = ray.get(self._channel.standstill.remote())
        if furthest and starts > STARTS_AT_ONE_STEP:
            raise TrainingFailed(
                f"the training workers started {starts} times and never came further than step {furthest}; "
                f"what ended them:\n{error}"
            )

    def wait_until_ready(self) -> int:
        """Wait for the first worker group; returns its size.

        Raises:
            TrainingFailed: no group within `start_timeout_s`, or it failed.
        """
        deadline = time.monotonic() + self._config.start_timeout_s
        while time.monotonic() < deadline:
            self._check()
            progress: Any = ray.get(self._channel.progress.remote())
            if progress:
                return progress["world_size"]
            time.sleep(0.2)
        _, error = ray.get(self._channel.trouble.remote())
        raise TrainingFailed(
            f"no training worker started within {self._config.start_timeout_s:g} s. Ray offers "
            f"{ray.available_resources()}; each worker asks for {self._config.cpus_per_worker} CPU."
            + (f" The last one that failed said:\n{error}" if error else "")
        )

    def begin(
        self,
        round_: int,
        rows: RoundRows,
        weights_dir: Path,
        *,
        fold: int = 0,
        from_scratch: bool,
        epochs: int,
        label_accuracy: tuple[float, ...] | None = None,
    ) -> None:
        """Have the workers train one round of one fold, and do not wait for it; arguments as of `train`.

        What is under way already goes on.
        """
        command = TrainCommand(
            round_,
            fold,
            from_scratch,
            rows,
            epochs,
            str(weights_dir),
            label_accuracy if self._config.noise_correction else None,
        )
        if command.key != self._under_way:
            ray.get(self._channel.send.remote(command))
            self._under_way = command.key

    def train(
        self,
        round_: int,
        rows: RoundRows,
        weights_dir: Path,
        *,
        fold: int = 0,
        from_scratch: bool,
        epochs: int,
        label_accuracy: tuple[float, ...] | None = None,
        on_progress=None,
        on_losses: Callable[[list[dict[str, float]]], None] | None = None,
    ) -> RoundResult:
        """Train one round of one fold on shuffled rows and leave the weights in `weights_dir`.

        A training that `begin` has begun is waited for.

        Args:
            round_: number of the round.
            rows: the round's training rows.
            weights_dir: Folder that the trained weights are written to.
            fold: which of the run's models.
            from_scratch: begin with the run's start weights, not with what this fold's round before came to.
            epochs: passes over the rows.
            label_accuracy: expected share of right labels, by clause, for the correction of the clause losses.
            on_progress: called about twice a second with a dict(step, steps, tiles_per_s, losses...).
            on_losses: called every few seconds with the losses of the steps since the last call, as in a RoundResult.
        """
        key, begun_before = (round_, fold), self._under_way == (round_, fold)
        self.begin(
            round_,
            rows,
            weights_dir,
            fold=fold,
            from_scratch=from_scratch,
            epochs=epochs,
            label_accuracy=label_accuracy,
        )
        waits_from: Any = ray.get(self._channel.seconds.remote(key)) if begun_before else 0.0
        result: Any = None
        asked, told = time.monotonic(), 0
        while (result := ray.get(self._channel.result.remote(key))) is None:
            self._check()
            if on_progress is not None:
                on_progress(ray.get(self._channel.progress.remote()))
            if on_losses is not None and time.monotonic() - asked > LOSSES_EVERY_S:
                asked = time.monotonic()
                fresh: Any = ray.get(self._channel.losses_after.remote(told))
                if fresh:
                    told = int(fresh[-1]["step"])
                    on_losses(fresh)
            time.sleep(0.25)
        self._under_way = None
        return replace(result, ahead_s=waits_from) if begun_before else result

    def stop(self, grace_s: float) -> bool:
        """Have the workers save their state and end; whether they did within `grace_s` seconds."""
        try:
            ray.get(self._channel.stop.remote(), timeout=grace_s)
        except RayError:  # what ends a driver may end its workers, too; their newest checkpoint stands
            return False
        self._thread.join(timeout=grace_s)
        return not self._thread.is_alive()

    def let_go(self, patience_s: float) -> None:
        """Let the workers go after an error of any part of the run. What they train is saved as far as it has come.

        Ray must not be shut down under the thread that waits for the workers: that can end the process before it has
        said what the error was. Ray may answer no more.
        """
        (self._channel.close if self._under_way is None else self._channel.stop).remote()
        self._thread.join(timeout=patience_s)

    def close(self) -> None:
        """Let the workers go. A group that failed before is not waited for.

        A training that nobody has waited for, as the schedule has ended the run, is saved as far as it has come.
        """
        ray.get((self._channel.close if self._under_way is None else self._channel.stop).remote())
        self._thread.join(timeout=60)
