"""Collects what the steps of one round return, and writes its record last."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from actors.captioner.base import PublishReceipt
from actors.scorer.pool import Scores
from actors.trainer.channel import RoundResult
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.feedback import hint_follow_rates
from hcot_llm.aggregation.relabel import LabelUpdate, Proposals
from hcot_llm.aggregation.wholly_wrong import ways_to_be_wrong
from orchestrator.data.corpus_state import CorpusState
from orchestrator.data.training_targets import TrainingSet
from orchestrator.policies.folds import Findings, Fold, FoldFindings
from orchestrator.policies.retention import CHAMPION_METRIC
from orchestrator.policies.schedule import Schedule
from orchestrator.report.repairs import sample_repairs
from orchestrator.run.round import Evaluation, Round
from orchestrator.state.evidence import read_evidence
from orchestrator.state.loss_history import write_losses
from orchestrator.state.records import Counts, RoundRecord, write_record
from orchestrator.tracking.base import Repair, TrackedRound, Tracker

_log = logging.getLogger(__name__)


class RoundRecorder:
    """Collects a round's results as they come, tracks them, and writes the record.

    Whatever takes time here is counted to the phase of the step whose results they are.

    Args:
        round_: the round.
        schedule: decides whether the run ends after this round.
        tracker: is told of losses, figures, corpus, weights and the record.
        child: the tracker's run of this round.
        earlier: Records of the rounds before.
    """

    def __init__(
        self,
        round_: Round,
        schedule: Schedule,
        tracker: Tracker,
        child: TrackedRound,
        earlier: Sequence[RoundRecord] = (),
    ) -> None:
        self.findings: list[FoldFindings] = []
        self._round, self._schedule, self._earlier = round_, schedule, earlier
        self._tracker, self._child = tracker, child
        self._trained: list[RoundResult] = []
        self._captioner = "native"
        self._metrics: dict[str, float | None] = {}
        self._counts: Counts | None = None
        self._tokens = 0
        self._corpus: CorpusState | None = None
        self._trained_on: TrainingSet | None = None
        self._by_clause: dict[str, float | None] = {}
        self._repairs: list[Repair] = []

    def add_training(self, result: RoundResult) -> None:
        """Take what a fold's training came to."""
        self._trained.append(result)
        with self._round.phase("train"):
            if result.losses and not result.fold:
                write_losses(self._round.directory, self._round.number, result.losses)
            self.add_losses(result.fold, result.losses)

    def add_losses(self, fold: int, losses: Sequence[Mapping[str, float]]) -> None:
        """Track losses of steps, also while a fold is trained. Steps of different folds' models are different curves.

        A tracker enters each step once, so that all of a round may be given again when it is trained.
        """
        suffix = f"_fold_{fold}" if fold else ""
        curves = [
            {name if name == "step" else f"{name}{suffix}": value for name, value in row.items()} for row in losses
        ]
        self._tracker.log_losses(self._child, curves)

    def add_labelling(
        self,
        fold: Fold,
        receipt: PublishReceipt,
        scores: Scores,
        flagged: np.ndarray,
        queried: np.ndarray,
        proposals: Proposals,
    ) -> None:
        """Take what the fold's encoder and captioner found, after `add_training` of the same fold.

        Args:
            fold: whose tiles were labelled.
            receipt: Receipt of the captioner that served the fold's weights.
            scores: the encoder's feedback.
            flagged: bool [tiles in `fold.scored`, clauses].
            queried: bool [tiles in `fold.scored`, clauses].
            proposals: the captioner's answers.
        """
        self._captioner = receipt.captioner
        if receipt.largest_difference is not None:
            largest = max(self._metrics.get("probe_largest_difference") or 0.0, receipt.largest_difference)
            self._metrics["probe_largest_difference"] = largest
        if scores.neighbour_recall is not None:
            least = min(self._metrics.get("neighbour_recall") or 1.0, scores.neighbour_recall)
            self._metrics["neighbour_recall"] = least
        self.findings.append(
            FoldFindings(
                fold,
                self._trained[-1].weights_sha256,
                scores.feedback,
                scores.image_embeddings,
                flagged,
                queried,
                proposals,
            )
        )

    def add_update(self, corpus: CorpusState, findings: Findings, update: LabelUpdate) -> None:
        """Count what the label update did to the clauses of training tiles.

        Args:
            corpus: The corpus as it was before the update.
            findings: Findings of all folds.
            update: the label update.
        """
        self._trained_on = corpus.training_set(self._round.number)
        training, flagged, proposals = corpus.in_training, findings.flagged, findings.proposals
        self._counts = Counts(
            scored=int(flagged[training].size),
            flagged=int(flagged[training].sum()),
            regenerated=int((proposals.proposed[training] != NOT_PROPOSED).any(axis=-1).sum()),
            accepted=int(update.accepted.sum()),
            rejected=int(update.rejected.sum()),
            invalid=sum(proposals.invalid.values()),
        )
        self._metrics.update({f"invalid_{reason}": count for reason, count in proposals.invalid.items()})
        self._tokens = proposals.tokens
        self._metrics.update(retried=proposals.retried, recovered=proposals.recovered)
        if proposals.injected:
            self._metrics["faults_injected"] = sum(proposals.injected.values())
        if self._round.config.captioner.feedback_in_prompt:
            rates = hint_follow_rates(findings.annotations, findings.feedback, proposals.proposed[:, :, 0])
            self._metrics |= dict(zip(("hint_follow_rate", "hint_follow_rate_at_random"), rates, strict=True))
        if corpus.people is not None:
            self._metrics["decided_by_people"] = int(corpus.people.decided.sum())
        wrong = update.wholly_wrong[training].mean(axis=0)
        for way, share in zip(ways_to_be_wrong(update.matrix.schema), wrong, strict=True):
            self._metrics[f"{way}_wrong_share"] = float(share)
        self._metrics["joint_inverse_temperature"] = update.joint_inverse_temperature
        for clause, source_weights in update.source_weights.items():
            for model, source_weight in zip(update.models, source_weights, strict=True):
                self._metrics[f"source_weight_{model}_{clause}"] = source_weight
        with self._round.phase("label"):
            self._repairs = self._some_repairs(corpus, update)

    def _some_repairs(self, corpus: CorpusState, update: LabelUpdate) -> list[Repair]:
        config, number, directory = self._round.config, self._round.number, self._round.directory
        return sample_repairs(
            lambda tile_ids: read_evidence(directory.evidence(number), config.annotation_schema, tile_ids),
            corpus.initial,
            corpus.annotations,
            update.matrix,
            corpus.prepared.tiles,
            corpus.prepared.corpus_dir,
            count=config.tracking.traces,
            seed=derive_seed(config.seed, number, "traces"),
        )

    def add_evaluation(self, corpus: CorpusState, evaluation: Evaluation) -> None:
        """Take the evaluation of the refreshed corpus, and track it with the corpus and the published weights."""
        self._corpus, self._by_clause = corpus, evaluation.by_clause
        self._metrics["training_target_share"] = float(corpus.loss_mask.mean())
        self._metrics.update(evaluation.metrics)
        directory = self._round.directory
        with self._round.phase("evaluate"):
            self._tracker.log_files(self._child, evaluation.figures, "figures")
            self._tracker.log_repairs(self._child, self._repairs)
            table = directory.annotations
            if (before := self._trained_on) is not None:
                self._tracker.log_corpus(self._child, table, before.version, before.digest, "training")
            self._tracker.log_corpus(self._child, table, corpus.version, corpus.digest, "output")
            self._tracker.log_checkpoint(
                self._child, directory.weights(self._round.number), self._trained[0].weights_sha256
            )

    def write(self) -> RoundRecord:
        """Write the record, after everything else of the round.

        Raises:
            LeaseLost: another driver has taken over; nothing was written.
            DiskFull: the record does not fit on the disk; nothing was written.
        """
        record = self._make_record()
        self._tracker.log_record(self._child, record)
        write_record(self._round.directory, record)
        _log.info("round %d is recorded: corpus version %d, %s", record.round, record.corpus_version, record.counts)
        return record

    def _make_record(self) -> RoundRecord:
        round_, published, corpus, counts = self._round, self._trained[0], self._corpus, self._counts
        if corpus is None or counts is None:
            raise RuntimeError(f"round {round_.number} is recorded before its corpus was refreshed and evaluated")
        last = published.losses[-1] if published.losses else {}
        final = {f"final_{name}_loss": value for name, value in last.items() if name != "step"}
        per_step = round_.config.train.micro_batch_tiles * round_.config.train.micro_batches_per_step
        goes_on = round_.number < round_.config.rounds
        return RoundRecord(
            round=round_.number,
            run_id=round_.directory.run_id,
            corpus_version=corpus.version,
            corpus_digest=corpus.digest,
            weights_sha256=published.weights_sha256,
            fold_weights_sha256=tuple(result.weights_sha256 for result in self._trained[1:]),
            captioner=self._captioner,
            schema_sha256=round_.config.annotation_schema.digest,
            seed=round_.config.seed,
            tracking_id=self._child.run_id,
            world_size=published.world_size,
            trained_on_version=None if self._trained_on is None else self._trained_on.version,
            trained_ahead_s=round(sum(result.ahead_s for result in self._trained), 3),
            trained_tiles=per_step * sum(len(result.losses) for result in self._trained),
            generated_tokens=self._tokens,
            counts=counts,
            metrics={**self._metrics, **final},
            accuracy_by_clause=self._by_clause or None,
            timings=round_.clock.timings(),
            cpu_s=round_.clock.cpu_times(),
            end=self._why_end(counts) if goes_on else None,
        )

    def _why_end(self, counts: Counts) -> str | None:
        held_out = [
            *(record.metrics.get(CHAMPION_METRIC) for record in self._earlier),
            self._metrics.get(CHAMPION_METRIC),
        ]
        return self._schedule.why_end(
            self._round.number, counts.regenerated, counts.accepted
        ) or self._schedule.why_flat(held_out)
