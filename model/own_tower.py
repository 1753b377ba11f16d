"""A vision tower of ours as a file: the tensors of `VisionTower`, and its sizes in the file's metadata.

`knowlip pretrain` writes one, and `model.encoder.vision.pretrained` starts from it. The summary of the tokens is not
kept: nothing trains it without text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpus.storage.errors import InputError
from corpus.storage.writer import UNGUARDED
from model.config import VisionConfig
from model.vision import VisionTower

FILE: Final = "model.safetensors"
_FORMAT: Final = "knowlip vision tower 1"
# What tells nothing of the tensors.
_NO_SIZE: Final = ("pretrained", "dropout", "summary", "summary_width")


class OwnTowerError(InputError):
    """A file of a tower that cannot be used; the message says why."""


@dataclass(frozen=True)
class OwnTower:
    """A tower that was read.

    Attributes:
        state: name in `VisionTower` -> tensor, without its summary.
        config: its sizes, as `VisionConfig` has them.
        path: of the file.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any]
    path: Path

    def check_size(self, config: VisionConfig, key: str) -> None:
        """See that the file fits a tower of a configuration.

        Args:
            config: of the tower.
            key: of its section, for messages.

        Raises:
            OwnTowerError: it does not; names every key that differs and both values.
        """
        if said := differing_sizes(_sizes(config), self.config, key):
            raise OwnTowerError(f"{key}.pretrained: {self.path} is of another size: {said}. Set these keys to it.")

    def give_to(self, tower: VisionTower) -> None:
        """Put the tensors into a tower of the same sizes; its summary stays."""
        tower.load_state_dict({**tower.state_dict(), **self.state})


def write_tower(tower: VisionTower, folder: Path, facts: Mapping[str, str]) -> Path:
    """Write a tower; returns the file.

    Args:
        tower: its summary is left out.
        folder: made where it is absent.
        facts: what the metadata say beside sizes, as on the training.

    Raises:
        DiskFull: it does not fit on the disk.
    """
    state = {name: each.contiguous() for name, each in tower.state_dict().items() if not name.startswith("summary.")}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    metadata = {**facts, "format": _FORMAT, "vision": json.dumps(_sizes(tower.config))}
    with UNGUARDED.place(path, "the vision tower") as partial:
        save_file(state, partial, metadata=metadata)
    return path


def read_tower(path: Path) -> OwnTower | None:
    """Read a tower of ours; None where the file is something else.

    Raises:
        OwnTowerError: it is one of ours and damaged.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return None  # who reads other weights says what is wrong with it
    if metadata.get("format") != _FORMAT:
        return None
    try:
        return OwnTower(load_file(path), json.loads(metadata["vision"]), path)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise OwnTowerError(f"{path} is damaged: {str(error).splitlines()[0]}. Write it anew.") from error


def differing_sizes(ours: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> str:
    """Every size of ours that theirs differ in, with both values, in words; '' where none does.

    Args:
        ours: name of a key -> its value.
        theirs: the same of the weights.
        key: of the section.
    """
    return ", ".join(
        f"{key}.{name} is {size}, there {theirs.get(name)}" for name, size in ours.items() if theirs.get(name) != size
    )


def _sizes(config: VisionConfig) -> dict[str, Any]:
    return json.loads(config.model_dump_json(exclude=set(_NO_SIZE)))
