"""What a training worker and the loop make of failures: no Ray, no DeepSpeed, a process group of this process alone."""

import re
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError
from ray.train import ControllerError
from torch.distributed.distributed_c10d import BackendConfig

from actors.trainer import checkpoint as trainer_state
from actors.trainer import group as trainer
from actors.trainer.channel import RoundResult, TrainCommand, TrainerChannel
from actors.trainer.checkpoint import TrainerPosition, latest_checkpoint, load_checkpoint, save_checkpoint
from actors.trainer.config import TrainConfig
from actors.trainer.divergence import TrainingDiverged, refusing_divergence
from actors.trainer.group import TrainerGroup, TrainingFailed
from actors.trainer.resume import steps_done
from actors.trainer.safe_load import StateRefused
from actors.trainer.start_weights import StartWeights
from actors.trainer.worker import train_worker
from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost
from corpus.storage.writer import UNGUARDED, Writer
from model.losses.itm import hard_negatives
from model.pretrained import PretrainedError
from support.hcot import HCOT
from support.row_windows import no_rows
from support.toy_model import toy


class Handle:
    """An actor's handle whose calls are done at once, in this process."""

    def __init__(self, actor) -> None:
        self.actor = actor

    def __getattr__(self, name: str):
        return SimpleNamespace(remote=getattr(self.actor, name))


@pytest.fixture
def channel(monkeypatch):
    """A trainer channel without Ray."""
    monkeypatch.setattr("ray.get", lambda answer: answer)
    return TrainerChannel.__ray_metadata__.modified_class()


@pytest.fixture
def alone(tmp_path):
    """A process group of one; an engine that an earlier test started in this process has left one."""
    if dist.is_initialized():
        assert dist.get_world_size() == 1
        yield
        return
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / '.meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def command(round_: int, *, from_scratch: bool = False, fold: int = 0) -> TrainCommand:
    return TrainCommand(round_, fold, from_scratch, no_rows(8), 1, f"/runs/r/weights/round-{round_:04d}")


# A worker that cannot be built


def build(channel, monkeypatch, error: Exception) -> None:
    """Start a worker whose construction fails."""

    def fail(*_):
        raise error

    monkeypatch.setattr("actors.trainer.rank.Rank", fail)
    monkeypatch.setattr("actors.trainer.communication_op.compile_communication_op", lambda: None)
    there = StartWeights(Path(__file__).parent, HCOT, toy(), seed=0)  # a folder that is there is not made again
    train_worker({"settings": {"train": TrainConfig().model_dump()}, "start": there, "channel": Handle(channel)})


@pytest.mark.parametrize(
    "error",
    [
        StateRefused("pickled objects"),
        DiskFull("no room"),
        LeaseLost("another driver"),
        TrainingDiverged("no finite number"),
        PretrainedError("of another size"),
    ],
)
def test_a_worker_that_another_start_would_not_build_either_gives_up(channel, alone, monkeypatch, error):
    build(channel, monkeypatch, error)
    assert channel.given_up() is error
    assert channel.trouble() == (1, "")


def test_any_other_failure_to_build_a_worker_is_counted_and_told(channel, alone, monkeypatch):
    with pytest.raises(ValueError):
        build(channel, monkeypatch, ValueError("no such tokenizer"))
    starts, said = channel.trouble()
    assert starts == 1
    assert "no such tokenizer" in said
    assert channel.progress() == {}


# Divergence


def step(round_: int):
    return refusing_divergence(
        round_=round_,
        step=7,
        learning_rate=0.5,
        weights_dir=Path(f"/runs/r/weights/round-{round_:04d}"),
        from_scratch=round_ == 1,
    )


@pytest.mark.parametrize(
    ("round_", "key", "goes_on"), [(1, "train.learning_rate", False), (2, "train.later_learning_rate", True)]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_training_with_what_to_do(round_, key, goes_on, value):
    with pytest.raises(TrainingDiverged) as caught, step(round_) as losses:
        losses.update(total=value, itc=1.0, itm=value)
    said = str(caught.value)
    assert f"step 7 of round {round_}, at a learning rate of 0.5" in said
    assert "for the loss total, the loss itm." in said
    assert f"lower {key} " in said
    assert ("start_weights=/runs/r/weights/round-0001" in said) is goes_on


def test_a_model_that_cannot_draw_its_negatives_ends_training_too():
    nothing = torch.full((2, 2), float("nan"))
    with pytest.raises(TrainingDiverged, match="no finite number for the similarity of images and texts"), step(1):
        hard_negatives(nothing, torch.arange(2), torch.arange(2), torch.Generator())


def test_finite_losses_are_no_divergence():
    with step(1) as losses:
        losses.update(total=1e30)


# The loop's side


def group(channel) -> TrainerGroup:
    """The loop's side of a worker group, without the group."""
    made = TrainerGroup.__new__(TrainerGroup)
    made._config, made._channel = TrainConfig(start_timeout_s=0.1), Handle(channel)
    made._error, made._thread, made._deaths_at_start = None, threading.current_thread(), 0
    made._under_way = None
    return made


class Fits:
    """Ray Train, whose runs end as they are told to: with an error, or well."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)

    def fit(self) -> None:
        if (end := self.ends.pop(0)) is not None:
            raise end


def died_at_start() -> ControllerError:
    return ControllerError(RayActorError(error_msg="killed while it was handed what to run"))


def test_a_worker_that_dies_while_it_is_handed_what_to_run_is_started_again(channel):
    made, fits = group(channel), Fits(died_at_start(), died_at_start(), None)
    made._trainer = lambda: fits
    made._keep_training()
    assert made._error is None
    assert fits.ends == []
    starts, said = channel.trouble()
    assert starts == 2
    assert "killed while it was handed what to run" in said


@pytest.mark.parametrize(
    ("error", "most"),
    [(ControllerError(ValueError("no such backend")), -1), (died_at_start(), 0), (ValueError("not Ray Train's"), -1)],
)
def test_other_ends_of_ray_train_and_too_many_are_raised(channel, error, most):
    made, fits = group(channel), Fits(error)
    made._trainer, made._config = lambda: fits, TrainConfig(max_failures=most)
    made._keep_training()
    assert made._error is error


def test_no_group_is_started_again_for_a_run_that_is_over(channel):
    made, fits = group(channel), Fits(died_at_start())
    made._trainer = lambda: fits
    channel.close()
    made._keep_training()
    assert made._error is None


def test_restarts_between_commands_do_not_end_the_run(channel):
    for _ in range(trainer.FRUITLESS_STARTS + 1):
        channel.starting()
    result = RoundResult(2, 0, "weights", "ab", 1, [])
    blocks = SimpleNamespace(refs=[], rows=(8,))
    assert (
        group(channel).train(
            2,
            blocks,
            Path("weights"),
            from_scratch=False,
            epochs=1,
            on_progress=lambda _: channel.report_result(result),
        )
        is result
    )


def begin(made: TrainerGroup, round_: int) -> None:
    made.begin(round_, no_rows(8), Path("weights"), from_scratch=False, epochs=1)


def test_what_was_begun_before_is_waited_for_and_not_begun_again(channel, monkeypatch):
    made, sent = group(channel), []
    send = channel.send
    monkeypatch.setattr(channel, "send", lambda command: (sent.append(command.key), send(command)))
    begin(made, 2)
    begin(made, 2)
    channel.report_result(RoundResult(2, 0, "weights", "ab", 1, []))
    result = made.train(2, no_rows(8), Path("weights"), from_scratch=False, epochs=1)
    assert sent == [(2, 0)]
    assert 0 < result.ahead_s < 60


@pytest.mark.parametrize("end", [TrainerGroup.close, lambda made: made.let_go(1.0)])
def test_a_training_that_nobody_waits_for_is_saved_and_ended_with_the_run(channel, end):
    idle, busy = group(channel), group(channel)
    idle._thread = busy._thread = threading.Thread(target=lambda: None)
    idle._thread.start()
    end(idle)
    assert not channel.report_progress({"step": 1})
    begin(busy, 2)
    end(busy)
    assert channel.report_progress({"step": 1}), "the workers are told to save their state and stop"
    assert channel.closed()


def test_groups_that_fail_to_start_end_the_wait_with_their_reason(channel):
    for _ in range(trainer.FRUITLESS_STARTS + 1):
        channel.starting()
        channel.report_error("no such tokenizer")
    with pytest.raises(TrainingFailed, match="started 4 times without training one step:\nno such tokenizer"):
        group(channel).wait_until_ready()


def test_groups_that_always_end_at_the_same_step_end_the_run(channel):
    """Each of them trains a step, so that none of them is fruitless by itself."""

    def again(_):
        channel.starting()
        channel.report_progress({"step": 1})
        channel.report_error("out of memory at step 2")

    channel.starting()
    channel.report_progress({"step": 1})
    with pytest.raises(
        TrainingFailed, match="started 11 times and never came further than step 1; what ended them:\nout of"
    ):
        group(channel).train(
            1, SimpleNamespace(refs=[], rows=(8,)), Path("weights"), from_scratch=True, epochs=1, on_progress=again
        )


def test_groups_that_come_further_may_start_as_often_as_they_must(channel):
    channel.send(command(1))
    for step in range(1, 3 * trainer.STARTS_AT_ONE_STEP):
        channel.starting()
        channel.report_progress({"step": step})
    assert channel.standstill() == (step, 0)


def test_a_wait_that_is_over_names_the_last_failure(channel, monkeypatch):
    monkeypatch.setattr("ray.available_resources", dict)
    channel.starting()
    channel.report_error("no such tokenizer")
    with pytest.raises(TrainingFailed, match="no training worker started within 0.1 s.*\nno such tokenizer"):
        group(channel).wait_until_ready()


# Where a round begins


def at(round_: int, step: int, *, finished: bool) -> TrainerPosition:
    return TrainerPosition(round_, step, 100 + step, 1, finished)


@pytest.mark.parametrize(
    ("position", "asked", "expected"),
    [
        (None, command(1, from_scratch=True), (0, 0)),
        (None, command(1), (0, 0)),
        (None, command(3, from_scratch=True, fold=1), (0, 0)),
        (at(2, 7, finished=False), command(2), (7, 107)),
        (at(2, 9, finished=True), command(3), (0, 109)),
        (at(1, 9, finished=True), command(3, from_scratch=True), (0, 109)),
    ],
)
def test_a_round_goes_on_from_where_its_state_stands(position, asked, expected):
    assert steps_done(position, asked, Path("state")) == expected


@pytest.mark.parametrize(
    ("position", "asked", "holds"),
    [
        (None, command(2), "no whole checkpoint"),
        (None, command(2, fold=1), "no whole checkpoint"),
        (at(1, 7, finished=False), command(2), "a checkpoint of round 1, step 7"),
        (at(1, 9, finished=True), command(3), "a checkpoint of round 1, step 9"),
        (at(5, 9, finished=True), command(3), "a checkpoint of round 5, step 9"),
        (at(5, 9, finished=True), command(3, from_scratch=True), "a checkpoint of round 5, step 9"),
    ],
)
def test_a_round_whose_state_is_missing_is_not_trained_from_the_start_weights(position, asked, holds):
    before = asked.round - 1
    with pytest.raises(
        StateRefused,
        match=(
            f"end of round {before}, which is missing: /runs/r/state holds {holds}. Nothing was trained. Put the "
            f"folder back from a copy .* start_weights=/runs/r/weights/round-{before:04d}"
        ),
    ) as refused:
        steps_done(position, asked, Path("/runs/r/state"))
    assert not re.search("remove|delete", str(refused.value), re.IGNORECASE)


# Temporary directories


class Engine:
    """Stands for DeepSpeed's; calls `meanwhile` in the middle of its first save."""

    def __init__(self, meanwhile=None) -> None:
        self.meanwhile = meanwhile
        self.checkpoint_engine = None

    def save_checkpoint(self, path: str, tag: str) -> None:
        (Path(path) / tag).mkdir()
        if self.meanwhile is not None:
            self.meanwhile()
        (Path(path) / tag / "state.pt").write_text("state")


def test_a_process_that_was_stopped_in_a_save_does_not_write_into_its_successors(alone, tmp_path):
    state, position = tmp_path / "state", TrainerPosition(1, 4, 4, 1, False)
    seen = []

    def successor() -> None:
        save_checkpoint(Engine(lambda: seen.extend(sorted(state.glob(".step-*")))), state, position)

    save_checkpoint(Engine(successor), state, position)
    assert len(seen) == 2  # one each, at the same time
    path, found = latest_checkpoint(state)
    assert found == position
    assert (path / trainer_state.TAG / "state.pt").read_text() == "state"
    assert [each.name for each in state.iterdir()] == ["step-00000004"]


def test_what_killed_processes_left_half_done_is_removed_at_the_next_load(alone, tmp_path):
    for name in (".step-00000003.partial", ".step-00000004.0123abcd"):
        (tmp_path / name / "zero").mkdir(parents=True)
    with pytest.raises(LeaseLost):  # they may be its successor's
        load_checkpoint(lambda universal: "engine", tmp_path, Writer(str(tmp_path), 3))
    assert len(list(tmp_path.glob(".step-*"))) == 2
    assert load_checkpoint(lambda universal: "engine", tmp_path, UNGUARDED) == ("engine", None)
    assert list(tmp_path.glob(".step-*")) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_what_fails_on_rank_0_fails_on_every_rank(monkeypatch, rank):
    """Left to wait in a barrier, the others would hold the run up until it times out."""
    full, told = DiskFull("no room"), []

    def fill() -> None:
        raise full

    def broadcast(objects: list, src: int) -> None:
        if rank == src:
            told.extend(objects)
        else:
            objects[:] = [None, full]

    monkeypatch.setattr(trainer_state.dist, "get_rank", lambda: rank)
    monkeypatch.setattr(trainer_state.dist, "broadcast_object_list", broadcast)
    with pytest.raises(DiskFull, match="no room"):
        trainer_state._by_rank_0(fill)
    assert told == ([None, full] if rank == 0 else [])


# Conversion for another number of workers


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        ("OSError: [Errno 28] No space left on device\n" + "x" * 3000, DiskFull, "state for another number of workers"),
        ("actors.trainer.safe_load.StateRefused: it holds objects\n", StateRefused, "^it holds objects$"),
        ("KeyError: 'param_shapes'\n", RuntimeError, "param_shapes"),
    ],
)
def test_a_conversion_that_ended_is_told_with_its_reason(tmp_path, monkeypatch, said, error, match):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(error, match=match):
        trainer_state._convert_to_universal(tmp_path / "step-00000004")


# Settings


def test_workers_on_gpus_can_reduce_on_the_cpu_too():
    assert TrainConfig().communication_backend == "gloo"
    backend = TrainConfig(gpus_per_worker=1).communication_backend
    assert BackendConfig(backend).get_device_backend_map() == {"cpu": "gloo", "cuda": "nccl"}
