"""What normalisation remembers of the data, the same whatever number of ranks has seen it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class StatisticsReplay:
    """One step's updates of running statistics, noted by micro-batch and made again in the order of the plan.

    A layer keeps a share of what it remembers and adds what it saw: after = keep * before + added, once a micro-batch.
    Ranks that hold the mean of their values instead would follow the data more slowly the more of them there are.

    Args:
        layers: batch normalisation layers with running statistics, each of which runs once a micro-batch.
        turns: micro-batches of this rank at most.

    Attributes:
        added: float32 [turns, values], on the CPU; zeros for a turn without a micro-batch.
    """

    def __init__(self, layers: Sequence[_BatchNorm], turns: int) -> None:
        self._layers = layers
        self._start = self._read()
        self._keep = torch.cat([torch.full((2 * layer.num_features,), 1 - (layer.momentum or 0)) for layer in layers])
        self.added = torch.zeros(turns, len(self._start))

    @contextmanager
    def noting(self, turn: int) -> Iterator[None]:
        """Around the forward pass of a micro-batch."""
        before = self._read()
        yield
        self.added[turn] = self._read() - self._keep * before

    def replay(self, added: Sequence[Tensor]) -> None:
        """Have the layers remember the step's micro-batches, float32 [values] each, in this order."""
        values = self._start
        for each in added:
            values = self._keep * values + each
        remembered = list(self._buffers())
        for buffer, value in zip(remembered, values.split([buffer.numel() for buffer in remembered]), strict=True):
            buffer.copy_(value)

    def _read(self) -> Tensor:
        return torch.cat([buffer.detach().float().cpu() for buffer in self._buffers()])

    def _buffers(self) -> Iterator[Tensor]:
        """Running mean and running variance of every layer, in order."""
        for layer in self._layers:
            for buffer in (layer.running_mean, layer.running_var):
                if buffer is None:
                    raise ValueError(f"{layer} keeps no running statistics.")
                yield buffer
