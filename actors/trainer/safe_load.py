"""Reading the trainer's own state without unpickling objects.

DeepSpeed stores its state with `torch.save` and reads it back with `weights_only=False`, which runs whatever a file
holds. A run directory may come from elsewhere, so here torch is held to tensors, plain values and the three
classes of DeepSpeed that its ZeRO state is made of.
"""

import os
import pickle
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from corpus.storage.errors import InputError

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class StateRefused(InputError):
    """The state of training cannot be used; the message says where it lies, why, and what to do.

    It is missing, or another round's, or holds something else than tensors.
    """


def _classes() -> list[Any]:
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, ZeroStageEnum, fragment_address]


@contextmanager
def weights_only(where: Path):
    """Every `torch.load` of this process, DeepSpeed's too, is one with weights_only=True.

    Raises:
        StateRefused: a file below `where` asks for another class; none of it has been run.
    """
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        with torch.serialization.safe_globals(_classes()):
            yield
    except pickle.UnpicklingError as error:
        raise StateRefused(
            f"The trainer's state in {where} holds something else than tensors and was not read: "
            f"{str(error).splitlines()[0]} Do not use it unless you know who wrote it; put it back from a copy that "
            "you trust, or start a new run with start_weights= the last round's weights."
        ) from error
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def convert(source: Path, target: Path) -> None:
    """Write DeepSpeed's universal form of a ZeRO state.

    Args:
        source: Folder of the ZeRO state.
        target: Folder to write.

    Raises:
        StateRefused: `source` holds other objects than DeepSpeed's.
    """
    from deepspeed.checkpoint import ds_to_universal

    sys.argv[1:] = [
        "--inject_missing_state",
        "--num_extract_workers",
        "1",
        "--num_merge_workers",
        "1",
        "--input_folder",
        str(source),
        "--output_folder",
        str(target),
    ]
    with weights_only(source):
        ds_to_universal.main(ds_to_universal.parse_arguments())


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
