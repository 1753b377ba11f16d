"""Tensors of a published file, without what others put before their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from benchmark.baselines.checkpoints.errors import CheckpointError
from model.pretrained import PretrainedError, read_tensors

PREFIXES = ("module.", "sar_encoder.", "encoder.", "model.")


def state_of(path: Path, prefixes: tuple[str, ...] = PREFIXES) -> dict[str, Tensor]:
    """The tensors of a file. Where some names begin with one of `prefixes`, only those are kept, without it.

    Args:
        path: the file.
        prefixes: tried in this order, each on what the one before has left.

    Raises:
        CheckpointError: it cannot be read as weights.
    """
    try:
        state = read_tensors(path)
    except PretrainedError as error:
        raise CheckpointError(str(error)) from error
    for prefix in prefixes:
        state = inside(state, prefix) or state
    return state


def inside(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def wanted(state: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    """A tensor that has to be there.

    Raises:
        CheckpointError: it is not.
    """
    if name not in state:
        raise CheckpointError(f"{path} has no {name}: it is another file or another version. Get it from its source.")
    return state[name]


def depth_of(state: Mapping[str, Tensor], before: str) -> int:
    """How many layers are numbered behind a name such as "blocks."."""
    return len({name.split(".")[before.count(".")] for name in state if name.startswith(before)})
