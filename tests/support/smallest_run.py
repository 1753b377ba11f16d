"""The smallest whole runs of the command line: all phases are real, but for a captioner that has no answers."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.driver import KNOWLIP, Driver
from support.paths import ROOT

SETTINGS = (
    "plugins=[support.toy_captioner]",
    "captioner={kind: table, table: answers.json}",
    "tracking.kind=none",
    "corpus.data_dir=data",
    "corpus.simulated.tiles=48",
    "corpus.simulated.cities=8",
    "train.min_workers=1",
    "train.max_workers=1",
    "score.max_workers=1",
    "train.first_round_epochs=1",
    "train.checkpoint_every_s=0",
    "cluster.free_disk_gib=0.5",
    "cluster.memory_gib=2",
)
PLUGIN_PATH = f"{ROOT}:{ROOT / 'tests'}"
"""PYTHONPATH of whatever imports the captioner: drivers, and a cluster that is there before them."""
PATIENCE_S = 600.0


def start(
    machine: Path,
    *arguments: str | Path,
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    log: str = "log",
) -> Driver:
    """A driver on a machine of its own: a folder, in which it has nothing but what drivers there have made before."""
    machine.mkdir(exist_ok=True)
    (machine / "answers.json").write_text("{}")
    variables = {"PYTHONPATH": PLUGIN_PATH, **(variables or {})}
    return Driver(machine / log, *arguments, variables=variables, prefix=prefix)


def start_run(
    machine: Path,
    run_dir: str | Path | None,
    settings: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    log: str = "log",
) -> Driver:
    """A new run, which has SETTINGS and then `settings`; without a run directory it lies in `runs` of the machine."""
    options = [part for each in (*SETTINGS, *settings) for part in ("--set", each)]
    if run_dir is not None:
        options += ["--run-dir", str(run_dir)]
    config = ROOT / "configs" / "smoke.yaml"
    return start(machine, "run", config, *options, variables=variables, prefix=prefix, log=log)


def wait_for(driver: Driver, what: Callable[[], object], patience_s: float = PATIENCE_S, every_s: float = 0.02) -> None:
    """Wait until something has come true while the driver works."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert not driver.ended, f"the driver ended: {driver.said()[-4000:]}"
        assert time.monotonic() < deadline, f"nothing came: {driver.said()[-4000:]}"
        time.sleep(every_s)


def status(run_dir: Path) -> dict[str, Any]:
    """What `knowlip status --json` says."""
    done = subprocess.run([KNOWLIP, "status", run_dir, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
