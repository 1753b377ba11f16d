"""Evaluation: the one place that may read hidden truth.

The driver hands the truth's location on to this actor and opens nothing there. What comes back are numbers for the
record, and true values for a gallery; no later phase reads either (tests/integration/test_truth.py takes the truth away).
"""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray

from actors.logs import join_run_log
from benchmark.accuracy import annotation_accuracy, repairs
from benchmark.rarity import rare_tiles
from benchmark.retrieval import retrieval
from benchmark.slots import slot_report
from corpus.storage.parquet import read_parquet
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.clauses import CLAUSES, GROUP, VOCABULARY, Clause
from hcot_llm.text.render import render_caption

_log = logging.getLogger(__name__)


class Judge:
    """Compares annotations and model with the truth, where there is one."""

    def __init__(self, truth_dir: str | None) -> None:
        join_run_log()
        path = None if truth_dir is None else Path(truth_dir) / "truth.parquet"
        self._truth = read_parquet(path) if path is not None and path.exists() else None
        _log.info("evaluator is ready, %s", "without truth" if self._truth is None else f"truth in {truth_dir}")

    def truth_for_pictures(self, tile_ids: list[str]) -> dict[str, dict[str, str]] | None:
        """True values of a few tiles, to mark a gallery's changes as right or wrong; None without truth."""
        if self._truth is None:
            return None
        rows = {row["tile_id"]: row for row in self._truth.to_pylist() if row["tile_id"] in set(tile_ids)}
        return {tile_id: {str(clause): rows[tile_id][clause] for clause in CLAUSES} for tile_id in tile_ids}

    def annotations(self, current: pa.Table, seed: pa.Table, taught: np.ndarray | None = None) -> dict:
        """Accuracy of the training tiles' annotations: dict(metrics, by_clause); values are None without truth.

        Args:
            current, seed: rows (tile_id, clause, value, confidence).
            taught: bool [rows of current], the clauses that the next round teaches; None: all.
        """
        if self._truth is None:
            return {"metrics": {"annotation_accuracy": None}, "by_clause": {}}
        group = {str(clause): GROUP[clause] for clause in CLAUSES}
        report = annotation_accuracy(current, self._truth, group)
        change = repairs(seed, current, self._truth)
        trusted = current if taught is None else current.filter(pa.array(taught))
        metrics = {
            "annotation_accuracy": report.overall,
            "annotation_accuracy_stated": report.stated,
            "expected_calibration_error": report.expected_calibration_error,
            "true_repair_rate": change.true_repair_rate,
            "false_repair_rate": change.false_repair_rate,
            "true_repairs": change.true_repairs,
            "false_repairs": change.false_repairs,
            **{f"annotation_accuracy_{name}": value for name, value in report.by_group.items()},
        }
        if trusted.num_rows:
            metrics["annotation_accuracy_trusted"] = annotation_accuracy(trusted, self._truth, group).overall
        rare = rare_tiles(self._truth, current["tile_id"].to_pylist())
        if rare:
            is_rare = pc.is_in(current["tile_id"], pa.array(sorted(rare)))
            metrics["rare_tiles"] = len(rare)
            for name, where in (("rare", is_rare), ("common", pc.invert(is_rare))):
                part = annotation_accuracy(current.filter(where), self._truth, group)
                metrics |= {
                    f"annotation_accuracy_{name}": part.overall,
                    **{f"annotation_accuracy_{name}_{each}": value for each, value in part.by_group.items()},
                }
        return {"metrics": metrics, "by_clause": report.by_clause}

    def held_out(
        self, weights_dir: str, tile_ids: list[str], zero_shot: dict[Clause, np.ndarray], image_embeddings: np.ndarray
    ) -> dict[str, float | None]:
        """How the encoder does on tiles it never saw, against their truth.

        Args:
            zero_shot: per clause float [N, V]. image_embeddings: float32 [N, E].
        """
        if self._truth is None or not tile_ids:
            return {"held_out_slot_accuracy": None, "held_out_mean_recall": None, "held_out_count_mae": None}
        tiles = len(tile_ids)
        predicted = pa.table(
            {
                "tile_id": list(tile_ids) * len(CLAUSES),
                "clause": [str(c) for c in CLAUSES for _ in range(tiles)],
                "value": [VOCABULARY[c][index] for c in CLAUSES for index in zero_shot[c].argmax(axis=1)],
            }
        )
        slots = slot_report(predicted, self._truth)
        truth = {row["tile_id"]: row for row in self._truth.to_pylist()}
        captions = [render_caption({c: truth[tile_id][c] for c in CLAUSES}, seed=0) for tile_id in tile_ids]
        recall = retrieval(image_embeddings, self._embed(weights_dir, captions), captions)
        return {
            "held_out_slot_accuracy": slots.accuracy,
            "held_out_count_mae": slots.count_mae,
            "held_out_count_mae_present": slots.count_mae_present,
            "held_out_mean_recall": recall.mean_recall,
        }

    @staticmethod
    def _embed(weights_dir: str, texts: list[str]) -> np.ndarray:
        import torch

        from model.checkpoint import load_encoder, load_tokenizer
        from model.score import Scorer

        torch.set_num_threads(1)
        directory = Path(weights_dir)
        return Scorer(load_encoder(directory), load_tokenizer(directory)).text_embeddings(texts).numpy()


Evaluator = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Judge)
"""The judge as an actor. It holds nothing that a restart could lose, and calls change nothing."""


def rows_of(matrix: AnnotationMatrix) -> pa.Table:
    """Rows (tile_id, clause, value, confidence) of a matrix."""
    tiles, clauses = len(matrix), len(CLAUSES)
    values = [
        VOCABULARY[clause][matrix.values[row, column]] for row in range(tiles) for column, clause in enumerate(CLAUSES)
    ]
    return pa.table(
        {
            "tile_id": np.repeat(np.asarray(matrix.tile_ids, dtype=object), clauses),
            "clause": [str(clause) for clause in CLAUSES] * tiles,
            "value": values,
            "confidence": matrix.confidence.reshape(-1).astype(np.float32),
        }
    )
