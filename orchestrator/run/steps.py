"""The steps of a round. Each one enters its own phase, gets what it needs by argument, and returns what it came to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import ray

from actors.captioner.base import Captioner, PublishReceipt
from actors.captioner.labelling import ask, write_questions
from actors.evaluator import rows_of
from actors.scorer.pool import ScorerPool, Scores
from actors.trainer.channel import RoundResult
from actors.trainer.group import TrainerGroup
from benchmark.base import EvaluationInputs, Flags, HeldOutTiles, TaskResult
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import flagged_clauses
from hcot_llm.aggregation.held_out_likelihood import held_out_log_likelihood
from hcot_llm.aggregation.matrix import select
from hcot_llm.aggregation.relabel import LabelUpdate, Proposals, current_confidence, update_labels
from hcot_llm.aggregation.workers import Workers
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_history import next_corpus
from orchestrator.data.corpus_state import CorpusState
from orchestrator.data.round_evidence import evidence_of
from orchestrator.data.training_sets import schedule_of
from orchestrator.policies.folds import Findings, Fold, FoldFindings, join_findings
from orchestrator.policies.retention import CHAMPION_METRIC, plan_retention
from orchestrator.policies.schedule import Phase
from orchestrator.policies.selection import choose_queried
from orchestrator.report.figures import draw_round, gallery_tile_ids
from orchestrator.run.actors import Actors, EvaluatorHandle, started_from
from orchestrator.run.round import Evaluation, Round
from orchestrator.state.deletion import carry_out, find_leftovers
from orchestrator.state.evidence import write_evidence
from orchestrator.state.records import InitialSummary, RoundRecord, write_initial_summary
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.trained import keep_trained, read_trained
from orchestrator.tracking.base import Tracker


def train(round_: Round, corpus: CorpusState, fold: Fold, trainer: TrainerGroup) -> RoundResult:
    """Train a fold's model on the tiles that it may see, or wait for the training that `train_beside` has begun.

    A driver before this one may have published the weights already, and begun the next training.
    """
    with round_.phase("train"):
        if (trained := read_trained(round_.directory, round_.number, fold.number)) is not None:
            return trained
        training_set = corpus.training_set(round_.number)
        return trainer.train(
            round_.number,
            training_set.rows[fold.number],
            round_.weights(fold),
            fold=fold.number,
            from_scratch=round_.plan.from_scratch,
            epochs=round_.plan.epochs,
            label_accuracy=training_set.label_accuracy,
            on_progress=round_.phases.step_trained,
            on_losses=lambda losses: round_.phases.losses_trained(fold.number, losses),
        )


def publish(round_: Round, fold: Fold, weights: RoundResult, actors: Actors) -> PublishReceipt:
    """Have the captioner serve the trained weights, and prove that it does. Who uses them next loads meanwhile."""
    with round_.phase("publish"):
        actors.scorers.prepare(round_.weights(fold))
        actors.evaluator.prepare.remote()
        return actors.captioner.publish(round_.weights(fold), weights.weights_sha256)


def train_beside(round_: Round, corpus: CorpusState, fold: Fold, trained: RoundResult, trainer: TrainerGroup) -> None:
    """Begin the training that goes on while this fold's labels are written, where the schedule has one.

    What has been trained is written down before: the trainer's own state moves on.
    """
    schedule = schedule_of(round_.config)
    beside = schedule.training_beside(round_.number, fold.number, round_.config.rounds)
    if beside is None:
        return
    keep_trained(round_.directory, trained)
    number, next_fold = beside
    plan, training_set = schedule.plan(number), corpus.training_set(number)
    trainer.begin(
        number,
        training_set.rows[next_fold],
        round_.directory.weights(number, next_fold),
        fold=next_fold,
        from_scratch=plan.from_scratch,
        epochs=plan.epochs,
        label_accuracy=training_set.label_accuracy,
    )


def score(round_: Round, corpus: CorpusState, fold: Fold, scorers: ScorerPool) -> Scores:
    """Score every clause of the tiles in `fold.scored` with the fold's encoder.

    Tiles that are held out of training are scored as well: label sources are calibrated and evaluated on them. Their
    embeddings are all that are kept.
    """
    with round_.phase("score"):
        scores = scorers.score(
            corpus.images,
            select(corpus.annotations, fold.scored),
            round_.weights(fold),
            leave_one_out=round_.config.flag.leave_one_out,
            seed=derive_seed(round_.config.seed, round_.number, fold.number, "neighbours"),
            on_progress=round_.phases.tiles_done,
        )
        return replace(scores, image_embeddings=scores.image_embeddings[~corpus.in_training[fold.scored]])


def find_flagged(
    round_: Round, corpus: CorpusState, fold: Fold, scores: Scores, workers: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """Flag the clauses that the encoder doubts, and choose those of them to query the captioner about.

    The scoring actors are the workers that weigh, see `aggregate`.

    Held-out tiles are queried as well, because the captioner is calibrated on them.

    Returns:
        (flagged, queried), each bool [tiles in `fold.scored`, clauses].
    """
    plan, config = round_.plan, round_.config
    labels = fold.labels[fold.scored]
    nothing = np.zeros((len(labels), len(config.annotation_schema)), dtype=bool)
    if plan.phase is Phase.TRAIN:
        return nothing, nothing
    with round_.phase("score"):
        annotations, initial = select(corpus.annotations, fold.scored), select(corpus.initial, fold.scored)
        people = None if corpus.people is None else corpus.people.of(fold.scored)
        statistics = None if corpus.statistics is None else corpus.statistics.of(fold.scored)
        acceptance = corpus.acceptance(config.acceptance)
        confidence = current_confidence(
            scores.feedback, annotations, initial, ~labels, acceptance, people, statistics, workers
        )
        flagged = flagged_clauses(scores.feedback, confidence, config.flag)
        if people is not None:
            flagged &= ~people.decided
        if plan.phase is Phase.FLAG:
            return flagged, nothing
        if plan.regenerated_share == 1:
            return flagged, flagged
        return flagged, choose_queried(flagged, confidence, labels, plan.regenerated_share)


def relabel(
    round_: Round, corpus: CorpusState, fold: Fold, scores: Scores, queried: np.ndarray, captioner: Captioner
) -> Proposals:
    """Query the captioner, which serves the fold's weights, about the chosen clauses.

    Args:
        round_: the round.
        corpus: the corpus as it stands.
        fold: the fold whose tiles are queried.
        scores: the encoder's feedback on them.
        queried: bool [tiles in `fold.scored`, clauses].
        captioner: the one that the weights were published to.
    """
    settings, annotations = round_.config.captioner, select(corpus.annotations, fold.scored)
    with round_.phase("label"):
        questions = write_questions(
            queried,
            annotations,
            scores.feedback,
            corpus.prepared.knowledge,
            corpus.image_gsd_m,
            run_seed=round_.config.seed,
            round_=round_.number,
            use_feedback=settings.feedback_in_prompt,
            levels=settings.asks_by_levels,
        )
        return ask(
            questions,
            captioner,
            corpus.image_index,
            annotations,
            round_.directory.shards(round_.number),
            tiles_per_shard=settings.tiles_per_shard,
            candidates=settings.candidates,
            retry=settings.retry,
            corrections=settings.corrections,
            in_flight=settings.shards_in_flight,
            on_progress=round_.phases.response_received,
            writer=round_.directory.writer,
        )


def join(corpus: CorpusState, parts: Sequence[FoldFindings]) -> Findings:
    """Join what the folds' models found on the annotations as they stand."""
    return join_findings(corpus.annotations, parts)


def aggregate(round_: Round, corpus: CorpusState, findings: Findings, workers: Workers) -> LabelUpdate:
    """Weigh all label sources, update the labels where the evidence is better, and write down who said what.

    The scoring actors are the workers that weigh: nothing is scored meanwhile, and they have CPUs reserved.
    """
    acceptance = corpus.acceptance(round_.config.acceptance)
    acceptance = acceptance.model_copy(update={"minimum_margin": round_.plan.acceptance_margin})
    statistics = None if corpus.statistics is None else corpus.statistics.distributions
    with round_.phase("label"):
        update = update_labels(
            findings.feedback,
            corpus.annotations,
            corpus.initial,
            findings.proposals,
            ~corpus.in_training,
            acceptance,
            captioner=round_.config.captioner.prior,
            people=corpus.people,
            statistics=statistics,
            workers=workers,
            remember=lambda rows: evidence_of(findings, rows, corpus.people, statistics),
        )
        evidence = map(workers.get, update.remembered)
        write_evidence(round_.directory.evidence(round_.number), evidence, round_.directory.writer)
        return replace(update, remembered=())


def refresh(round_: Round, corpus: CorpusState, findings: Findings, update: LabelUpdate) -> CorpusState:
    """Commit the updated annotations, and shuffle them for the next round."""
    with round_.phase("refresh"):
        return next_corpus(round_.config, round_.directory, corpus, update, findings, round_.number)


def evaluate(
    round_: Round, corpus: CorpusState, findings: Findings, update: LabelUpdate, evaluator: EvaluatorHandle
) -> Evaluation:
    """Compare annotations and the published model with the truth, where there is one, and draw the round's figures.

    This is the only step that looks at truth. Of several models only the published one, the first fold's, is evaluated.
    """
    first, directory, training = findings.first, round_.directory, corpus.in_training
    held_out = ~corpus.in_training[first.fold.scored]
    unseen = {clause: array[held_out].astype(np.float64) for clause, array in first.feedback.zero_shot.items()}
    with round_.phase("evaluate"):
        inputs = EvaluationInputs(
            schema=corpus.annotations.schema,
            current=rows_of(corpus.training),
            initial=rows_of(corpus.training_initial),
            loss_mask=corpus.loss_mask.ravel(),
            held_out_tiles=HeldOutTiles(
                tile_ids=[
                    tile for tile, is_held_out in zip(first.feedback.tile_ids, held_out, strict=True) if is_held_out
                ],
                zero_shot=unseen,
                image_embeddings=first.image_embeddings,
                weights_dir=directory.weights(round_.number),
                weighed=update.unseen,
            ),
            flagged_clauses=Flags(rows_of(select(findings.annotations, training)), findings.flagged[training].ravel()),
            data_sets=round_.config.judged_data_sets(),
        )
        evaluated: ray.ObjectRef[TaskResult] = evaluator.evaluate.remote(inputs)
        result = ray.get(evaluated)
        likelihood = held_out_log_likelihood(
            unseen, select(corpus.initial, first.fold.scored & ~corpus.in_training), round_.config.acceptance
        )
        tile_ids = gallery_tile_ids(corpus)
        truth: ray.ObjectRef[dict[str, dict[str, str]] | None] = evaluator.truth_for_pictures.remote(tile_ids)
        directory.writer.check()
        figures = draw_round(directory, corpus, round_.number, result.accuracy_by_clause, tile_ids, ray.get(truth))
        metrics = {**result.metrics, CHAMPION_METRIC: likelihood}
        return Evaluation(metrics, dict(result.accuracy_by_clause), figures)


def summarise_initial(directory: RunDirectory, corpus: CorpusState, evaluator: EvaluatorHandle) -> InitialSummary:
    """Write what the run starts from: the accuracy of the initial annotations, where there is truth, and the tiles."""
    rows = rows_of(corpus.training_initial)
    inputs = EvaluationInputs(corpus.annotations.schema, rows, rows)
    evaluated: ray.ObjectRef[TaskResult] = evaluator.evaluate.remote(inputs, ["annotation_accuracy"])
    found = ray.get(evaluated)
    summary = InitialSummary(
        annotation_accuracy=found.metrics["annotation_accuracy"],
        accuracy_by_clause=dict(found.accuracy_by_clause) or None,
        metrics=dict(found.metrics),
        tiles=len(corpus.annotations),
        quarantined=corpus.prepared.quarantined,
        simulated=corpus.prepared.simulated,
        pretrained=started_from(directory),
    )
    write_initial_summary(directory, summary)
    return summary


def retain(directory: RunDirectory, records: Sequence[RoundRecord], config: RunConfig, tracker: Tracker) -> None:
    """Delete the files that the retention policy lets go, now that a round is recorded; the tracker is told first."""
    plan = plan_retention(records, find_leftovers(directory), config.retention)
    tracker.log_tags({"knowlip.champion_round": str(plan.champion)})
    held_out = records[-1].metrics.get(CHAMPION_METRIC) if records else None
    if held_out is not None and plan.champion == records[-1].round:
        tracker.log_champion(records[-1].round, held_out)
    carry_out(plan, directory, tell=tracker.log_deletion)
