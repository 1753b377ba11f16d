"""Names what a run would lack before anything starts."""

from pathlib import Path

import psutil
import stamina

from actors.weight_files import MODEL_CONFIG
from benchmark.tasks.nearest_neighbours import check_data_sets
from corpus.storage.disk import free_bytes
from corpus.storage.errors import ConfigError, UserError
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import SCHEMA_FILE, check_same, read_schema
from model.config import ModelConfig
from model.weights_check import check_weights
from orchestrator.cluster.capacity import cluster_capacity
from orchestrator.cluster.disk_space import shortfalls, spill_dir
from orchestrator.cluster.footprint import Room, footprint, judge
from orchestrator.cluster.machine import machine_troubles
from orchestrator.cluster.placement import missing_room
from orchestrator.cluster.requirements import Requirement, requirements, total_requirement
from orchestrator.cluster.resources import ClusterCapacity, Resources
from orchestrator.config.load import flat_keys
from orchestrator.config.schema import RunConfig
from orchestrator.data.prepare import check_annotations
from orchestrator.state.durable import restored_corpus
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.base import Tracker, TrackerAway, TrackerMisconfigured, TrackerUnusable

_NAMED = 3  # of the keys that differ
_RAYS_SHARE = (
    0.7  # of a node's memory, which Ray counts as such where nothing is said; the rest is for the object store
)
_ONLY_WHAT_IS_THERE = (
    "Only nodes that are there now count, as Ray does not tell what an autoscaler may add: have it "
    "keep as many as the least of a run needs (minReplicas of KubeRay's worker groups)."
)


class PreflightError(UserError):
    """The cluster or the configuration cannot carry the run; the message lists every shortfall."""


def check(config: RunConfig, capacity: ClusterCapacity) -> None:
    """Compare what a run requires with what a cluster has, in sum and node by node.

    Raises:
        PreflightError: names each shortfall with the keys that would mend it.
    """
    total = capacity.total
    kinds, need = requirements(config), total_requirement(config)
    short = _short_in_sum(kinds, need, total)
    if config.cluster.address is not None:  # a local cluster is one node, of which the sums say all
        enough_together = total.cpus >= need.cpus and total.gpus >= need.gpus
        short.extend(missing_room(kinds, capacity, enough_together))
        if short:
            short.append(_ONLY_WHAT_IS_THERE)
    if short:
        raise PreflightError("The run was not started, because the cluster is too small:\n  " + "\n  ".join(short))


def _short_in_sum(kinds: list[Requirement], need: Resources, total: Resources) -> list[str]:
    workers, captioners, scorers, _ = kinds
    short = []
    if need.cpus > total.cpus:
        short.append(
            f"{need.cpus:g} CPUs are needed ({workers.count} training workers x {workers.each.cpus:g}, "
            f"{captioners.count} captioners x {captioners.each.cpus:g}, {scorers.count} scorers x "
            f"{scorers.each.cpus:g}, 1 for data) and {total.cpus:g} are there: lower "
            "train.min_workers or the others, or raise cluster.local_cpus or the cluster"
        )
    if need.gpus > total.gpus:
        short.append(
            f"{need.gpus:g} GPUs are needed and {total.gpus:g} are there: lower train.min_workers, set "
            "train.gpus_per_worker, captioner.gpus_per_replica and score.gpus_per_worker to 0, or use a "
            "machine or cluster with GPUs"
        )
    if need.memory_gib > total.memory_gib:
        short.append(
            f"{need.memory_gib:g} GiB of memory are needed (cluster.memory_gib) and "
            f"{total.memory_gib:.1f} GiB are free: end other programs, use a larger machine, or lower the key "
            "if you know that less will do"
        )
    return short


def check_tile_size(config: RunConfig) -> None:
    """Compare the side of the tiles with that of the images which the models take.

    Larger tiles are averaged to images, or read as crops (docs/input.md). Pixels that are not there are not made up.

    Raises:
        ConfigError: names both keys and values.
    """
    key, side = config.corpus.tile_size
    sizes = {part: getattr(config.model, part).vision.image_size_px for part in ("encoder", "captioner")}
    if sizes["encoder"] != sizes["captioner"]:
        raise ConfigError(
            f"model.encoder.vision.image_size_px is {sizes['encoder']} and model.captioner.vision.image_size_px is "
            f"{sizes['captioner']}, but both look at the same images: set both to the same number of pixels."
        )
    if side < sizes["encoder"]:
        raise ConfigError(
            f"{key} is {side} and model.encoder.vision.image_size_px is {sizes['encoder']}, but tiles may not be "
            "smaller than what the models look at: raise the former, or lower the latter and the captioner's."
        )


def check_start_weights(folder: Path, model: ModelConfig, schema: AnnotationSchema) -> None:
    """Look at weights to start from. Their own model.yaml is what is trained, so it has to be what is configured.

    Raises:
        ConfigError: there are none, or they are of another model; names the first keys that differ and both values.
        hcot_llm.schema.errors.SchemaMismatch: they are of another annotation schema.
        model.weights_check.WeightsError: they are not safe to read.
    """
    if not (folder / "encoder" / "config.json").is_file():
        raise ConfigError(
            f"start_weights names {folder}, which holds no weights. Name a directory "
            "such as RUN_DIR/weights/round-0003, or set it to null."
        )
    check_weights(folder)
    path = folder / MODEL_CONFIG
    if not path.is_file():
        raise ConfigError(
            f"start_weights names {folder}, which has no {MODEL_CONFIG}. Copy the whole directory of the "
            "earlier run, or set it to null."
        )
    check_same(
        f"The weights that start_weights names, {folder},",
        read_schema(folder),
        schema,
        f"Run with theirs, --set schema={(folder / SCHEMA_FILE).resolve()}, or set start_weights to null.",
    )
    try:
        theirs = flat_keys(ModelConfig.from_yaml(path).model_dump(mode="json"))
    except ValueError as error:
        raise ConfigError(f"start_weights names {folder}. {error}") from error
    ours = flat_keys(model.model_dump(mode="json"))
    if differing := [key for key in ours if ours[key] != theirs[key]]:
        said = ", ".join(f"model.{key} is {ours[key]}, there {theirs[key]}" for key in differing[:_NAMED])
        more = f", and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise ConfigError(
            f"start_weights names {folder}, whose model is another one: {said}{more}. A run goes on with "
            f"the model of its weights; take it over with --set model={path.resolve()}, or set "
            "start_weights to null."
        )


def check_pretrained(model: ModelConfig) -> None:
    """Look at the weights that towers are to start from.

    Raises:
        InputError: there are none, or they are of another size.
    """
    for part, vision in (("encoder", model.encoder.vision), ("captioner", model.captioner.vision)):
        if vision.pretrained is not None:
            from model.pretrained import check_pretrained as check

            check(vision, f"model.{part}.vision")


def preflight(config: RunConfig, directory: RunDirectory | None = None, run_dir: Path | None = None) -> list[str]:
    """Check what the run starts from, and the whole configuration against itself and the cluster.

    Args:
        config: The configuration of the run.
        directory: Directory of a run that goes on; None for a new one. A run that has copied the weights it started
            from does not read them again, and one that came from a store brings its annotations along.
        run_dir: Where a new run is going to write; None: its disk is not looked at.

    Returns:
        What fits, but makes the run slow.
    """
    check_tile_size(config)
    if directory is None or not restored_corpus(directory.path):
        check_annotations(config.corpus, config.annotation_schema)
    if config.start_weights is not None and (directory is None or not directory.weights(0).exists()):
        check_start_weights(config.start_weights, config.model, config.annotation_schema)
    if config.start_weights is None and (directory is None or not directory.weights(0).exists()):
        check_pretrained(config.model)
    config.captioner.check()
    check_data_sets(config.judged_data_sets())
    capacity = cluster_capacity(config)
    check(config, capacity)
    shared = config.cluster.address is not None
    return preflight_size(config, run_dir, capacity=capacity if shared else None)


def preflight_machine(config: RunConfig, run_dir: Path) -> None:
    """Check that this machine lets a run do what it has to: write, open sockets and files.

    Raises:
        PreflightError: names all that it does not.
    """
    if troubles := machine_troubles(config, run_dir):
        raise PreflightError("The run was not started, because of this machine:\n  " + "\n  ".join(troubles))


def preflight_disk(config: RunConfig, run_dir: Path) -> None:
    """Check that there is room where the run writes.

    Raises:
        PreflightError: names each place that lacks it.
    """
    if short := shortfalls(config, run_dir):
        raise PreflightError(
            "The run was not started, because there is too little room on disk:\n  " + "\n  ".join(short)
        )


def preflight_size(
    config: RunConfig, run_dir: Path | None, tiles: int | None = None, capacity: ClusterCapacity | None = None
) -> list[str]:
    """Check that what the run comes to hold has room: memory, object store and disk.

    Args:
        config: The configuration of the run.
        run_dir: Where a new run writes; None for one that goes on, whose files are there already.
        tiles: Number of tiles of the corpus; None: that of simulated scenes, of others it is not known before they are
            cut.
        capacity: The nodes of the cluster; None: they are not looked at.

    Returns:
        What fits, but makes the run slow.

    Raises:
        PreflightError: names what does not fit, with the sizes and the keys.
    """
    if tiles is None and config.corpus.kind == "simulated":
        tiles = config.corpus.simulated.tiles
    spill = spill_dir(config)
    there = Room(
        psutil.virtual_memory().total,
        None
        if capacity is None
        else max((node.memory_gib for node in capacity.nodes), default=0) / _RAYS_SHARE * 2**30,
        None if run_dir is None else free_bytes(run_dir),
        None if spill is None else free_bytes(spill),
    )
    verdict = judge(config, footprint(config, tiles), there)
    if verdict.refused:
        raise PreflightError("The run was not started, because it has no room:\n  " + "\n  ".join(verdict.refused))
    return verdict.warned


def preflight_tracking(tracker: Tracker) -> None:
    """Check that the tracker answers. Only before a new run: one that goes on keeps its entries until it does again.

    Raises:
        ConfigError: What is configured can never be told anything here.
        PreflightError: It does not answer, or cannot be told anything for now.
    """
    try:
        # On a cluster the server may just be starting.
        for attempt in stamina.retry_context(TrackerAway, attempts=5, wait_initial=1.0, wait_max=5.0, timeout=30.0):
            with attempt:
                tracker.check_reachable()
    except TrackerMisconfigured as error:
        raise ConfigError(f"The run was not started, because {error}") from error
    except (TrackerAway, TrackerUnusable) as error:
        raise PreflightError(f"The run was not started, because {error}") from error
