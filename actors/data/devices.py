"""The GPUs of this machine. The loop itself knows no torch, and asks here."""


def visible_gpus() -> int:
    """GPUs that a process on this machine may use, less what CUDA_VISIBLE_DEVICES hides."""
    import torch

    return torch.cuda.device_count()


def device_of(gpus: float) -> str:
    """Where a worker that reserved so many GPUs computes: on the CPU if it reserved none, or can use none."""
    import torch

    return "cuda" if gpus > 0 and torch.cuda.is_available() else "cpu"
