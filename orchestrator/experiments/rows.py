"""An ablation's finished rows as plain values, one for each seed, for machines."""

from collections.abc import Sequence
from typing import Any

from orchestrator.config.schema import RunConfig
from orchestrator.experiments.cells import Cell
from orchestrator.experiments.table import ACCURACY
from orchestrator.state.records import read_initial_summary

_METRICS = {
    "label_accuracy": ACCURACY,
    "false_repair_share": "false_repair_rate",
    "encoder_test_accuracy": "held_out_slot_accuracy",
    "ece": "expected_calibration_error",
}
"""Key of a row -> metric of a round's record."""


def rows_as_json(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Rows that are finished.

    Args:
        cells: of one ablation; all rows of a seed and a condition have one corpus.

    Returns:
        For each finished (condition, row, seed) a dictionary with these keys; a value that is not known is None:
            row, seed: Name of the row, and its seed.
            dataset: Name of the corpus.
            noise: What was done to the initial annotations.
            label_accuracy, initial_label_accuracy: Share of right annotations of training tiles, at the end and first.
            false_repair_share: Share of the right ones that were broken.
            test_accuracy: Share of the clauses of held-out tiles that all models of the row, weighed together, have
                right.
            encoder_test_accuracy: The same of the encoder alone, or of the row's one model.
            ece: Expected calibration error of the annotations' confidence.
            seconds: For the row's own work and the training it rests on.
    """
    initial: dict[tuple[str | None, int], float | None] = {}
    for cell in cells:
        if cell.row.kind == "initial" and (result := cell.result()) is not None:
            initial[cell.condition, cell.seed] = result[0].get(ACCURACY)
        elif (summary := read_initial_summary(cell.directory)) is not None:
            initial.setdefault((cell.condition, cell.seed), summary.annotation_accuracy)
    rows = []
    for cell in cells:
        if (result := cell.result()) is None:
            continue
        metrics, seconds = result
        values = {key: metrics.get(metric) for key, metric in _METRICS.items()}
        weighed = metrics.get("held_out_weighed_accuracy")
        values["test_accuracy"] = values["encoder_test_accuracy"] if weighed is None else weighed
        rows.append(
            {
                "row": cell.row_name,
                "dataset": cell.config.corpus.name,
                "noise": noise_of(cell.config),
                "seed": cell.seed,
                **values,
                "initial_label_accuracy": initial.get((cell.condition, cell.seed)),
                "seconds": seconds,
            }
        )
    return rows


def noise_of(config: RunConfig) -> str:
    """How the initial annotations of a run come to be wrong, in the words of the configuration."""
    if config.corpus.kind == "labelled":
        errors = config.corpus.label_errors
        return errors.kind if errors.kind == "none" else f"{errors.kind} {errors.share:g}"
    if config.corpus.kind != "simulated":
        return "as they came"
    corruption = config.corpus.corruption
    said = {"error_scale": corruption.error_scale, **corruption.model_dump(exclude_defaults=True)}
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in said.items()
    )
