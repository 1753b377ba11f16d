"""Whether a round doubted the clauses that are wrong."""

import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.tables import join_truth


class FlagPrecision:
    """Share of the flagged clauses that were wrong, and share of the wrong ones that were flagged; None of nothing."""

    needs = frozenset({Need.TRUTH, Need.FLAGS})
    metrics = ("flag_precision", "flag_recall")

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the flags with the truth of the annotations that were flagged."""
        flags = inputs.flags
        every = _wrong(flags.annotations, inputs.truth)
        flagged = flags.annotations.filter(pa.array(flags.flagged))
        found = _wrong(flagged, inputs.truth)
        return TaskResult(
            {
                "flag_precision": found / flagged.num_rows if flagged.num_rows else None,
                "flag_recall": found / every if every else None,
            }
        )


def _wrong(annotations: pa.Table, truth: pa.Table) -> int:
    """How many annotations are wrong."""
    return int((~join_truth(annotations, truth).correct).sum()) if annotations.num_rows else 0
