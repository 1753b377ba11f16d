"""What Ray Train runs on every rank: wait for a command, train it, report the result, until the channel is closed.

A worker that (re)starts in the middle of a round asks for the command again, and goes on from the newest checkpoint.
torch and DeepSpeed are imported in the workers alone.
"""

import logging
import os
import time
import traceback
from typing import Any

import ray
import ray.train

from actors.data.object_store import NoRoomForBlocks
from actors.logs import join_run_log
from actors.trainer.config import TrainConfig
from actors.trainer.start_weights import StartWeights
from corpus.storage.errors import UserError

_IDLE_S = 0.25  # a rank asks for the next command so often; ten times a second took 3 % of a core
_log = logging.getLogger(__name__)


def train_worker(config: dict[str, Any]) -> None:
    """Entry point that Ray Train calls on every rank. Whatever ends it early, the trainer channel is told why.

    Args:
        config: "settings", WorkerSettings as plain values; "start", the weights that the run begins with; and
            "channel", a handle of the trainer channel.
    """
    join_run_log()
    channel = config["channel"]
    try:
        _serve(config["settings"], config["start"], channel)
    except (UserError, NoRoomForBlocks) as error:
        # Raised, it would have the group started again, to come to the same end.
        _log.error("training cannot go on: %s", error)
        ray.get(channel.give_up.remote(error))
    except Exception:
        _log.exception("a rank failed; Ray Train starts the group again")
        ray.get(channel.report_error.remote(traceback.format_exc()))
        raise


def _serve(settings: dict[str, Any], start: StartWeights, channel: Any) -> None:
    """Build a rank and train what is commanded, until the channel is closed or the run is asked to end."""
    train = TrainConfig.model_validate(settings["train"])
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if train.gpus_per_worker else "cpu")
    if not train.compile:  # DeepSpeed decorates an optimiser with torch.compile, which takes seconds to be imported
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    import torch

    torch.set_num_threads(train.threads_per_worker)
    _announce(channel)
    from actors.trainer.communication_op import compile_communication_op

    if not train.gpus_per_worker:
        compile_communication_op()
    from actors.trainer.rank import Rank, Stopped

    _make_once(start)
    rank = Rank(settings, train)
    _log.info("rank %d of %d is ready", rank.rank, rank.world_size)
    if rank.rank == 0:
        ray.get(channel.started.remote(rank.world_size))
    while True:
        command, closed = ray.get(channel.next.remote())
        if command is not None:
            try:
                result = rank.train_round(command, channel)
            except Stopped:
                return
            # All ranks meet here before the result opens the next round.
            ray.train.report({"round": command.round, **(result.losses[-1] if result.losses else {})})
            if rank.rank == 0:
                ray.get(channel.report_result.remote(result))
            rank.meet()
        elif closed:
            return
        else:
            time.sleep(_IDLE_S)


def _announce(channel: Any) -> None:
    """Have the start counted, once a group, before any rank of it can fail."""
    import torch.distributed as dist

    if dist.get_rank() == 0:
        ray.get(channel.starting.remote())
    dist.barrier()


def _make_once(start: StartWeights) -> None:
    """Make the run's first weights in one rank, while the others wait."""
    import torch.distributed as dist

    if dist.get_rank() == 0:
        start.make()
    dist.barrier()
