"""The GPUs of this machine. The loop itself knows no torch, and asks here."""

from pathlib import Path

_DRIVERS = tuple(Path("/dev", name) for name in ("nvidiactl", "kfd", "dxg"))
"""One of them is there where the system has a driver for GPUs: NVIDIA's, AMD's, that of Windows under Linux."""


def visible_gpus() -> int:
    """GPUs that a process on this machine may use, less what CUDA_VISIBLE_DEVICES hides."""
    if not any(driver.exists() for driver in _DRIVERS):
        return 0  # without seconds for the import of torch
    import torch

    return torch.cuda.device_count()


def device_of(gpus: float) -> str:
    """Where a worker that reserved so many GPUs computes: on the CPU if it reserved none, or can use none."""
    import torch

    return "cuda" if gpus > 0 and torch.cuda.is_available() else "cpu"
