"""Names what a run would lack before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import psutil
import stamina

from actors.captioner_kinds import check_captioner
from actors.devices import visible_gpus
from actors.weights import MODEL_CONFIG
from model.config import ModelConfig
from model.weights_check import check_weights
from orchestrator.config import ConfigError, RunConfig, flat_keys
from orchestrator.free_space import shortfalls
from orchestrator.redaction import without_user
from orchestrator.spool import StoreAway
from orchestrator.tracking import check_store


_NAMED = 3  # of the keys that differ


class PreflightError(RuntimeError):
    """The cluster or the configuration cannot carry the run; the message lists every shortfall."""


@dataclass(frozen=True)
class Resources:
    """What a cluster offers: logical CPUs, GPUs, memory in GiB."""

    cpus: float
    gpus: float
    memory_gib: float


def needed(config: RunConfig, offer: Resources) -> Resources:
    """The least a run needs there: the training group that starts, one captioner, one scorer and one CPU for Ray Data's
    tasks."""
    train, captioner, score = config.train, config.captioner, config.score
    workers = trainers(config, offer)
    cpus = (workers * train.cpus_per_worker + captioner.replicas_needed * captioner.cpus_per_replica
            + score.min_workers * score.cpus_per_worker + 1)
    gpus = (workers * train.gpus_per_worker + captioner.replicas_needed * captioner.gpus_per_replica
            + score.min_workers * score.gpus_per_worker)
    return Resources(cpus, gpus, config.cluster.memory_gib)


def trainers(config: RunConfig, offer: Resources) -> int:
    """Training workers that captioner and scorer have to find room beside.

    The group takes as many as fit, whatever else will want to start there. On a cluster that may grow the least of them
    counts; a local one is never larger than it is.
    """
    train = config.train
    if config.cluster.address is not None:
        return train.min_workers
    fit = offer.cpus // train.cpus_per_worker
    if train.gpus_per_worker:
        fit = min(fit, offer.gpus // train.gpus_per_worker)
    return max(train.min_workers, min(train.max_workers, int(fit)))


def offered(config: RunConfig) -> Resources:
    """What this machine, or the cluster at the configured address, offers."""
    if config.cluster.address is None:
        return Resources(config.cluster.local_cpus, visible_gpus(), psutil.virtual_memory().available / 2**30)
    import ray

    from orchestrator.cluster import connect

    connect(config.cluster.address)
    try:
        total = ray.cluster_resources()
    finally:
        ray.shutdown()
    return Resources(total.get("CPU", 0), total.get("GPU", 0), total.get("memory", 0) / 2**30)


def check(config: RunConfig, offer: Resources) -> None:
    """Compare what a run needs with what a cluster offers.

    Raises:
        PreflightError: names each shortfall with the keys that would mend it.
    """
    need, short = needed(config, offer), []
    if need.cpus > offer.cpus:
        short.append(
            f"{need.cpus:g} CPUs are needed ({trainers(config, offer)} training workers x "
            f"{config.train.cpus_per_worker}, {config.captioner.replicas_needed} captioners x "
            f"{config.captioner.cpus_per_replica}, {config.score.min_workers} scorers x {config.score.cpus_per_worker}, "
            f"1 for data) and {offer.cpus:g} are offered: lower train.max_workers or the others, or raise cluster.local_cpus "
            "or the cluster")
    if need.gpus > offer.gpus:
        short.append(f"{need.gpus:g} GPUs are needed and {offer.gpus:g} are offered: lower train.max_workers, set "
                     "train.gpus_per_worker, captioner.gpus_per_replica and score.gpus_per_worker to 0, or use a machine or "
                     "cluster with GPUs")
    if need.memory_gib > offer.memory_gib:
        short.append(f"{need.memory_gib:g} GiB of memory are needed (cluster.memory_gib) and "
                     f"{offer.memory_gib:.1f} GiB are free: end other programs, use a larger machine, or lower the key "
                     "if you know that less will do")
    if short:
        raise PreflightError("The run was not started, because the cluster is too small:\n  " + "\n  ".join(short))


def check_tile_size(config: RunConfig) -> None:
    """Compare the side of the tiles with that of the images which the models take.

    Raises:
        ConfigError: names both keys and values.
    """
    key, side = config.corpus.tile_size
    for part in ("encoder", "captioner"):
        takes = getattr(config.model, part).vision.image_size_px
        if takes != side:
            raise ConfigError(f"{key} is {side} and model.{part}.vision.image_size_px is {takes}, but the models look "
                              "at whole tiles: set both to the same number of pixels.")


def check_start_weights(folder: Path, model: ModelConfig) -> None:
    """Look at weights to start from. Their own model.yaml is what is trained, so it has to be what is configured.

    Raises:
        ConfigError: there are none, or they are of another model; names the first keys that differ and both values.
        model.weights_check.WeightsError: they are not safe to read.
    """
    if not (folder / "encoder" / "config.json").is_file():
        raise ConfigError(f"start_weights names {folder}, which holds no weights. Name a directory "
                          "such as RUN_DIR/weights/round-0003, or set it to null.")
    check_weights(folder)
    path = folder / MODEL_CONFIG
    if not path.is_file():
        raise ConfigError(f"start_weights names {folder}, which has no {MODEL_CONFIG}. Copy the whole directory of the "
                          "earlier run, or set it to null.")
    try:
        theirs = flat_keys(ModelConfig.from_yaml(path).model_dump(mode="json"))
    except ValueError as error:
        raise ConfigError(f"start_weights names {folder}. {error}") from error
    ours = flat_keys(model.model_dump(mode="json"))
    if differing := [key for key in ours if ours[key] != theirs[key]]:
        said = ", ".join(f"model.{key} is {ours[key]}, there {theirs[key]}" for key in differing[:_NAMED])
        more = f", and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise ConfigError(f"start_weights names {folder}, whose model is another one: {said}{more}. A run goes on with "
                          f"the model of its weights; take it over with --set model={path.resolve()}, or set "
                          "start_weights to null.")


def preflight(config: RunConfig) -> None:
    """Check what the run starts from, and the whole configuration against itself and the cluster."""
    check_tile_size(config)
    if config.start_weights is not None:
        check_start_weights(config.start_weights, config.model)
    check_captioner(config.captioner)
    check(config, offered(config))


def preflight_disk(config: RunConfig, run_dir: Path) -> None:
    """Check that there is room where the run writes.

    Raises:
        PreflightError: names each place that lacks it.
    """
    if short := shortfalls(config, run_dir):
        raise PreflightError("The run was not started, because there is too little room on disk:\n  " + "\n  ".join(short))


def preflight_tracking() -> None:
    """Check that MLflow answers. Only before a new run: one that goes on keeps its entries until MLflow is back.

    Raises:
        PreflightError: it does not.
    """
    try:
        # On a cluster the server may just be starting.
        for attempt in stamina.retry_context(StoreAway, attempts=5, wait_initial=1.0, wait_max=5.0, timeout=30.0):
            with attempt:
                check_store()
    except StoreAway as error:
        raise PreflightError(
            "The run was not started, because the MLflow server that MLFLOW_TRACKING_URI names does not answer. Start "
            f"it, mend the variable, or unset it to track in the run directory. {without_user(str(error))}") from error
