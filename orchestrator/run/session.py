"""A running loop: the lifetimes of everything that a run holds while it runs."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType

from actors.captioner.base import Captioner
from actors.scorer.pool import ScorerPool
from actors.trainer.group import TrainerGroup
from corpus.storage.lock import LeaseLost
from hcot_llm.prompts.prompts import prompt_sha256, prompt_texts
from orchestrator.cluster.admission import Turn, owner_in_words
from orchestrator.cluster.connect import start_cluster
from orchestrator.cluster.disk_space import why_ray_waits
from orchestrator.cluster.pending import pending_demand
from orchestrator.cluster.requirements import most_processes
from orchestrator.config.load import flatten
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_history import open_corpus
from orchestrator.data.corpus_state import CorpusState
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.monitoring.gauges import RunGauges
from orchestrator.monitoring.memory import MemorySampler, read_memory
from orchestrator.monitoring.processes import CpuMeter
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.status import WAITING
from orchestrator.monitoring.usage import UsageSampler
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.policies.schedule import Schedule
from orchestrator.report.figures import draw_run
from orchestrator.report.page import write_run_gallery
from orchestrator.run import lifetimes
from orchestrator.run.actors import (
    Actors,
    make_reservation,
    make_trainer,
    owner_of,
    start_captioner,
    start_evaluator,
)
from orchestrator.run.origin import origin_tags
from orchestrator.run.phases import Phases
from orchestrator.run.recorder import RoundRecorder
from orchestrator.run.room import wait_for_room
from orchestrator.run.round import Round
from orchestrator.run.steps import retain, summarise_initial
from orchestrator.state.durable import Durable, RunDirectoryAlone
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import PhaseClock, RoundRecord, check_recorded_schema, is_over, read_records
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import RunStatus
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.charts import of_usage
from orchestrator.tracking.description import Description
from orchestrator.tracking.facts import facts_of
from orchestrator.tracking.registry import make_tracker


class Session:
    """Holds everything of a run while it runs. Leaving the context ends every service.

    Args:
        config: Configuration of the run.
        directory: the run directory.
        prepared: the corpus; None where no round is left to do.
        progress: the console's bars.
        durable: what keeps the run's state beyond its directory.
    """

    def __init__(
        self,
        config: RunConfig,
        directory: RunDirectory,
        prepared: PreparedCorpus | None,
        progress: Progress,
        durable: Durable | None = None,
    ) -> None:
        self.config, self.directory, self.progress = config, directory, progress
        self.durable = durable or RunDirectoryAlone()
        self._prepared = prepared
        self.records: list[RoundRecord] = []
        self.schedule = Schedule(config.schedule, config.train, config.acceptance)
        self.lease = LeaseKeeper(directory)
        self.tracker = make_tracker(
            config.tracking, TrackedRun(directory, config.name, directory.run_id, facts=facts_of(config))
        )
        self._gauges = RunGauges(directory.run_id, config.rounds)
        self._description = Description(config.rounds, str(directory.path))
        self.watchdog = Watchdog(
            config.watchdog,
            self._what_is_waited_for,
            self._warn_of_stall,
            exit_after_s=config.cluster.grace_period_s + 90,
        )
        shared = config.cluster.address is not None
        self._cpu = CpuMeter(shared)
        self._memory = MemorySampler(directory, shared, cpu=self._cpu)
        self._startup_s, self._startup_cpu_s = 0.0, 0.0
        self._ending = lifetimes.Ending()
        # Services end in the reverse order in which they are entered. Actors start last, but end after the tracker,
        # which is told as soon as possible how the run ended. So they have a stack of their own, entered before it.
        self._services, self._actors = ExitStack(), ExitStack()

    def __enter__(self) -> "Session":
        enter = self._services.enter_context
        try:
            enter(lifetimes.watched(self.watchdog))
            enter(lifetimes.leased(self.lease))
            enter(lifetimes.marked_as_ended(self.directory, self._is_ours))
            # Read after the lease is taken: another driver may have recorded rounds until then.
            self.records = read_records(self.directory.path)
            check_recorded_schema(self.directory.path, self.records, self.config.annotation_schema)
            enter(lifetimes.disconnected())
            enter(lifetimes.sampled(self._memory))
            enter(self._actors)
            enter(lifetimes.end_recorded(self.directory, self._ending))
            enter(lifetimes.tracked(self.tracker, self._ending, self._last_words))
            self.tracker.start(flatten(self.config))
            self.tracker.log_prompts(prompt_texts(), prompt_sha256())
            if tags := origin_tags():
                self.tracker.log_tags(tags)
            enter(lifetimes.usage_sampled(self._usage()))
        except BaseException as error:  # Python calls __exit__ only of what was entered
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.error = error
        self.progress.phase("ending")
        try:
            self._services.__exit__(kind, error, trace)
        except Exception as trouble:
            if not self._ending.hides(trouble):
                raise
            if not self._ending.is_repeated_by(trouble):
                self._say(f"The run did not come to a clean end: {type(trouble).__name__}: {trouble}")

    def hold_trainer(self, trainer: TrainerGroup) -> TrainerGroup:
        """End a training group with the session. After an interruption its state is saved before anything else ends."""
        self._actors.enter_context(lifetimes.training(trainer, self._ending))
        self._services.enter_context(lifetimes.state_saved(trainer, self.config.cluster.grace_period_s, self._ending))
        return trainer

    def hold_captioner(self, captioner: Captioner) -> Captioner:
        """End a captioner with the session."""
        self._actors.enter_context(lifetimes.captioning(captioner, self._ending, self._is_ours, self._say))
        return captioner

    def start(self) -> tuple[CorpusState, Actors]:
        """Connect to the cluster, open the corpus as the last recorded round left it, and start the actors.

        On a cluster that runs share, wait first until this one is admitted. Start-up is paid once a run; its time, the
        waiting left out, is entered in the record of the first round that follows.

        Raises:
            AdmissionFailed: the cluster does not say whether the run may begin.
            AnnotationError: the annotations are not those that the last round recorded.
            TrainingFailed: no training worker started.
        """
        if self._prepared is None:
            raise RuntimeError("a session without a corpus runs no rounds")
        begun, cpu_begun = time.monotonic(), self._cpu.total_s()
        with self._phases().enter("start-up"):
            start_cluster(self.config)
        if self.config.cluster.address is not None:
            begun += self._wait_for_room()
        with self._phases().enter("start-up"):
            corpus = open_corpus(self.config, self.directory, self._prepared, self.records)
            actors = self.start_actors(corpus)
        self._startup_s, self._startup_cpu_s = time.monotonic() - begun, self._cpu.total_s() - cpu_begun
        return corpus, actors

    def start_actors(self, corpus: CorpusState) -> Actors:
        """Start trainer, evaluator and captioner, and end them with the session."""
        config, directory = self.config, self.directory
        if (reservation := make_reservation(config, directory)) is not None:
            self._actors.enter_context(lifetimes.reserved(reservation, self._is_ours))
        trainer = self.hold_trainer(make_trainer(config, directory))
        evaluator = start_evaluator(config, corpus.prepared)
        self._description.initial = summarise_initial(directory, corpus, evaluator)
        self.tracker.log_initial(self._description.initial)
        trainer.wait_until_ready()
        captioner = self.hold_captioner(start_captioner(config, directory, corpus.prepared))
        return Actors(trainer, captioner, evaluator, ScorerPool(config.score))

    def remaining_rounds(self) -> Iterator[Round]:
        """The rounds after the last recorded one, until all are recorded or the schedule ends the run."""
        while not is_over(self.records, self.config.rounds):
            number = self.records[-1].round + 1 if self.records else 1
            phases = self._phases(number)
            clock = PhaseClock(self._startup_s, self._startup_cpu_s, self._cpu.total_s)
            plan = self.schedule.plan(number)
            yield Round(number, plan, self.config, self.directory, phases, clock)

    @contextmanager
    def recording(self, round_: Round) -> Iterator[RoundRecorder]:
        """Run the body as a round: its record is written last, and then old rounds' files are deleted."""
        with self.tracker.round(round_.number) as child:
            recorder = RoundRecorder(round_, self.schedule, self.tracker, child, tuple(self.records))
            round_.phases.on_losses = recorder.add_losses
            yield recorder
            record = recorder.write()
            self.progress.round_done(record)
            self.records.append(record)
            self._gauges.recorded(record)
            self._track_memory(record.round)
        self._startup_s, self._startup_cpu_s = 0.0, 0.0
        self.durable.publish()
        self.retain()

    def _track_memory(self, number: int) -> None:
        if (memory := read_memory(self.directory.path)) is not None:
            self.tracker.log_metrics({"detail/memory/peak_gib": memory.peak_rss_bytes / 2**30}, step=number)

    def _usage(self) -> UsageSampler | None:
        """What samples how busy the machine is; None where nobody is to be told."""
        tracking = self.config.tracking
        if tracking.kind == "none" or tracking.usage_interval_s == 0:
            return None

        def tell(values: Mapping[str, float], step: int) -> None:
            self.tracker.log_metrics(of_usage(values), step)

        return UsageSampler(self.directory.path, self._memory, self._cpu, tracking.usage_interval_s, tell, self._say)

    def retain(self) -> None:
        """Delete the files of old rounds that the retention policy lets go."""
        with self.durable.changing():
            retain(self.directory, self.records, self.config, self.tracker)

    def finish(self) -> None:
        """Draw and track what can be drawn only when all rounds are over."""
        if self.records:
            self.tracker.log_files(None, draw_run(self.directory, self.records), "figures")
            if self.directory.annotations.exists():  # what is kept of a run need not hold its annotations
                self.tracker.log_files(None, [write_run_gallery(self.directory)], "gallery")

    def _phases(self, number: int | None = None) -> Phases:
        return Phases(
            self.directory, self.progress, self.watchdog, number, self.config.rounds, self._describe, self._gauges
        )

    def _describe(self, phase: str, round_: int | None) -> None:
        self._description.records = self.records
        self.tracker.describe(self._description.enter(phase, round_))

    def _last_words(self, status: RunStatus) -> str:
        self._description.records = self.records
        return self._description.ended(status)

    def _wait_for_room(self) -> float:
        """Wait until a shared cluster admits the run; return for how many seconds. The claim ends with the actors."""
        begun = time.monotonic()
        turn = Turn(owner_of(self.directory), owner_in_words(self.directory.path), most_processes(self.config))
        self._actors.enter_context(lifetimes.claiming(turn))
        phases = self._phases()
        with phases.enter(WAITING):
            wait_for_room(turn, phases, self.tracker, self._say, self._describe_waiting)
        return time.monotonic() - begun

    def _describe_waiting(self, said: str) -> None:
        self._description.waits = said
        self._gauges.waits(True)
        self.tracker.describe(self._description.now())

    def _is_ours(self) -> bool:
        try:
            self.lease.check()
        except LeaseLost:
            return False
        return True

    def _what_is_waited_for(self) -> str:
        return f"{pending_demand()}{why_ray_waits(self.config)}"

    def _warn_of_stall(self, said: str) -> None:
        self._say(f"Warning: {said}")
        try:
            self.tracker.log_tags({"knowlip.stalled": said})
            self._describe_waiting(said)
        except Exception as error:  # the watchdog's thread has to go on; the loop meets the same where it writes
            self._say(f"The tracker was not told: {error}")

    def _say(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, soft_wrap=True, markup=False)
