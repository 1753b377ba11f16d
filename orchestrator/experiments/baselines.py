"""The rows of an ablation that are no runs of the loop: initial annotations, and what cheap baselines make of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from actors.data.images import tile_images
from actors.evaluator import Judge, rows_of
from actors.scorer.stored_encoder import view_of
from actors.statistics.features import Features
from actors.statistics.source import fit_source
from benchmark.base import TASKS, EvaluationInputs, HeldOutTiles, Need
from benchmark.baselines.confident_learning import replace_label_issues
from benchmark.baselines.fusion import fuse_with_initial, most_probable
from benchmark.baselines.trees import tree_distributions
from benchmark.tasks import DEFAULT_TASKS
from corpus.geotiff.statistics import intensity_statistics
from corpus.storage.rng import derive_seed
from corpus.tiles import tile_path
from hcot_llm.aggregation.label_noise import CALIBRATED
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table, select
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.data.labelled import groups_of
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.statistics_source import fold_groups
from orchestrator.experiments.cells import Cell
from orchestrator.experiments.config import AblationFailed, Kind
from orchestrator.open_corpus import make_data
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


def judge_confident_learning(cell: Cell, console: Console) -> None:
    """The initial annotations, where confident learning finds them wrong replaced by the source's encoder."""
    _judge_encoder(cell, console, replace_label_issues, views=_source(cell).config.score.views)


def judge_trees(cell: Cell, console: Console) -> None:
    """Trees on intensity statistics, weighed once with the initial annotations as the loop weighs its models."""
    begun = time.monotonic()
    tiles = _Tiles.of(cell, console)
    seed = derive_seed(cell.config.seed, "trees") % 2**32
    trees = tree_distributions(intensity_statistics(tiles.images), tiles.initial, tiles.held_out, seed)
    posterior = weigh([trees], tiles.initial, tiles.held_out, cell.config.acceptance).posterior
    cell.write_result(tiles.judge(posterior, trees), time.monotonic() - begun)


def judge_statistics(cell: Cell, console: Console) -> None:
    """The loop's statistics source by itself, weighed with the initial annotations; no network is trained."""
    begun = time.monotonic()
    config, tiles = cell.config, _Tiles.of(cell, console)
    groups = fold_groups(config, tiles.prepared, tiles.initial.tile_ids)
    source = fit_source(
        Features.of(tiles.images),
        tiles.initial,
        tiles.held_out,
        groups,
        config.statistics,
        config.acceptance,
        config.seed,
    )
    initial, stated = source.believed(tiles.initial), config.acceptance.stated
    posterior = weigh([source.distributions], initial, tiles.held_out, stated, [CALIBRATED]).posterior
    cell.write_result(tiles.judge(posterior, source.distributions), time.monotonic() - begun)


def judge_network(cell: Cell, console: Console) -> None:
    """Networks on the loop's backbone, taught the initial annotations by a recipe of the literature."""
    from benchmark.baselines.noisy.folds import network_distributions

    begun = time.monotonic()
    config, row = cell.config, cell.row.network
    assert row is not None  # see config._check_row
    tiles = _Tiles.of(cell, console)
    initial, rounds = tiles.initial, config.rounds
    passes = config.train.epochs(from_scratch=True) + (rounds - 1) * config.train.epochs(from_scratch=False)
    said = posterior = {
        clause: np.eye(len(words))[initial.column(clause)] for clause, words in initial.schema.vocabulary.items()
    }
    for turn in range(row.turns):
        said = {
            clause: network_distributions(
                row,
                tiles.images,
                posterior[clause],
                tiles.held_out,
                tiles.groups,
                config.model.encoder.vision,
                passes,
                derive_seed(config.seed, "network", clause, str(turn)) % 2**32,
            )
            for clause in initial.schema.names
        }
        posterior = weigh([said], initial, tiles.held_out, config.acceptance).posterior if row.weighed else said
    cell.write_result(tiles.judge(posterior, said), time.monotonic() - begun)


@dataclass(frozen=True)
class _Tiles:
    """A corpus as baselines without the loop see it: images float16 [N, 2, S, S] in memory, and what is held out."""

    prepared: PreparedCorpus
    initial: AnnotationMatrix
    images: np.ndarray
    held_out: np.ndarray
    groups: list[str]

    @staticmethod
    def of(cell: Cell, console: Console) -> "_Tiles":
        config, prepared = cell.config, make_data(cell.config, console)
        initial = matrix_from_table(config.annotation_schema, prepared.initial)
        rows = {tile["tile_id"]: tile for tile in prepared.tiles.to_pylist()}
        size = config.model.encoder.vision.image_size_px
        images = [
            tile_images(tile_path(prepared.corpus_dir, rows[each]["path"]), rows[each], size, None).images[0]
            for each in initial.tile_ids
        ]
        group_of = groups_of(config.corpus, config.annotation_schema)
        return _Tiles(
            prepared,
            initial,
            np.stack(images),
            np.asarray([rows[each]["split"] == "held_out" for each in initial.tile_ids]),
            [group_of.get(each, each) for each in initial.tile_ids],
        )

    def judge(self, posterior: Mapping[str, np.ndarray], model: Mapping[str, np.ndarray]) -> dict:
        """Metrics of the most probable values of training tiles, and of the model's own word on held-out ones."""
        initial = self.initial
        weighed = most_probable(initial.schema, posterior, initial.tile_ids)
        unseen = HeldOutTiles(
            [each for each, apart in zip(initial.tile_ids, self.held_out, strict=True) if apart],
            {clause: each[self.held_out] for clause, each in model.items()},
            np.zeros((int(self.held_out.sum()), 0), np.float32),
            self.prepared.corpus_dir,
        )
        return _judge(self.prepared, select(weighed, ~self.held_out), select(initial, ~self.held_out), unseen)


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
    tiles = {tile["tile_id"]: tile for tile in prepared.tiles.to_pylist()}
    weights = RunDirectory(source.directory).weights(read_records(source.directory)[-1].round)
    seen = view_of(weights, prepared.corpus_dir, [tiles[tile_id] for tile_id in initial.tile_ids], views=views)
    judged = _judge(prepared, annotate(seen.zero_shot, initial), initial)
    held_out = {name: value for name, value in metrics.items() if name.startswith("held_out_")}
    cell.write_result({**judged, **held_out}, seconds + time.monotonic() - begun)


def _source(cell: Cell) -> Cell:
    """The cell whose weights this one uses; rows of these kinds have one (config._check_row)."""
    if cell.source is None:
        raise AblationFailed(f"Row {cell.name} names no row whose weights it uses: set weights_of.")
    return cell.source


def _judge(
    prepared: PreparedCorpus,
    annotations: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: HeldOutTiles | None = None,
) -> dict:
    """The metrics of the tasks that need annotations alone, and of held-out clauses where a model judged them."""
    truth_dir = None if prepared.truth_dir is None else str(prepared.truth_dir)
    tasks = [name for name in DEFAULT_TASKS if Need.HELD_OUT not in TASKS[name].needs]
    if held_out is not None and len(held_out.tile_ids):
        tasks.append("held_out_clauses")
    inputs = EvaluationInputs(initial.schema, rows_of(annotations), rows_of(initial), held_out_tiles=held_out)
    return dict(Judge(initial.schema, truth_dir).evaluate(inputs, tasks).metrics)


def _training_initial(schema: AnnotationSchema, prepared: PreparedCorpus) -> AnnotationMatrix:
    initial = matrix_from_table(schema, prepared.initial)
    split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
    return select(initial, np.asarray([split[tile_id] == "train" for tile_id in initial.tile_ids]))


JUDGES: dict[Kind, Callable[[Cell, Console], None]] = {
    "initial": judge_initial,
    "posterior_fusion": judge_fusion,
    "encoder_alone": judge_encoder,
    "confident_learning": judge_confident_learning,
    "trees": judge_trees,
    "statistics": judge_statistics,
    "network": judge_network,
}
"""Kind of a row that is no run of the loop -> what makes its result."""
