"""Which chart a number is shown on: few headlines in the first group, all else below `detail/`.

MLflow makes a group of charts of what a name has before its last slash, and sorts the groups by their names. Names
without a slash come after all of them.
"""

from collections.abc import Mapping

from orchestrator.state.records import InitialSummary, RoundRecord

HEADLINES = (
    "annotation_accuracy",
    "annotation_kappa",
    "false_repair_rate",
    "expected_calibration_error",
    "flag_precision",
    "held_out_log_likelihood",
    "accepted_share",
    "seconds",
)
"""Is it improving, does it break anything, and what does it take: names of numbers in the first group."""
GLANCE = "at a glance/"
DETAIL = "detail/"
SYSTEM = "system/"
"""MLflow shows these on a tab of their own."""
LOSS, COUNT, TIME, CPU, SPEED = (f"{DETAIL}{name}/" for name in ("loss", "count", "time", "cpu", "speed"))
# Losses of a step are told while it is trained; a worker group of another size comes to others in the last digits.
_FIRST_STANDS = (LOSS, TIME, CPU, SPEED, f"{DETAIL}memory/", SYSTEM, f"{GLANCE}seconds")
# Families of which a run has dozens: each is a group of charts.
_FAMILIES = {
    "annotation_accuracy_": "accuracy of a share/",
    "source_weight_captioner_": "weight of the captioner/",
    "source_weight_encoder_": "weight of the encoder/",
    "source_weight_": "weight of other sources/",
    "final_": "loss at the end/",
}


def chart(name: str) -> str:
    """The name under which a metric of a round is shown."""
    if name in HEADLINES:
        return f"{GLANCE}{name}"
    family = next((each for each in _FAMILIES if name.startswith(each)), None)
    return f"{DETAIL}{name}" if family is None else f"{DETAIL}{_FAMILIES[family]}{name.removeprefix(family)}"


def is_measured(name: str) -> bool:
    """Whether a number is a measurement, which a round that runs again gets another value of."""
    return first_stands(name) and not name.startswith(LOSS)


def first_stands(name: str) -> bool:
    """Whether the first value that is told of a step counts, and later ones are left out."""
    return name.startswith(_FIRST_STANDS)


def of_record(record: RoundRecord) -> dict[str, float]:
    """All numbers of a round by the name of their chart; those that are unknown are left out."""
    counts, timings = record.counts, record.timings
    values = {chart(name): value for name, value in record.metrics.items() if value is not None}
    if counts.regenerated:
        values[chart("accepted_share")] = counts.accepted / counts.regenerated
    values[chart("seconds")] = timings.total_s
    values |= {f"{COUNT}{name}": value for name, value in counts.model_dump().items()}
    values |= {f"{TIME}{name}": value for name, value in timings.model_dump().items()}
    if record.trained_ahead_s:
        values[f"{TIME}trained_ahead_s"] = record.trained_ahead_s
    if record.cpu_s is not None:
        values |= {f"{CPU}{phase}_hours": seconds / 3600 for phase, seconds in record.cpu_s.items()}
        values[f"{CPU}total_hours"] = sum(record.cpu_s.values()) / 3600
    if timings.score_s:
        values[f"{SPEED}scored_clauses_per_s"] = counts.scored / timings.score_s
    if record.trained_tiles and (train_s := timings.train_s + record.trained_ahead_s):
        values[f"{SPEED}trained_tiles_per_s"] = record.trained_tiles / train_s
    if record.generated_tokens and timings.label_s:
        values[f"{SPEED}generated_tokens_per_s"] = record.generated_tokens / timings.label_s
    if timings.label_s:
        values[f"{SPEED}regenerated_clauses_per_s"] = counts.regenerated / timings.label_s
    values |= _by_clause(record.accuracy_by_clause)
    values[f"{DETAIL}world_size"] = record.world_size
    return _headlines_first(values)


def of_initial(summary: InitialSummary) -> dict[str, float]:
    """Step 0 of the charts: what the run starts from. Nothing is repaired or broken yet."""
    known = {name: value for name, value in summary.metrics.items() if value is not None}
    if summary.annotation_accuracy is not None:
        known |= {"annotation_accuracy": summary.annotation_accuracy, "false_repair_rate": 0.0, "true_repair_rate": 0.0}
    return _headlines_first({chart(name): value for name, value in known.items()}) | _by_clause(
        summary.accuracy_by_clause
    )


def _headlines_first(values: Mapping[str, float]) -> dict[str, float]:
    """MLflow's table of metrics has them in the order in which they were told."""
    return dict(sorted(values.items(), key=lambda item: not item[0].startswith(GLANCE)))


def of_usage(values: Mapping[str, float]) -> dict[str, float]:
    """What the run and its machine use, by the name of its chart."""
    return {f"{SYSTEM}{name}": value for name, value in values.items()}


def _by_clause(accuracies: Mapping[str, float | None] | None) -> dict[str, float]:
    return {f"{DETAIL}accuracy/{clause}": value for clause, value in (accuracies or {}).items() if value is not None}
