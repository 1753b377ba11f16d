"""Round records that are valid whatever a test changes in them."""

from orchestrator.state.records import PHASES, Counts, RoundRecord, Timings
from support.hcot import HCOT


def timings(seconds: float = 1.0) -> Timings:
    return Timings(
        startup_s=0, **{f"{phase}_s": seconds for phase in PHASES}, total_s=6 * seconds + 0.5, unaccounted_s=0.5
    )


def record(round_: int = 1, **changes) -> RoundRecord:
    values = {
        "round": round_,
        "run_id": "default-20260101T000000Z",
        "corpus_version": round_,
        "corpus_digest": "d" * 64,
        "weights_sha256": "a" * 64,
        "schema_sha256": HCOT.digest,
        "seed": 0,
        "tracking_id": "f" * 32,
        "world_size": 2,
        "counts": Counts(scored=100, flagged=20, regenerated=19, accepted=12, rejected=7, invalid=1),
        "metrics": {"annotation_accuracy": 0.91},
        "accuracy_by_clause": {"terrain": 0.9},
        "timings": timings(),
    }
    return RoundRecord(**{**values, **changes})
