"""The rows of an ablation that are no runs of the loop: initial annotations, one crude fusion, an encoder alone."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from rich.console import Console

from actors.evaluator import Judge, rows_of
from actors.scorer.stored_encoder import zero_shot_of
from benchmark.base import TASKS, EvaluationInputs, Need
from benchmark.baselines.fusion import fuse_with_initial, most_probable
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


def judge_initial(cell: Cell, console: Console) -> None:
    """The initial annotations of the training tiles against the truth."""
    begun = time.monotonic()
    prepared = make_data(cell.config, console)
    initial = _training_initial(cell.config.annotation_schema, prepared)
    cell.write_result(_judge(prepared, initial, initial), time.monotonic() - begun)


def judge_fusion(cell: Cell, console: Console) -> None:
    """The initial annotations, fused once with the distributions of the encoder of the source's last round.

    The encoder uses one view of each tile. With the views of the loop this baseline is weaker.
    """
    _judge_encoder(cell, console, fuse_with_initial)


def judge_encoder(cell: Cell, console: Console) -> None:
    """The most probable values of the encoder of the source's last round, with as many views as in the loop."""
    _judge_encoder(
        cell,
        console,
        lambda zero_shot, initial: most_probable(initial.schema, zero_shot, initial.tile_ids),
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
    initial = _training_initial(cell.config.annotation_schema, prepared)
    path = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["path"].to_pylist(), strict=True))
    weights = RunDirectory(source.directory).weights(read_records(source.directory)[-1].round)
    zero_shot = zero_shot_of(
        weights, [prepared.corpus_dir / path[tile_id] for tile_id in initial.tile_ids], views=views
    )
    judged = _judge(prepared, annotate(zero_shot, initial), initial)
    held_out = {name: value for name, value in metrics.items() if name.startswith("held_out_")}
    cell.write_result({**judged, **held_out}, seconds + time.monotonic() - begun)


def _source(cell: Cell) -> Cell:
    """The cell whose weights this one uses; rows of these kinds have one (config._check_row)."""
    if cell.source is None:
        raise AblationFailed(f"Row {cell.name} names no row whose weights it uses: set weights_of.")
    return cell.source


def _judge(prepared: PreparedCorpus, annotations: AnnotationMatrix, initial: AnnotationMatrix) -> dict:
    """The metrics of the tasks that need annotations alone."""
    truth_dir = None if prepared.truth_dir is None else str(prepared.truth_dir)
    tasks = [name for name in DEFAULT_TASKS if Need.HELD_OUT not in TASKS[name].needs]
    inputs = EvaluationInputs(initial.schema, rows_of(annotations), rows_of(initial))
    return dict(Judge(initial.schema, truth_dir).evaluate(inputs, tasks).metrics)


def _training_initial(schema: AnnotationSchema, prepared: PreparedCorpus) -> AnnotationMatrix:
    initial = matrix_from_table(schema, prepared.initial)
    split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
    return select(initial, np.asarray([split[tile_id] == "train" for tile_id in initial.tile_ids]))
