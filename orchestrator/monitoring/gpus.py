"""How busy the NVIDIA GPUs of this node are, by MLflow's own monitor."""

from typing import Protocol


class _Monitor(Protocol):
    def collect_metrics(self) -> None: ...
    def aggregate_metrics(self) -> dict[str, float]: ...
    def clear_metrics(self) -> None: ...


class Gpus:
    """The GPUs of this node; none where there is none, or where the package nvidia-ml-py is not installed."""

    def __init__(self) -> None:
        self._monitor = _monitor()

    def sample(self) -> dict[str, float]:
        """Look once.

        Returns:
            For GPU 0 gpu_0_utilization_percentage, gpu_0_memory_usage_percentage, gpu_0_memory_usage_megabytes,
            gpu_0_power_usage_watts and gpu_0_power_usage_percentage, and so on for the others.
        """
        if self._monitor is None:
            return {}
        self._monitor.collect_metrics()
        values = self._monitor.aggregate_metrics()
        self._monitor.clear_metrics()
        return values


def _monitor() -> _Monitor | None:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    del pynvml
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor  # takes seconds where MLflow is not yet imported

    try:
        return GPUMonitor()
    except RuntimeError:  # it found no GPU or no driver
        return None
