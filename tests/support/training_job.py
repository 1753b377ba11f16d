"""Training jobs for the tests: real `Rank`s on DeepSpeed over gloo, in processes of their own, without Ray."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
import torch.multiprocessing

from actors.trainer import background
from actors.trainer.channel import TrainCommand
from actors.trainer.checkpoint import TrainerPosition, save_checkpoint
from actors.trainer.communication_op import compile_communication_op
from actors.trainer.config import TrainConfig
from actors.trainer.epoch_plan import EpochPlan
from actors.trainer.rank import Rank
from actors.trainer.resume import steps_done
from model.config import ModelConfig
from support.hcot import CLAUSES, VOCABULARY
from support.row_windows import no_rows, window_of

TILES, SIDE, STEPS, CURVE_EPOCHS = 48, 32, 4, 3
# Three micro-batches a step: with two workers, one of them has nothing to do in the second pass.
TRAIN = TrainConfig(micro_batch_tiles=4, micro_batches_per_step=3)


def toy_model() -> ModelConfig:
    """A model of all 16 clauses that takes a hundredth of a second a step."""
    vision = {
        "image_size_px": SIDE,
        "stem_channels": [8, 8],
        "stem_strides": [4, 2],
        "stem_blocks": [0, 0],
        "width": 16,
        "depth": 1,
        "heads": 2,
        "intermediate": 16,
    }
    return ModelConfig.model_validate(
        {
            "encoder": {
                "vision": vision,
                "embed_dim": 16,
                "clause_heads": 2,
                "text": {"vocab_size": 1024, "width": 16, "heads": 2, "intermediate": 16, "max_tokens": 288},
            },
            "captioner": {
                "vision": vision,
                "prefix_tokens": 4,
                "vocab_size": 1024,
                "width": 32,
                "depth": 1,
                "heads": 1,
                "key_value_heads": 1,
                "intermediate": 32,
                "max_tokens": 512,
            },
            "objective": {"queue_size": 24, "soft_target_warmup_steps": 2},
        }
    )


def training_table(tiles: int = TILES, seed: int = 0) -> pa.Table:
    """Rows with random images and annotations."""
    generator = np.random.default_rng(seed)
    images = generator.normal(0, 1, (tiles, 2, SIDE, SIDE)).astype(np.float16)
    values = np.stack([generator.integers(len(VOCABULARY[clause]), size=tiles) for clause in CLAUSES], axis=1)
    caption_mask = (generator.random((tiles, len(CLAUSES))) < 0.9).tolist()
    return pa.table(
        {
            "tile_id": [f"tile-{index:03d}" for index in range(tiles)],
            "image": pa.array([image.tobytes() for image in images], pa.large_binary()),
            "crops": pa.array([1] * tiles, pa.int32()),
            "gsd_m": [10.0] * tiles,
            "level": ["absolute"] * tiles,
            "product": ["Sentinel-1 C VV+VH"] * tiles,
            "values": values.tolist(),
            "caption_mask": caption_mask,
            "loss_mask": caption_mask,
            "knowledge": ["plain coast"] * tiles,
            "hints": [[""] * len(CLAUSES)] * tiles,
        }
    )


class Job:
    """One worker in this process, at some step of round 1, which has STEPS steps an epoch."""

    def __init__(self, start_dir: Path, state_dir: Path, epochs: int = 1, train: TrainConfig = TRAIN) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir = state_dir
        self.worker = Rank(
            {"run_seed": 0, "start_dir": str(start_dir), "state_dir": str(state_dir), "feedback": True, "levels": True},
            train,
        )
        self.window = window_of(training_table())
        plans = [
            EpochPlan(0, 1, epoch, (TILES,), TRAIN.micro_batch_tiles, TRAIN.micro_batches_per_step)
            for epoch in range(epochs)
        ]
        assert all(plan.steps == STEPS for plan in plans)
        self.steps = [step for plan in plans for step in plan.micro_batches()]
        self.done = 0 if self.worker.position is None else self.worker.position.step

    def train(self, until: int) -> list[dict[str, float]]:
        """Do steps up to `until`; returns their losses."""
        losses = [self.worker.step(batches, self.window, 1e-2) for batches in self.steps[self.done : until]]
        self.done = until
        return losses

    def save(self) -> None:
        save_checkpoint(
            self.worker.engine, self.state_dir, TrainerPosition(1, self.done, self.done, self.worker.world_size, False)
        )

    def begin(self, command: TrainCommand) -> None:
        """Stand where a command begins, or where its newest checkpoint was saved."""
        self.worker.prepare(command)
        self.done, self.before = steps_done(self.worker.position, command, self.worker.state_dir)

    def finish(self, command: TrainCommand, until: int = STEPS) -> None:
        """Train a command up to a step and save the state."""
        before = self.before - self.done
        self.train(until)
        self.worker.position = TrainerPosition(
            command.round, until, before + until, self.worker.world_size, until == STEPS
        )
        save_checkpoint(self.worker.engine, self.worker.state_dir, self.worker.position)

    def weights(self) -> dict[str, torch.Tensor]:
        """Everything the model holds, the teacher and the queue as well."""
        return {name: value.clone() for name, value in self.worker.model.state_dict().items()}


def run(job, world_size: int, work_dir: Path) -> dict:
    """Run `job(work_dir)` on all ranks; returns what rank 0 returned (anything JSON can hold)."""
    torch.multiprocessing.spawn(_enter, (job, world_size, str(work_dir)), nprocs=world_size)
    return json.loads((work_dir / f"{job.__name__}-{world_size}.json").read_text())


def _enter(rank: int, job, world_size: int, work_dir: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size), "DS_ACCELERATOR": "cpu"}
    torch.set_num_threads(1)
    folder = Path(work_dir)
    meeting = folder / f".meeting-{job.__name__}-{world_size}"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world_size)
    compile_communication_op()  # as a real worker does, under the lock that keeps others out
    result = job(folder)
    dist.barrier()
    if rank == 0:
        (folder / f"{job.__name__}-{world_size}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def train_and_restart(folder: Path) -> dict:
    """Four steps with a checkpoint after two, and the last two again from that checkpoint."""
    world_size = dist.get_world_size()
    first = Job(folder / "start", folder / f"state-{world_size}")
    losses = first.train(2)
    first.save()
    saved = {name: float(value.double().sum()) for name, value in first.weights().items()}
    losses += first.train(STEPS)
    again = Job(folder / "start", folder / f"state-{world_size}")
    position = again.done
    repeated = again.train(STEPS)
    uninterrupted, restarted = first.weights(), again.weights()
    return {
        "losses": losses,
        "saved": saved,
        "position": position,
        "repeated": repeated,
        "remembered": {
            name: value.tolist()
            for name, value in uninterrupted.items()
            if name.endswith(("running_mean", "running_var"))
        },
        "differing": _differing(uninterrupted, restarted),
        "ranks_disagree": _ranks_disagree(uninterrupted),
    }


COMMANDS = [
    TrainCommand(round_, fold, round_ in (1, 3), no_rows(TILES), 1, "") for round_ in (1, 2, 3) for fold in (0, 1)
]


def folds_and_scratch(folder: Path) -> dict:
    """Two folds for three rounds, the last from scratch; in one go, and with new workers in the middle of each."""
    seen = {}
    for name, interrupted in (("undisturbed", False), ("interrupted", True)):
        state = folder / f"state-{name}-{dist.get_world_size()}"
        job, rounds = Job(folder / "start", state), {}
        untrained = job.weights()
        for command in COMMANDS:
            job.begin(command)
            began = job.weights()
            if interrupted:
                job.finish(command, 2)
                job = Job(folder / "start", state)
                job.begin(command)
            job.finish(command)
            rounds[command.key] = began, job.weights(), job.worker.position.total_steps
        seen[name] = rounds
    one, other = seen["undisturbed"], seen["interrupted"]
    return {
        "began_untrained": [key for key in one if _differing(one[key][0], untrained) == []],
        "went_on": [fold for fold in (0, 1) if _differing(one[2, fold][0], one[1, fold][1]) == []],
        "differing": [key for key in one if _differing(one[key][1], other[key][1])],
        "total_steps": [[rounds[key][2] for key in rounds] for rounds in (one, other)],
    }


def _differing(mine: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, value in mine.items() if not torch.equal(value, others[name])]


def resize(folder: Path) -> dict:
    """Goes on, with this job's world size, from the checkpoint that two ranks wrote after two steps."""
    state = folder / "state-resized"
    if dist.get_rank() == 0:
        shutil.copytree(folder / "state-2", state)
    dist.barrier()
    job = Job(folder / "start", state)
    restored = {name: float(value.double().sum()) for name, value in job.weights().items()}
    losses = job.train(STEPS)
    return {
        "position": job.worker.position.step,
        "losses": losses,
        "restored": restored,
        "left_over": [path.name for path in state.iterdir() if path.name.startswith(".")],
    }


def whole_curve(folder: Path) -> dict:
    """CURVE_EPOCHS epochs; their losses. After the first one a checkpoint is left from which `next_epoch` goes on."""
    job = Job(folder / "start", folder / "state-curve", CURVE_EPOCHS)
    losses = job.train(STEPS)
    job.save()
    return {"losses": losses + job.train(CURVE_EPOCHS * STEPS)}


def next_epoch(folder: Path) -> dict:
    """The next epoch of the same curve, from the newest checkpoint, which a job of another size has left."""
    job = Job(folder / "start", folder / "state-curve", CURVE_EPOCHS)
    begun = job.done
    losses = job.train(begun + STEPS)
    job.save()
    return {"from": begun, "losses": losses}


STAGE_2 = TRAIN.model_copy(update={"zero_stage": 2, "checkpoint_every_s": 0.0})


def stage_2_in_background(folder: Path) -> dict:
    """Four steps with gradients spread over the ranks. What is saved after two is written during the third and fourth.

    Then the last two steps again from there, once without and once with the fourth step's checkpoint finished.
    """
    state = folder / f"state-zero-2-{dist.get_world_size()}"
    write = background.BackgroundWrite._save_file
    may_write = threading.Event()

    def held_back(content, path) -> None:
        may_write.wait()
        write(content, path)

    background.BackgroundWrite._save_file = staticmethod(held_back)
    first = Job(folder / "start", state, train=STAGE_2)
    worker, losses = first.worker, first.train(2)
    worker.keep_up(_position(first))
    begun = [path.name.split(".")[1] for path in state.iterdir()]
    losses += first.train(3)
    worker.keep_up(_position(first))  # nobody has written: it is neither finished nor is another one begun
    waiting = worker.votes.written, [path.name.split(".")[1] for path in state.iterdir()]
    may_write.set()
    while not worker._pending.written():
        time.sleep(0.01)
    dist.barrier()
    losses += first.train(4)
    worker.keep_up(_position(first))  # finishes that of the second step, and begins its own
    finished = sorted(path.name for path in state.iterdir() if not path.name.startswith("."))
    again = Job(folder / "start", state, train=STAGE_2)  # as after a kill: what was not finished is removed
    position, left_over = again.done, [path.name for path in state.iterdir() if path.name.startswith(".")]
    repeated = again.train(STEPS)
    return {
        "losses": losses,
        "begun": begun,
        "waiting": waiting,
        "finished": finished,
        "position": position,
        "left_over": left_over,
        "repeated": repeated,
        "differing": _differing(first.weights(), again.weights()),
        "ranks_disagree": _ranks_disagree(first.weights()),
    }


def stage_2_resized(folder: Path) -> dict:
    """Goes on, with this job's world size, from what two ranks of `stage_2_in_background` left."""
    job = Job(folder / "start", folder / "state-zero-2-2", train=STAGE_2)
    return {"position": job.done, "losses": job.train(STEPS)}


def _position(job: Job) -> TrainerPosition:
    return TrainerPosition(1, job.done, job.done, job.worker.world_size, False)


def _ranks_disagree(mine: dict[str, torch.Tensor]) -> list[str]:
    """Names of what is not bit-identical on all ranks. How many batches a rank has seen is its own affair."""
    found = []
    for name, value in sorted(mine.items()):
        if name.endswith("num_batches_tracked"):
            continue
        theirs = [torch.empty_like(value) for _ in range(dist.get_world_size())]
        dist.all_gather(theirs, value.contiguous())
        if not all(torch.equal(value, other) for other in theirs):
            found.append(name)
    return found
