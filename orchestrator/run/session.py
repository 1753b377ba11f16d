"""A running loop: its cluster, actors, corpus and tracking. Each method is one step of the algorithm."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import ray

from actors.captioner.deployment import replicas_of
from actors.captioner.factory import Captioner, make_captioner
from actors.captioner.labelling import ask, write_questions
from actors.captioner.native import PublishReceipt
from actors.data.reservation import Reservation
from actors.evaluator import Evaluator, rows_of
from actors.scorer.scorer import Scores, score_tiles
from actors.trainer.group import TrainerGroup
from actors.trainer.orders import RoundResult
from actors.weights import copy_weights, create_weights
from benchmark.base import EvaluationInputs, HeldOutTiles, TaskResult
from corpus.storage.disk import DiskFull, is_disk_full
from corpus.storage.lock import LeaseLost
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import doubtful_clauses
from hcot_llm.aggregation.held_out_likelihood import seed_log_likelihood
from hcot_llm.aggregation.label_noise import TRAINED, UNTRAINED
from hcot_llm.aggregation.relabel import Proposals, Settlement, current_confidence, settle
from hcot_llm.schema.clauses import CLAUSES
from orchestrator.cluster.capacity import capacity_of
from orchestrator.cluster.connect import leave, start_cluster
from orchestrator.cluster.disk_space import why_ray_waits
from orchestrator.cluster.pending import pending_demand
from orchestrator.cluster.requirements import beside_training
from orchestrator.config.schema import RunConfig, flatten
from orchestrator.data.annotation_history import CorpusKeeper, CorpusState, select
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.monitoring.memory import MemorySampler
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.status import write_now
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.policies.folds import Findings, Fold
from orchestrator.policies.retention import CHAMPION_METRIC, plan_retention
from orchestrator.policies.schedule import Phase, Schedule
from orchestrator.policies.selection import most_doubtful
from orchestrator.report.figures import draw_accuracy, draw_gallery, draw_losses, draw_times, gallery_tile_ids
from orchestrator.run.round_recorder import RoundContext
from orchestrator.state.deletion import carry_out, find_leftovers
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.loss_history import read_losses, write_losses
from orchestrator.state.records import (
    RoundRecord,
    SeedSummary,
    is_over,
    read_records,
    read_seed_summary,
    write_seed_summary,
)
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.mlflow import Tracker

_CAPTIONER_PATIENCE_S, _TRAINERS_PATIENCE_S = 10.0, 10.0


class Session:
    """Everything a run holds while it runs. Use as a context manager: leaving it lets go of all actors."""

    def __init__(
        self, config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus, progress: Progress
    ) -> None:
        self.config, self.directory, self.prepared, self.progress = config, directory, prepared, progress
        self.records: list[RoundRecord] = []
        self.schedule = Schedule(config.schedule, config.train, config.acceptance)
        self.keeper = CorpusKeeper(config, directory)
        self.lease = LeaseKeeper(directory)
        self.tracker = Tracker(
            directory.path, experiment=config.name, run_name=directory.run_id, check=self.lease.check
        )
        self.trainer: TrainerGroup | None = None
        self.captioner: Captioner | None = None
        self.evaluator = None
        self._reservation: Reservation | None = None
        self.startup_s = 0.0
        self._memory = MemorySampler(directory)
        self.watchdog = Watchdog(
            config.watchdog,
            self._what_is_waited_for,
            self._warn_of_stall,
            exit_after_s=config.cluster.grace_period_s + 90,
        )

    def __enter__(self) -> "Session":
        self.lease.acquire()
        try:
            # Read after the lease is taken: another driver may have recorded rounds until then.
            self.records = read_records(self.directory.path)
            self._memory.start()
            self.tracker.start(flatten(self.config))
            self.watchdog.start()
        except BaseException as error:  # Python calls __exit__ only of what was entered
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        status = "KILLED" if interrupted else "FAILED" if error is not None else "FINISHED"
        try:
            with ExitStack() as steps:  # the last one first, and each of them whatever becomes of the others
                steps.callback(self.watchdog.stop)  # until then it ends a process that does not come to its end
                steps.callback(self.lease.release)
                steps.callback(self._say_ended)
                steps.callback(leave)
                steps.callback(self._memory.stop)
                if self._reservation is not None:
                    steps.callback(lambda: self._reservation.close(cancel=self._is_ours()))
                if self.captioner is not None:
                    steps.callback(self.captioner.shutdown if error is None else self._let_captioner_go)
                if self.trainer is not None and error is None:
                    steps.callback(self.trainer.close)
                elif self.trainer is not None and not interrupted:
                    steps.callback(self.trainer.let_go, _TRAINERS_PATIENCE_S)
                steps.callback(self.tracker.finish, status)
                if self.trainer is not None and interrupted:
                    steps.callback(self.trainer.stop, self.config.cluster.grace_period_s)
        except Exception as trouble:
            # The run's own error is the one to be raised; that what ended it is still so is no news.
            if error is None or (interrupted and isinstance(trouble, (DiskFull, LeaseLost))):
                raise
            if type(trouble) is not type(error) and not (isinstance(trouble, DiskFull) and is_disk_full(error)):
                self._say(f"The run did not come to a clean end: {type(trouble).__name__}: {trouble}")

    def _let_captioner_go(self) -> None:
        """After an error, which is the one to be raised; Ray may be what failed, and may answer no more.

        A driver that has taken over has a captioner of the same name on the same cluster.
        """
        if not self._is_ours():
            return

        def let_go() -> None:
            try:
                self.captioner.shutdown(wait=False)
            except Exception as trouble:
                self._say(f"The captioner was not shut down: {trouble}")

        thread = threading.Thread(target=let_go, name="captioner's end", daemon=True)
        thread.start()
        thread.join(_CAPTIONER_PATIENCE_S)

    def _say_ended(self) -> None:
        """Unless another driver has taken over: the directory is its own then."""
        if self._is_ours():
            write_now(self.directory, "ended")

    def _is_ours(self) -> bool:
        try:
            self.lease.check()
        except LeaseLost:
            return False
        return True

    @contextmanager
    def startup(self):
        """Start-up is paid once a run; its time is entered in the first round's record."""
        begun = time.monotonic()
        self.progress.phase("start-up")
        write_now(self.directory, "start-up")
        with self.watchdog.phase("start-up"):
            yield
        self.startup_s = time.monotonic() - begun

    @property
    def last_round(self) -> int:
        return self.records[-1].round if self.records else 0

    def remaining_rounds(self) -> Iterator[int]:
        """Rounds after the last recorded one, until all are recorded or the schedule ends the run."""
        while not is_over(self.records, self.config.rounds):
            yield self.last_round + 1

    def open_corpus(self) -> CorpusState:
        """Connect to the cluster and open the corpus as the last recorded round left it."""
        start_cluster(self.config)
        digest = self.records[-1].corpus_digest if self.records else None
        return self.keeper.open(self.prepared, self.last_round, digest)

    def start_actors(self, corpus: CorpusState) -> None:
        """Start trainer, captioner and evaluator. The captioner goes on starting while the first round trains."""
        config, directory = self.config, self.directory
        start = directory.weights(0)
        if not start.exists():
            if config.start_weights is not None:
                copy_weights(config.start_weights, start, directory.writer)
            else:
                create_weights(start, config.model, derive_seed(config.seed, "weights"), directory.writer)
        prompt = {"feedback": config.captioner.feedback_in_prompt, "levels": config.captioner.levels_in_prompt}
        # Runs of one name may lie in several places.
        owner = f"{directory.run_id}-{derive_seed(str(directory.path.resolve())) % 2**32:08x}"
        if config.train.min_workers < config.train.most_workers:
            self._reservation = Reservation(
                owner, lambda: beside_training(config, replicas_of(owner), capacity_of(ray.nodes()).total)
            )
        self.trainer = TrainerGroup(
            config.train,
            run_seed=config.seed,
            run_dir=directory.path,
            start_dir=start,
            writer=directory.writer,
            **prompt,
        )
        self.evaluator = Evaluator.remote(
            None if self.prepared.truth_dir is None else str(self.prepared.truth_dir), config.evaluation.tasks
        )
        self._write_seed_summary(corpus)
        self.trainer.wait_until_ready()
        self.captioner = make_captioner(config.captioner, start, self.prepared.tiles, self.prepared.corpus_dir, owner)

    @contextmanager
    def round(self, number: int):
        """One round: phases are timed, and the record is written last."""
        context = RoundContext(self, number)
        with self.tracker.round(number) as child:
            context.child = child
            yield context
            self.records.append(context.finish())
        self.startup_s = 0.0
        self.retain()

    def moved(self, done: int, total: int, speed: str = "tiles") -> None:
        """The phase has come this far: for whoever looks, and for the watchdog."""
        self.progress.advance(done, total, speed)
        self.watchdog.moved((done, total))

    def retain(self) -> None:
        """Delete what the retention policy lets go, now that a round is recorded; MLflow is told first."""
        plan = plan_retention(self.records, find_leftovers(self.directory), self.config.retention)
        self.tracker.log_tags({"knowlip.champion_round": str(plan.champion)})
        carry_out(plan, self.directory, tell=self.tracker.log_deletion)

    def _what_is_waited_for(self) -> str:
        return f"{pending_demand()}{why_ray_waits(self.config)}"

    def _warn_of_stall(self, said: str) -> None:
        self._say(f"Warning: {said}")
        try:
            self.tracker.log_tags({"knowlip.stalled": said})
        except Exception as error:  # the watchdog's thread has to go on; the loop meets the same where it writes
            self._say(f"MLflow was not told: {error}")

    def _say(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def train(self, corpus: CorpusState, fold: Fold, round_: int, on_progress=None) -> RoundResult:
        """Train a fold's model on the tiles that it may see."""
        plan = self.schedule.plan(round_)
        return self.trainer.train(
            round_,
            corpus.blocks[fold.number],
            self.directory.weights(round_, fold.number),
            fold=fold.number,
            from_scratch=plan.from_scratch,
            epochs=plan.epochs,
            label_accuracy=corpus.label_accuracy,
            on_progress=on_progress,
        )

    def publish(self, fold: Fold, round_: int, weights: RoundResult) -> PublishReceipt:
        """Have the captioner serve what was trained, and prove it."""
        return self.captioner.publish(self.directory.weights(round_, fold.number), weights.weights_sha256)

    def score(self, corpus: CorpusState, fold: Fold, round_: int) -> Scores:
        """The encoder's feedback on the tiles of `fold.scored`; held-out ones calibrate and are evaluated."""
        return score_tiles(
            corpus.images,
            select(corpus.annotations, fold.scored),
            self.directory.weights(round_, fold.number),
            self.config.score,
            on_progress=self.moved,
        )

    def find_doubtful(
        self, corpus: CorpusState, fold: Fold, scores: Scores, round_: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Doubtful clauses and those of them to write again now, bool [tiles of `fold.scored`, 16] each.

        Held-out tiles are asked about as well, to calibrate the captioner.
        """
        plan = self.schedule.plan(round_)
        labels = fold.labels[fold.scored]
        nothing = np.zeros((len(labels), len(CLAUSES)), dtype=bool)
        if plan.phase is Phase.TRAIN:
            return nothing, nothing
        confidence = current_confidence(
            scores.feedback,
            select(corpus.annotations, fold.scored),
            select(corpus.seed, fold.scored),
            ~labels,
            self.config.acceptance,
        )
        doubtful = doubtful_clauses(scores.feedback, confidence, self.config.flag)
        if plan.phase is Phase.FLAG:
            return doubtful, nothing
        if plan.regenerated_share == 1:
            return doubtful, doubtful
        return doubtful, most_doubtful(doubtful, confidence, labels, plan.regenerated_share)

    def relabel(
        self, corpus: CorpusState, fold: Fold, scores: Scores, asked: np.ndarray, round_: int, on_progress=None
    ) -> Proposals:
        """The captioner's answers on the clauses to write again; it serves the fold's weights."""
        settings, annotations = self.config.captioner, select(corpus.annotations, fold.scored)
        questions = write_questions(
            asked,
            annotations,
            scores.feedback,
            self.prepared.knowledge,
            self.prepared.gsd_m,
            run_seed=self.config.seed,
            round_=round_,
            use_feedback=settings.feedback_in_prompt,
            levels=settings.levels_in_prompt,
        )
        return ask(
            questions,
            self.captioner,
            corpus.image_index,
            annotations,
            self.directory.shards(round_),
            tiles_per_shard=settings.tiles_per_shard,
            candidates=settings.candidates,
            retry=settings.retry,
            corrections=settings.corrections,
            in_flight=2 * settings.max_replicas,
            on_progress=on_progress,
            writer=self.directory.writer,
        )

    def settle(self, corpus: CorpusState, findings: Findings, round_: int) -> Settlement:
        """Accept what the evidence says is better; keep the rest."""
        margin = self.schedule.plan(round_).acceptance_margin
        return settle(
            findings.feedback,
            corpus.annotations,
            corpus.seed,
            findings.proposals,
            ~corpus.in_training,
            self.config.acceptance.model_copy(update={"minimum_margin": margin}),
            captioner=TRAINED if self.config.captioner.chain is None else UNTRAINED,
        )

    def refresh(self, corpus: CorpusState, settlement: Settlement, findings: Findings, round_: int) -> CorpusState:
        """Commit the annotations and shuffle them for the next round."""
        self.lease.check()
        return self.keeper.refresh(corpus, settlement, findings, round_)

    def evaluate(self, corpus: CorpusState, findings: Findings, round_: int) -> TaskResult:
        """Numbers for the record. The only place where truth is looked at.

        Of the models the published one is evaluated, alone.
        """
        first = findings.first
        held_out = ~corpus.in_training[first.fold.scored]
        unseen = {clause: array[held_out] for clause, array in first.feedback.zero_shot.items()}
        inputs = EvaluationInputs(
            current=rows_of(corpus.training),
            initial=rows_of(corpus.training_seed),
            loss_mask=corpus.taught.ravel(),
            held_out_tiles=HeldOutTiles(
                tile_ids=[first.feedback.tile_ids[row] for row in np.flatnonzero(held_out)],
                zero_shot=unseen,
                image_embeddings=first.image_embeddings[held_out],
                weights_dir=self.directory.weights(round_),
            ),
        )
        result: TaskResult = ray.get(self.evaluator.evaluate.remote(inputs))
        likelihood = seed_log_likelihood(
            unseen, select(corpus.seed, first.fold.scored & ~corpus.in_training), self.config.acceptance
        )
        return replace(result, metrics={**result.metrics, CHAMPION_METRIC: likelihood})

    def draw(self, corpus: CorpusState, context: RoundContext) -> list[Path]:
        """The pictures after a round."""
        self.lease.check()
        figures, seed = self.directory.figures, read_seed_summary(self.directory.path)
        tile_ids = gallery_tile_ids(corpus)
        truth = ray.get(self.evaluator.truth_for_pictures.remote(tile_ids))
        paths = [draw_gallery(corpus, tile_ids, truth, context.number, figures / "gallery.png")]
        if context.losses:
            write_losses(self.directory, context.number, context.losses)
            paths.append(draw_losses(read_losses(self.directory, context.number), figures / "losses.png"))
        if seed.accuracy_by_clause:
            rounds = [record.accuracy_by_clause for record in self.records] + [context.accuracy_by_clause]
            paths.append(draw_accuracy(seed.accuracy_by_clause, rounds, figures / "accuracy_by_clause.png"))
        return paths

    def summarise(self) -> None:
        """What can be drawn only when all rounds are over."""
        if self.records:
            path = draw_times(
                [record.timings.model_dump() for record in self.records], self.directory.figures / "time_per_phase.png"
            )
            self.tracker.log_files(None, sorted(path.parent.glob("*.png")), "figures")

    def _write_seed_summary(self, corpus: CorpusState) -> None:
        rows = rows_of(corpus.training_seed)
        seed: TaskResult = ray.get(
            self.evaluator.evaluate.remote(EvaluationInputs(current=rows, initial=rows), ["annotation_accuracy"])
        )
        write_seed_summary(
            self.directory,
            SeedSummary(
                annotation_accuracy=seed.metrics["annotation_accuracy"],
                accuracy_by_clause=dict(seed.accuracy_by_clause) or None,
                tiles=len(corpus.annotations),
                quarantined=self.prepared.quarantined,
                simulated=self.prepared.simulated,
            ),
        )
