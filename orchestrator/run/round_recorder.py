"""Collects what one round came to, phase by phase, and writes its record last."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from actors.captioner.native import PublishReceipt
from actors.scorer.scorer import Scores
from actors.trainer.orders import RoundResult
from benchmark.base import TaskResult
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.relabel import Proposals, Settlement
from orchestrator.data.annotation_history import CorpusState
from orchestrator.monitoring.status import write_now
from orchestrator.policies.folds import Findings, Fold, FoldFindings, join_findings
from orchestrator.state.records import Counts, PhaseClock, RoundRecord, write_record

if TYPE_CHECKING:
    from orchestrator.run.session import Session


class RoundContext:
    """What the loop calls `this`: phases, progress, and the facts of the record."""

    def __init__(self, session: "Session", number: int) -> None:
        self._session, self.number = session, number
        self._clock = PhaseClock(startup_s=session.startup_s)
        self.child = None
        self._trained: list[RoundResult] = []
        self._parts: list[FoldFindings] = []
        self._corpus: CorpusState | None = None
        self._counts: Counts | None = None
        self._evaluation = TaskResult({})
        self._metrics: dict[str, float] = {}
        self._responses = 0
        self._captioner = "native"

    @contextmanager
    def phase(self, name: str):
        """Time a phase by wall clock and show it."""
        self._session.progress.phase(name, self.number, self._session.config.rounds)
        self._session.lease.check()
        with self._clock.phase(name), self._session.watchdog.phase(name, self.number):
            write_now(self._session.directory, name, self.number)
            yield

    def training_progress(self, progress: dict) -> None:
        if progress.get("round") == self.number:
            self._session.watchdog.moved(("step", progress["step"]))
            self._session.progress.advance(
                progress["step"],
                progress["steps"],
                f"{progress['tiles_per_s']:.0f} tiles/s, loss {progress['total']:.2f}",
            )

    def labelling_progress(self, done: int, total: int) -> None:
        """Called after every response; one that ends no tile is a sign of life as well."""
        self._responses += 1
        self._session.progress.advance(done, total, "tiles")
        self._session.watchdog.moved(("response", self._responses))

    def trained(self, result: RoundResult) -> None:
        self._trained.append(result)
        # Steps of different models are different curves.
        suffix = f"_fold_{result.fold}" if result.fold else ""
        self._session.tracker.log_losses(
            self.child,
            [
                {name if name == "step" else f"{name}{suffix}": value for name, value in losses.items()}
                for losses in result.losses
            ],
        )

    def published(self, receipt: PublishReceipt) -> None:
        self._captioner = receipt.captioner
        if receipt.largest_difference is not None:
            largest = max(self._metrics.get("probe_largest_difference", 0.0), receipt.largest_difference)
            self._metrics["probe_largest_difference"] = largest

    def found(self, fold: Fold, scores: Scores, doubtful: np.ndarray, asked: np.ndarray, proposals: Proposals) -> None:
        """Keep what the fold's model, trained last, said of its tiles."""
        self._parts.append(
            FoldFindings(
                fold,
                self._trained[-1].weights_sha256,
                scores.feedback,
                scores.image_embeddings,
                doubtful,
                asked,
                proposals,
            )
        )

    def findings(self, corpus: CorpusState) -> Findings:
        """What all folds' models said."""
        return join_findings(corpus.annotations.tile_ids, self._parts)

    def settled(self, corpus: CorpusState, findings: Findings, settlement: Settlement) -> None:
        """Count what happened to the clauses of training tiles."""
        training, doubtful, proposals = corpus.in_training, findings.doubtful, findings.proposals
        self._counts = Counts(
            scored=int(doubtful[training].size),
            flagged=int(doubtful[training].sum()),
            regenerated=int((proposals.proposed[training] != NOT_PROPOSED).any(axis=-1).sum()),
            accepted=int(settlement.accepted.sum()),
            rejected=int(settlement.rejected.sum()),
            invalid=sum(proposals.invalid.values()),
        )
        self._metrics.update({f"invalid_{reason}": count for reason, count in proposals.invalid.items()})
        self._metrics.update(retried=proposals.retried, recovered=proposals.recovered)
        if proposals.injected:
            self._metrics["poison_injected"] = sum(proposals.injected.values())
        self._metrics["targets_wrong_share"], self._metrics["tile_wrong_share"] = (
            float(share) for share in settlement.wholly_wrong[training].mean(axis=0)
        )
        self._metrics["sharpness"] = settlement.sharpness
        for clause, exponents in settlement.exponents.items():
            for model, exponent in zip(settlement.models, exponents, strict=True):
                self._metrics[f"belief_{model}_{clause}"] = exponent

    def refreshed(self, corpus: CorpusState) -> None:
        self._corpus = corpus
        self._metrics["trusted_share"] = float(corpus.taught.mean())

    def evaluated(self, evaluation: TaskResult) -> None:
        """Keep the numbers, and draw and track what they show; still inside the phase, so that it is timed."""
        self._evaluation = evaluation
        session, weights = self._session, self._session.directory.weights(self.number)
        session.tracker.log_files(self.child, session.draw(self._corpus, self), "figures")
        session.tracker.log_corpus(self.child, session.directory.annotations, self._corpus.version, self._corpus.digest)
        session.tracker.log_checkpoint(self.child, weights, self._trained[0].weights_sha256)

    @property
    def losses(self) -> list[dict[str, float]]:
        """Of the published model."""
        return self._trained[0].losses

    @property
    def accuracy_by_clause(self) -> dict[str, float]:
        return dict(self._evaluation.accuracy_by_clause)

    def finish(self) -> RoundRecord:
        """Write the record, after everything else of the round."""
        session, trained, corpus = self._session, self._trained[0], self._corpus
        metrics = {**self._metrics, **self._evaluation.metrics}
        if trained.losses:
            metrics.update(
                {f"final_{name}_loss": value for name, value in trained.losses[-1].items() if name != "step"}
            )
        record = RoundRecord(
            round=self.number,
            run_id=session.directory.run_id,
            corpus_version=corpus.version,
            corpus_digest=corpus.digest,
            weights_sha256=trained.weights_sha256,
            fold_weights_sha256=tuple(result.weights_sha256 for result in self._trained[1:]),
            captioner=self._captioner,
            seed=session.config.seed,
            mlflow_run_id=self.child.run_id,
            world_size=trained.world_size,
            counts=self._counts,
            metrics=metrics,
            accuracy_by_clause=self.accuracy_by_clause or None,
            timings=self._clock.timings(),
            end=session.schedule.why_end(self.number, self._counts) if self.number < session.config.rounds else None,
        )
        session.tracker.log_record(self.child, record)
        write_record(session.directory, record)
        session.progress.round_done(record)
        return record
