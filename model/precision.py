"""Switches torch to the precision of a configuration. fp32 leaves every result as it is without this file."""

from contextlib import AbstractContextManager, nullcontext

import torch

from corpus.storage.precision import Precision


def use_precision(precision: Precision) -> None:
    """Say for this process whether a GPU's matrix units may read float32 as TF32. torch lets convolutions do so."""
    torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.allow_tf32 = precision != "fp32"


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Have matrix products and convolutions of the body computed in `precision`. Weights stay in float32.

    It stands inside the models: DeepSpeed switches off what is switched on around its engine.
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def exactly(device: torch.device) -> AbstractContextManager:
    """Have the body computed in the types of its tensors.

    For cosines: divided by a temperature, the roundings of bfloat16 would be of the size of what is compared.
    """
    return torch.autocast(device.type, enabled=False)
