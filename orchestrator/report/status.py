"""`knowlip status`: what a run does now, how far it is, and what to do about it.

It is asked again and again, also by programs. So it reads small files only, and imports nothing that takes time: the
configuration is looked at as its file has it, and no model, cluster or tracking library is loaded.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from corpus.plugins import load_plugins
from corpus.storage.errors import ConfigError
from orchestrator.monitoring.status import WAITING, Status, read_status
from orchestrator.policies.stall import duration
from orchestrator.policies.time_left import Position, phase_left_s, run_left_s
from orchestrator.state.lease import killed_driver, read_lease
from orchestrator.state.records import ACCURACY, PHASES, RoundRecord, is_over, read_records
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import read_end
from orchestrator.tracking.base import TrackedRun, Tracker
from orchestrator.tracking.registry import TRACKERS, TrackingConfig, make_tracker


def status_as_json(run_dir: Path) -> dict[str, Any]:
    """What is known of a run at this moment.

    Args:
        run_dir: Directory of the run.

    Returns:
        A dictionary with these keys:
            run_dir: Path of the run directory.
            state: new (no driver has begun), running, waiting (for room on a shared cluster), finished, failed,
                interrupted, or killed (its driver is gone without a word).
            rounds: Number of rounds of the run.
            recorded: Number of rounds that are recorded.
            round: The round that the run is in; None outside of rounds, as the next eight where no driver works.
            phase: start-up, waiting, or one of the loop's phases.
            phase_s: Seconds since the phase began.
            progress: Share of the phase that is done, in 0..1; None where it is not known.
            phase_left_s: Seconds that the phase still takes at its pace.
            left_s: Seconds that the run still takes, by its finished rounds.
            waiting_for: What the run waits for and who holds it.
            driver: Process and host of the driver; also of one that was killed.
            ended: How the last driver ended: status, at (seconds since 1970) and error; None where none has.
            accuracy: Accuracy of the annotations after the last recorded round; None without truth or record.
            corpus_version: Version of the annotations after that round.
            weights: Folder of that round's weights.
            end: Why the schedule ended the run early; else None.
            undelivered: Number of entries that wait for the tracker.
            tracker: Kind of the tracker.
            view: Command or address that shows the run there.
            resume: The command that goes on with the run; None where a driver works or nothing is left to do.
            died_in: The phase that a driver was in which ended without a word; None where none did.

    Raises:
        RunDirectoryError: There is no run.
        ConfigError: Its configuration is damaged.
        RecordError: A file of its state is damaged.
    """
    directory, config = RunDirectory.find(Path(run_dir))
    rounds, tracking = _settings(directory, config)
    records, tracker = read_records(directory.path), _tracker(directory, config, tracking)
    now, lease, end = read_status(directory.path), read_lease(directory.path), read_end(directory.path)
    alive = lease is not None and lease.is_held() and end is None  # a driver writes how it ended under its lease
    if alive:
        state = WAITING if now is not None and now.phase == WAITING else "running"
    elif end is not None:
        state = end.status
    else:
        state = "new" if lease is None else "killed"
    killed = killed_driver(directory.path) if state == "killed" else None
    owner = lease.owner if lease is not None and (alive or state == "killed") else killed
    last = records[-1] if records else None
    left = not is_over(records, rounds) or bool(tracker.waiting) or state != "finished"
    return {
        "run_dir": str(directory.path),
        "state": state,
        "rounds": rounds,
        "recorded": len(records),
        **_progress(now if alive else None, records, rounds),
        "driver": None if owner is None else str(owner),
        "ended": None if end is None else end.model_dump(mode="json"),
        "accuracy": None if last is None else last.metrics.get(ACCURACY),
        "corpus_version": None if last is None else last.corpus_version,
        "weights": None if last is None else str(directory.weights(last.round)),
        "end": None if last is None else last.end,
        "undelivered": tracker.waiting,
        "tracker": tracking.kind,
        "view": tracker.view,
        "resume": f"knowlip resume {directory.path}" if left and not alive else None,
        "died_in": None if alive or now is None or now.phase == "ended" else _where(now.phase, now.round),
    }


def print_status(run_dir: Path, console: Console) -> None:
    """Print the same for a person."""
    print_found(status_as_json(run_dir), console)


def print_found(found: dict[str, Any], console: Console) -> None:
    """Print what `status_as_json` returned, here or on a cluster."""
    lines = [
        ("run directory", found["run_dir"]),
        ("rounds", f"{found['recorded']} of {found['rounds']} recorded"),
        ("now", _now(found)),
        ("waits for", found["waiting_for"]),
        ("time left", _left(found)),
    ]
    if found["recorded"]:
        accuracy = "unknown" if found["accuracy"] is None else f"{found['accuracy']:.1%}"
        lines += [
            ("accuracy", f"{accuracy} after round {found['recorded']}"),
            ("annotations", f"version {found['corpus_version']} of {found['run_dir']}/annotations"),
            ("weights", found["weights"]),
            ("ended early", found["end"]),
        ]
    lines += [
        ("look at it", found["view"]),
        ("waiting", f"{found['undelivered']} entries for {found['tracker']}" if found["undelivered"] else None),
        ("driver", _driver(found)),
        ("go on with", found["resume"]),
    ]
    for name, said in lines:
        if said:
            console.print(f"{name:<14} {said}", highlight=False, soft_wrap=True, markup=False)


def in_a_line(found: dict[str, Any]) -> str:
    """Return what the run does and how long that still takes, of what `status_as_json` returned."""
    if found["phase"] is None:
        return found["state"]
    where = f"round {found['round']} of {found['rounds']}, {found['phase']}" if found["round"] else found["phase"]
    share = "" if found["progress"] is None else f" ({found['progress']:.0%} done)"
    left = f"; {left}" if (left := _left(found)) else ""
    waits = f": {found['waiting_for']}" if found["waiting_for"] else ""
    return f"{where}{share}{waits}{left}"


def _settings(directory: RunDirectory, config: dict[str, Any]) -> tuple[int, TrackingConfig]:
    """The two keys that are needed of a configuration; all of it is checked where the run goes on."""
    rounds = config.get("rounds")
    tracking = config.get("tracking")
    if not isinstance(rounds, int) or not isinstance(tracking, dict) or not isinstance(config.get("name"), str):
        raise ConfigError(
            f"{directory.config} is damaged: it has no name, rounds or tracking that can be read. It is written whole, "
            "so it was changed afterwards; restore it from a copy."
        )
    if tracking.get("kind") not in TRACKERS:
        load_plugins(config.get("plugins") or ())  # one of them has it
    return rounds, TrackingConfig.model_validate(tracking)


def _tracker(directory: RunDirectory, config: dict[str, Any], tracking: TrackingConfig) -> Tracker:
    return make_tracker(tracking, TrackedRun(directory, config["name"], directory.run_id))


def _progress(now: Status | None, records: list[RoundRecord], rounds: int) -> dict[str, Any]:
    if now is None:
        names = ("round", "phase", "phase_s", "progress", "phase_left_s", "left_s", "waiting_for")
        return dict.fromkeys(names)
    share = now.done / now.total if now.done is not None and now.total else None
    spent_s = time.time() - now.since
    # The pace is that of the moment when progress was written.
    at = Position(now.phase, now.round or 0, rounds, (now.at or time.time()) - now.since, share)
    finished = [{phase: getattr(record.timings, f"{phase}_s") for phase in PHASES} for record in records]
    phase_left, left = phase_left_s(at), run_left_s(at, PHASES, finished) if now.round else None
    return {
        "round": now.round,
        "phase": now.phase,
        "phase_s": round(spent_s, 1),
        "progress": None if share is None else round(share, 4),
        "phase_left_s": None if phase_left is None else round(phase_left, 1),
        "left_s": None if left is None else round(left, 1),
        "waiting_for": now.waits_for if now.phase == WAITING else None,
    }


def _where(phase: str, round_: int | None) -> str:
    return f"round {round_}, {phase}" if round_ else phase


def _now(found: dict[str, Any]) -> str | None:
    """What the driver does; None where it has ended in order or has not begun."""
    if found["phase"] is None:
        return f"its driver died in {found['died_in']}; `knowlip resume` goes on" if found["died_in"] else None
    share = "" if found["progress"] is None else f" ({found['progress']:.0%} done)"
    where = f"{_where(found['phase'], found['round'])}{share}"
    return f"{where}, for {found['phase_s'] / 60:.1f} min ({found['driver']})"


def _left(found: dict[str, Any]) -> str | None:
    said = [
        f"{duration(seconds)} of {what}"
        for seconds, what in ((found["phase_left_s"], found["phase"]), (found["left_s"], "the run"))
        if seconds is not None
    ]
    return f"about {', '.join(said)}" if said else None


def _driver(found: dict[str, Any]) -> str | None:
    if found["state"] == "killed" and found["driver"] is not None:
        return f"{found['driver']} was killed; trackers show the run as running until it is resumed"
    if (end := found["ended"]) is None or found["phase"] is not None:
        return None
    when = datetime.fromtimestamp(end["at"], UTC)
    return f"{end['status']} at {when:%Y-%m-%d %H:%M:%S} UTC{': ' + end['error'] if end['error'] else ''}"
