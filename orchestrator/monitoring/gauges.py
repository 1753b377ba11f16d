"""What a run does, as gauges that Ray exports to Prometheus with its own: `ray_knowlip_...` at the metrics ports.

Ray's names and tags are kept: a gauge has the tag `run`. Nothing is set while this process is not connected to Ray.
"""

import ray
from ray.util.metrics import Gauge

from orchestrator.state.records import PHASES, RoundRecord

STARTUP = "start-up"
DESCRIPTIONS = {
    "knowlip_phase": "1 for the phase that is under way, 0 for the others",
    "knowlip_round": "number of the round, 0 during start-up",
    "knowlip_rounds": "rounds of the run",
    "knowlip_done": "steps, tiles or questions of the phase that are done",
    "knowlip_total": "steps, tiles or questions of the phase in all",
    "knowlip_training_tiles_per_second": "tiles trained a second by the whole group",
    "knowlip_training_loss": "total loss of the last step",
    "knowlip_accepted_clauses": "clauses that the last recorded round accepted",
    "knowlip_flagged_clauses": "clauses that the last recorded round flagged",
    "knowlip_annotation_accuracy": "annotation accuracy after the last recorded round, where there is truth",
    "knowlip_waits": "1 while nothing moves in the phase and the watchdog has warned of it",
}
"""Of every gauge of a run."""


class RunGauges:
    """The gauges of one run.

    Args:
        run: Name of the run, the tag of all of them.
        rounds: Rounds of the run.
    """

    def __init__(self, run: str, rounds: int) -> None:
        self._run, self._rounds = run, rounds
        self._gauges: dict[str, Gauge] = {}

    def phase(self, name: str, round_: int | None) -> None:
        """A phase begins."""
        for each in (STARTUP, *PHASES):
            self._set("knowlip_phase", float(each == name), phase=each)
        self._set("knowlip_round", round_ or 0)
        self._set("knowlip_rounds", self._rounds)
        self.progress(0, 0)
        self.waits(False)

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done."""
        self._set("knowlip_done", done)
        self._set("knowlip_total", total)

    def trained(self, tiles_per_s: float, loss: float) -> None:
        """A step was trained."""
        self._set("knowlip_training_tiles_per_second", tiles_per_s)
        self._set("knowlip_training_loss", loss)

    def recorded(self, record: RoundRecord) -> None:
        """A round is recorded."""
        self._set("knowlip_accepted_clauses", record.counts.accepted)
        self._set("knowlip_flagged_clauses", record.counts.flagged)
        if (accuracy := record.metrics.get("annotation_accuracy")) is not None:
            self._set("knowlip_annotation_accuracy", accuracy)

    def waits(self, waiting: bool) -> None:
        """Whether something is waited for, by the watchdog's word."""
        self._set("knowlip_waits", float(waiting))

    def _set(self, name: str, value: float, **tags: str) -> None:
        if not ray.is_initialized():
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, DESCRIPTIONS[name], tag_keys=("run", *tags))
        self._gauges[name].set(value, tags={"run": self._run, **tags})
