"""The MLflow server is killed while a run writes to it, and comes back later."""

import math
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from mlflow import MlflowClient

from chaos.driver import ChaosError, Driver, start, wait_for_phase
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import is_finished, new_folder, resume_until_finished
from orchestrator.tracking.charts import SYSTEM, is_measured
from orchestrator.tracking.mlflow_store import local_uri
from support.ports import free_port
from support.trackers import waiting
from support.tracking_server import server

NAMED = 5
"""Differences between two MLflow runs that the table names."""


def run_without_mlflow(during: bool, reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run whose server goes away in round 1. It comes back while the run goes on, or after its end, and then `knowlip
    resume` delivers what waits."""
    outcome = Outcome(new_folder(folder) / "run")
    store, port = folder / "server", free_port()
    store.mkdir()
    uri = f"http://127.0.0.1:{port}"
    variables = {"MLFLOW_TRACKING_URI": uri}
    with ExitStack() as last:
        with server(store, port):
            begun = time.monotonic()
            driver = start(reference.config, folder, reference.settings, variables)
            last.callback(driver.clear)
            wait_for_phase(driver, outcome.run_dir, 1, "train" if during else "score")
        outcome.injected += 1  # leaving the block has killed it
        if during:
            try:
                # The losses of round 1 wait by now. A server takes a minute to start, and so do the phases to come.
                wait_for_phase(driver, outcome.run_dir, 1, "score")
            except ChaosError as error:  # it struck, and the run ended
                outcome.complaints.append(str(error))
            _check_waits(outcome)
            last.enter_context(server(store, port))
            if driver.ended:
                raise ChaosError(f"the server was back only after the run had ended; its words are in {driver.log}")
            outcome.injected += 1
        status = driver.wait()
        outcome.seconds = time.monotonic() - begun
        outcome.finished = is_finished(outcome.run_dir)
        if status != 0 or not outcome.finished:
            outcome.complaints.append(f"it did not go on without the server: exit status {status}, see {driver.log}")
        if not during:
            _check_waits(outcome)
            last.enter_context(server(store, port))
            outcome.injected += 1
            outcome.resumes += 1
            again = Driver(folder / "deliver.log", "resume", outcome.run_dir, variables=variables)
            last.callback(again.clear)
            again.wait()
        resume_until_finished(outcome, variables)
        if left := waiting(outcome.run_dir):
            outcome.complaints.append(f"{left} entries still wait in {outcome.run_dir}")
        wanted = tracked(MlflowClient(local_uri(reference.run_dir)), reference.run_dir.name)
        found = tracked(MlflowClient(uri), outcome.run_dir.name)
        said = differences(found, wanted)
        outcome.complaints += [f"MLflow: {each}" for each in said[:NAMED]]
        outcome.complaints += [f"MLflow: {len(said) - NAMED} more differences"] if len(said) > NAMED else []
    return outcome


def _check_waits(outcome: Outcome) -> None:
    if not waiting(outcome.run_dir):
        outcome.complaints.append("nothing waited while the server was away")


def tracked(client: MlflowClient, run_name: str) -> dict:
    """What an MLflow store holds of one run of the loop.

    Returns dict(parents: how many runs of the loop; "parent" and each round: its runs, as status and the points of each
    metric, sorted (step, value); the value of what is a time is left out).
    """
    found: dict = {"parents": 0}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            round_ = run.data.tags.get("knowlip.round")
            if round_ is None and run.data.tags.get("knowlip.run_dir") != run_name:
                continue
            found["parents"] += round_ is None
            points = {
                key: sorted(
                    (point.step, 0.0 if _is_time(key) else point.value)
                    for point in client.get_metric_history(run.info.run_id, key)
                )
                for key in run.data.metrics
                if not key.startswith(SYSTEM)  # sampled by the clock, also while a run waits
            }
            found.setdefault(round_ or "parent", []).append((run.info.status, points))
    return found


def _is_time(key: str) -> bool:
    return is_measured(key)


def differences(found: dict, wanted: dict) -> list[str]:
    """In words."""
    said = [] if found["parents"] == 1 else [f"{found['parents']} parent runs instead of one"]
    for name in sorted({*found, *wanted} - {"parents"}):
        runs, (expected,) = found.get(name, []), wanted.get(name, [(None, {})])
        if len(runs) != 1:
            said.append(f"{len(runs)} runs of {name} instead of one")
            continue
        (status, points), (expected_status, expected_points) = runs[0], expected
        if status != expected_status:
            said.append(f"{name} is {status} instead of {expected_status}")
        for key in sorted({*points, *expected_points}):
            has, wants = points.get(key, []), expected_points.get(key, [])
            steps, expected_steps = (Counter(step for step, _ in each) for each in (has, wants))
            if steps != expected_steps:
                said.append(
                    f"{key} of {name}: {(expected_steps - steps).total()} points missing, "
                    f"{(steps - expected_steps).total()} too many"
                )
            elif not all(_same(value, wanted) for (_, value), (_, wanted) in zip(has, wants, strict=True)):
                said.append(f"{key} of {name} has other values")
    return said


def _same(value: float, wanted: float) -> bool:
    """Which questions share a batch of the captioner changes the last digits of its probabilities."""
    return math.isclose(value, wanted, rel_tol=1e-4, abs_tol=1e-6)
