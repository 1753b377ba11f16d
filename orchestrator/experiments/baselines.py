"""The rows of an ablation that are no runs of the loop: initial annotations, one crude fusion, an encoder alone."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from rich.console import Console

from actors.evaluator import Judge, rows_of
from actors.scorer.stored_encoder import zero_shot_of
from benchmark.base import TASKS, EvaluationInputs, Need
from benchmark.baselines.fusion import fuse_with_seed, most_probable
from benchmark.tasks import DEFAULT_TASKS
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.data.annotation_history import select
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.experiments.cells import Cell
from orchestrator.experiments.config import AblationFailed
from orchestrator.start import make_data
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory


def judge_seed(cell: Cell, console: Console) -> None:
    """The initial annotations of the training tiles against the truth."""
    begun = time.monotonic()
    prepared = make_data(cell.config, console)
    seed = _training_seed(cell.config.annotation_schema, prepared)
    cell.write_result(_judge(prepared, seed, seed), time.monotonic() - begun)


def judge_fusion(cell: Cell, console: Console) -> None:
    """The initial annotations, fused once with what the encoder of the source's last round finds in the tiles.

    The encoder looks at each tile once, as it is: with the views of the loop this baseline is weaker.
    """
    _judge_encoder(cell, console, fuse_with_seed)


def judge_encoder(cell: Cell, console: Console) -> None:
    """What the encoder of the source's last round finds most probable, looking as often as in the loop."""
    _judge_encoder(
        cell,
        console,
        lambda zero_shot, seed: most_probable(seed.schema, zero_shot, seed.tile_ids),
        views=_source(cell).config.score.views,
    )


def _judge_encoder(
    cell: Cell,
    console: Console,
    annotate: Callable[[Mapping[str, np.ndarray], AnnotationMatrix], AnnotationMatrix],
    views: int = 1,
) -> None:
    """The model's own held-out numbers are those of the source's row, whose training also counts in the seconds."""
    source = _source(cell)
    finished = source.result()
    if finished is None:
        raise AblationFailed(f"Row {source.name} is not over, and row {cell.name} uses its weights.")
    metrics, seconds = finished
    begun = time.monotonic()
    prepared = make_data(cell.config, console)
    seed = _training_seed(cell.config.annotation_schema, prepared)
    path = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["path"].to_pylist(), strict=True))
    weights = RunDirectory(source.directory).weights(read_records(source.directory)[-1].round)
    zero_shot = zero_shot_of(weights, [prepared.corpus_dir / path[tile_id] for tile_id in seed.tile_ids], views=views)
    judged = _judge(prepared, annotate(zero_shot, seed), seed)
    held_out = {name: value for name, value in metrics.items() if name.startswith("held_out_")}
    cell.write_result({**judged, **held_out}, seconds + time.monotonic() - begun)


def _source(cell: Cell) -> Cell:
    """The cell whose weights this one uses; rows of these kinds have one (config._check_row)."""
    if cell.source is None:
        raise AblationFailed(f"Row {cell.name} names no row whose weights it uses: set weights_of.")
    return cell.source


def _judge(prepared: PreparedCorpus, annotations: AnnotationMatrix, seed: AnnotationMatrix) -> dict:
    """What the tasks that look at annotations alone find."""
    truth_dir = None if prepared.truth_dir is None else str(prepared.truth_dir)
    tasks = [name for name in DEFAULT_TASKS if Need.HELD_OUT not in TASKS[name].needs]
    inputs = EvaluationInputs(seed.schema, rows_of(annotations), rows_of(seed))
    return dict(Judge(seed.schema, truth_dir).evaluate(inputs, tasks).metrics)


def _training_seed(schema: AnnotationSchema, prepared: PreparedCorpus) -> AnnotationMatrix:
    seed = matrix_from_table(schema, prepared.seed)
    split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
    return select(seed, np.asarray([split[tile_id] == "train" for tile_id in seed.tile_ids]))
