"""Starts and resumes runs: checks first, then the loop, then where to look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from actors.logs import run_log
from corpus.storage.config import StorageConfig
from corpus.storage.errors import Interrupted
from corpus.storage.objects import StoreUri
from corpus.storage.state_files import StateFolder
from orchestrator.cluster.disk_space import naming_a_full_disk
from orchestrator.cluster.signals import end_on_signals
from orchestrator.config.load import differing_keys
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.decisions.corpus import adopt
from orchestrator.loop import run_loop
from orchestrator.monitoring.progress import Progress
from orchestrator.open_corpus import make_data, same_data
from orchestrator.report.summary import print_report
from orchestrator.run.preflight import preflight, preflight_disk, preflight_machine, preflight_size, preflight_tracking
from orchestrator.run.restored import is_published, working_folder
from orchestrator.run.session import Session
from orchestrator.run.stored import StoredRun
from orchestrator.state.durable import restored_corpus
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import check_recorded_schema, is_over, read_records
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from orchestrator.state.run_end import was_cut_off
from orchestrator.tracking.base import TrackedRun, Tracker
from orchestrator.tracking.registry import make_tracker

_CHECKING = "checking configuration, machine and cluster"


def start_run(config: RunConfig, run_dir: Path | None, console: Console) -> Path:
    """Run the loop of a configuration from its beginning.

    Args:
        config: Configuration of the run.
        run_dir: Directory that the run writes to; None: a new folder below runs/.
        console: Console that the user reads.

    Returns:
        The run directory.

    Raises:
        PreflightError: The run would lack something; nothing was started.
        RunDirectoryError: The directory is in use.
    """
    if config.storage is not None:
        return _start_or_continue(config, config.storage, run_dir, console)
    return _start(config, run_dir, console)


def _start_or_continue(config: RunConfig, storage: StorageConfig, folder: Path | None, console: Console) -> Path:
    """Run what lies in a store, from its beginning or on from where it is: with its URI it is the same run.

    Raises:
        LeaseHeld: Another driver works on it.
        RunDirectoryError: A run of another configuration lies there.
    """
    with _saying_how_to_resume(storage.uri, console), StoredRun(storage, folder, console) as stored:
        if not stored.has_run:
            return _start(config, stored.folder, console, stored)
        directory, saved = RunDirectory.open(stored.folder)
        if differing := differing_keys(config, saved):
            raise RunDirectoryError(
                f"{storage.uri} holds a run of another configuration ({', '.join(differing)}). Go on with it by "
                f"`knowlip resume {storage.uri}`, or give the new run a prefix of its own."
            )
        _continue(directory, saved, console, stored)
    return stored.folder


def _start(config: RunConfig, run_dir: Path | None, console: Console, stored: StoredRun | None = None) -> Path:
    place = run_dir or Path("runs")
    with console.status(_CHECKING):
        preflight_machine(config, place)
        _warn(preflight(config, run_dir=place), console)
        preflight_disk(config, place)
        preflight_tracking(make_tracker(config.tracking, TrackedRun(StateFolder(place), config.name, config.name)))
        RunDirectory.check_free(run_dir)
    prepared = make_data(config, console)
    if not prepared.simulated:  # of which the number of tiles was known before
        _warn(preflight_size(config, place, prepared.tiles.num_rows), console)
    directory = RunDirectory.create(config, run_dir)
    with _saying_how_to_resume(_place(directory, stored), console):
        keep_or_check_inputs(directory.path, prepared)
        _adopt_decisions(config, directory, prepared, console)
        console.print(f"run directory {directory.path}", highlight=False, soft_wrap=True, markup=False)
        _run(config, directory, prepared, console, stored=stored)
    return directory.path


def resume_run(place: Path | StoreUri, console: Console, folder: Path | None = None) -> None:
    """Continue a run after its last recorded round.

    Where all rounds are recorded, what the run was kept from doing after the last one is done now, and what the tracker
    lacks is delivered.

    Args:
        place: Directory of the run, or where it is stored.
        console: Console that the user reads.
        folder: Working folder of a run that is stored; None: see `StoredRun`.

    Raises:
        PreflightError: The run would lack something; nothing was started.
        CorpusError: Its scenes have changed since.
        SchemaMismatch: Its annotation schema has changed since.
        LeaseHeld: Another driver works on it.
        StoreAway: The store does not answer.
    """
    if isinstance(place, Path):
        directory, config = RunDirectory.open(place)
        if config.storage is None:
            _continue(directory, config, console)
            return
        place, folder = config.storage.place, directory.path
    settings = StorageConfig(uri=str(place))
    if not is_published(settings) and not (folder or working_folder(settings)).is_dir():
        raise RunDirectoryError(
            f"{place} holds no run. Begin one with `knowlip run CONFIG --set storage={place}`, or correct the URI."
        )
    with _saying_how_to_resume(str(place), console), StoredRun(settings, folder, console) as stored:
        _continue(*RunDirectory.open(stored.folder), console, stored)


def _continue(directory: RunDirectory, config: RunConfig, console: Console, stored: StoredRun | None = None) -> None:
    records = read_records(directory.path)
    check_recorded_schema(directory.path, records, config.annotation_schema)
    with _saying_how_to_resume(_place(directory, stored), console):
        if is_over(records, config.rounds):
            if stored is not None:
                _publish_from_now(config, stored)
            _finish(config, directory, console, stored)
            done = (
                f"All {config.rounds} rounds of {directory.path} are recorded"
                if records[-1].end is None
                else f"The schedule ended the run in {directory.path}"
            )
            console.print(f"{done}; nothing is left to do.", highlight=False, soft_wrap=True, markup=False)
            return
        with console.status(_CHECKING):
            preflight_machine(config, directory.path)
            _warn(preflight(config, directory), console)
            preflight_disk(config, directory.path)
        prepared = same_data(config, directory, console)
        keep_or_check_inputs(directory.path, prepared)
        if not records and not restored_corpus(directory.path):
            _adopt_decisions(config, directory, prepared, console)  # it may have been killed before
        _run(config, directory, prepared, console, stored=stored)


def _place(directory: RunDirectory, stored: StoredRun | None) -> str:
    return str(directory.path if stored is None else stored.uri)


def _publish_from_now(config: RunConfig, stored: StoredRun) -> None:
    if config.storage is not None:
        stored.begin(config.storage, config.cluster.grace_period_s)


def _warn(warnings: list[str], console: Console) -> None:
    for warning in warnings:
        console.print(f"Note: {warning}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _saying_how_to_resume(place: str, console: Console) -> Iterator[None]:
    """Say how to resume where the body is interrupted.

    Raises:
        Interrupted: it was, and it has been said.
    """
    end_on_signals()
    try:
        yield
    except KeyboardInterrupt as error:
        said = f"Interrupted; what is finished is kept. Resume with: knowlip resume {place}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
        raise Interrupted(said) from error


def _adopt_decisions(config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus, console: Console) -> None:
    """Take over what people decided in the run that the configuration names."""
    if (source := config.corpus.decisions) is None:
        return
    RunDirectory.open(source)
    count = adopt(directory.path, source, config.annotation_schema, prepared.tiles["tile_id"].to_pylist())
    console.print(
        f"{count:,} answers of people taken over from {source}", highlight=False, soft_wrap=True, markup=False
    )


def _run(
    config: RunConfig,
    directory: RunDirectory,
    prepared: PreparedCorpus | None,
    console: Console,
    steps: Callable[[Session], None] = run_loop,
    stored: StoredRun | None = None,
) -> None:
    tracker: Tracker | None = None
    if stored is not None and not stored.publishes:
        _publish_from_now(config, stored)
    try:
        with (
            run_log(directory.path),
            naming_a_full_disk(config, directory.path),
            Progress(console) as progress,
            Session(config, directory, prepared, progress, stored) as session,
        ):
            tracker = session.tracker
            steps(session)
    finally:
        _say_undelivered(tracker, console)
    print_report(directory.path, console)
    if tracker is not None and tracker.view is not None:
        console.print(f"Look at it with: {tracker.view}", highlight=False, soft_wrap=True, markup=False)


def _finish(config: RunConfig, directory: RunDirectory, console: Console, stored: StoredRun | None) -> None:
    """Finish a run whose rounds are all recorded."""
    if was_cut_off(directory.path):
        _run(config, directory, None, console, _last_steps, stored)
    else:
        _deliver_rest(config, directory, console)
        print_report(directory.path, console)


def _last_steps(session: Session) -> None:
    session.retain()
    session.finish()


def _deliver_rest(config: RunConfig, directory: RunDirectory, console: Console) -> None:
    """Deliver what waits for the tracker, under the lease. Nothing is touched where nothing waits."""
    lease = LeaseKeeper(directory)
    tracker = make_tracker(config.tracking, TrackedRun(directory, config.name, directory.run_id))
    if not tracker.waiting:
        return
    lease.acquire()
    try:
        tracker.deliver()
    finally:
        lease.release()
    _say_undelivered(tracker, console)


def _say_undelivered(tracker: Tracker | None, console: Console) -> None:
    if tracker is not None and tracker.undelivered is not None:
        console.print(tracker.undelivered, highlight=False, soft_wrap=True, markup=False)
