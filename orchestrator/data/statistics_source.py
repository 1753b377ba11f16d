"""The statistics source of a run: made once from the tiles' images, and kept in the run directory."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from actors.data.image_index import ImageIndex
from actors.statistics.config import StatisticsConfig
from actors.statistics.features import Features
from actors.statistics.source import StatisticsSource, fit_source
from corpus.storage.arrow import array_of, lists
from corpus.storage.parquet import read_parquet
from corpus.storage.state_files import RecordError
from corpus.storage.writer import Writer
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.config.schema import RunConfig
from orchestrator.data.labelled import groups_of
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.state.run_directory import RunDirectory

_SQUARE_DEG = 0.02
"""Tiles within a square of this side, about 2 km, share ground or nearly: they are in one fold."""
_METADATA = b"knowlip"


def open_statistics(
    config: RunConfig,
    directory: RunDirectory,
    prepared: PreparedCorpus,
    images: ImageIndex,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
) -> StatisticsSource | None:
    """The source of a run; None where `statistics.enabled` is false.

    Args:
        config: Configuration of the run.
        directory: Directory of the run, which keeps the source.
        prepared: the tiles.
        images: where the tiles' images lie. The source is fitted on the cluster.
        initial: initial annotations of the N tiles.
        held_out: bool [N].

    Raises:
        RecordError: the file in the run directory is of other tiles or of another annotation schema.
    """
    if not config.statistics.enabled:
        return None
    path = directory.statistics
    if not path.exists():
        import ray

        # Features are made where the images lie, and the fit is a task: neither comes to the driver.
        features = ray.remote(Features.of_block)
        blocks = [features.remote(block) for block in images.blocks]
        groups = fold_groups(config, prepared, initial.tile_ids)
        fitted: ray.ObjectRef[StatisticsSource] = ray.remote(_fit_on_blocks).remote(
            initial, held_out, groups, config.statistics, config.acceptance, config.seed, *blocks
        )
        source = ray.get(fitted)
        write_statistics(path, source, initial, directory.writer)
    return read_statistics(path, initial)


def fold_groups(config: RunConfig, prepared: PreparedCorpus, tile_ids: Sequence[str]) -> list[str]:
    """What the tiles of one fold share: a labelled image its object, any other tile its square of ground."""
    group_of: Mapping[str, str] = groups_of(config.corpus, config.annotation_schema)
    if not group_of:
        columns = (prepared.tiles[name].to_pylist() for name in ("tile_id", "lon", "lat"))
        group_of = {
            tile_id: f"{np.floor(lon / _SQUARE_DEG):.0f} {np.floor(lat / _SQUARE_DEG):.0f}"
            for tile_id, lon, lat in zip(*columns, strict=True)
        }
    return [group_of[tile_id] for tile_id in tile_ids]


def _fit_on_blocks(
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    groups: Sequence[str],
    config: StatisticsConfig,
    acceptance: AcceptanceConfig,
    run_seed: int,
    *blocks: tuple[list[str], Features],
) -> StatisticsSource:
    place = {tile_id: row for row, tile_id in enumerate(tile_id for tile_ids, _ in blocks for tile_id in tile_ids)}
    features = Features.join([part for _, part in blocks])[np.asarray([place[each] for each in initial.tile_ids])]
    return fit_source(features, initial, held_out, groups, config, acceptance, run_seed)


def write_statistics(path: Path, source: StatisticsSource, initial: AnnotationMatrix, writer: Writer) -> None:
    """Write what `read_statistics` reads, in one step; errors as of `Writer.place`."""
    columns = {clause: lists(each) for clause, each in source.distributions.items()}
    table = pa.table({"tile_id": list(initial.tile_ids), "accuracy of annotations": lists(source.accuracy), **columns})
    said = {"schema_sha256": initial.schema.digest, "turns": source.turns, "standing": sorted(source.standing)}
    with writer.place(path, "what classifiers on statistics said") as partial:
        pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(said).encode()}), partial)


def read_statistics(path: Path, initial: AnnotationMatrix) -> StatisticsSource:
    """Read what `write_statistics` wrote.

    Raises:
        ParquetError: the file is damaged.
        RecordError: it is of other tiles or of another annotation schema than `initial`.
    """
    table = read_parquet(path)
    said = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    if said.get("schema_sha256") != initial.schema.digest or table["tile_id"].to_pylist() != list(initial.tile_ids):
        raise RecordError(
            f"{path} is of other tiles or of another annotation schema than this run. Remove it: it is made anew."
        )
    return StatisticsSource(
        {clause: array_of(table[clause]) for clause in initial.schema.names},
        array_of(table["accuracy of annotations"]),
        int(said["turns"]),
        frozenset(said.get("standing", [])),
    )
