"""How right the annotations are on tiles with a rare value of a clause whose rarity counts, and on the others."""

import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.accuracy import annotation_accuracy
from benchmark.metrics.rarity import rare_tiles
from corpus.storage.arrow import compute as pc


class RareTiles:
    """Number of tiles with a rare value; accuracy on them and on the others, of all clauses and by group."""

    needs = frozenset({Need.TRUTH})
    metrics = ()

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the current annotations with the truth, rare and common tiles apart; nothing where none is rare."""
        clauses = [clause.name for clause in inputs.schema.clauses if clause.rarity]
        rare = rare_tiles(inputs.truth, clauses, inputs.current["tile_id"].to_pylist())
        if not rare:
            return TaskResult({})
        is_rare = pc.is_in(inputs.current["tile_id"], pa.array(sorted(rare)))
        found: dict[str, float | None] = {"rare_tiles": len(rare)}
        for name, where in (("rare", is_rare), ("common", pc.invert(is_rare))):
            report = annotation_accuracy(
                inputs.current.filter(where), inputs.truth, inputs.schema.group, inputs.schema.absence
            )
            found |= {
                f"annotation_accuracy_{name}": report.overall,
                **{f"annotation_accuracy_{name}_{group}": value for group, value in report.by_group.items()},
            }
        return TaskResult(found)
