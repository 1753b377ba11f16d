"""The command line as a user calls it, in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.state.records import RoundRecord, read_records
from support.paths import ROOT

KNOWLIP = Path(sys.executable).with_name("knowlip")


def knowlip(*arguments, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `knowlip` with what pip installed; output is captured, so it is not on a terminal."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_", "VLLM_", "DS_"))
    }
    environment |= {"COLUMNS": "120", "PATH": f"{KNOWLIP.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(KNOWLIP), *map(str, arguments)], cwd=cwd, env=environment, text=True, capture_output=True, timeout=1800
    )


@dataclass(frozen=True)
class Run:
    """A finished run of configs/smoke.yaml, started in `cwd`."""

    cwd: Path
    run_dir: Path
    data_dir: Path
    stdout: str
    stderr: str

    @property
    def records(self) -> list[RoundRecord]:
        return read_records(self.run_dir)

    @property
    def corpus_dir(self) -> Path:
        [corpus] = self.data_dir.glob("*/corpus")
        return corpus


def run_loop_once(cwd: Path, data_dir: Path, *settings: str) -> Run:
    """Run the loop in `cwd` on the corpus below `data_dir`."""
    options = [part for setting in (f"corpus.data_dir={data_dir}", *settings) for part in ("--set", setting)]
    done = knowlip("run", ROOT / "configs" / "smoke.yaml", "--run-dir", cwd / "run", *options, cwd=cwd)
    assert done.returncode == 0, f"the run failed:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    (cwd / "stdout").write_text(done.stdout)
    (cwd / "stderr").write_text(done.stderr)
    return Run(cwd, cwd / "run", data_dir, done.stdout, done.stderr)


def read_run(cwd: Path) -> Run:
    """A run that `run_loop_once` has made in `cwd`, maybe in another process, with its corpus beside it."""
    return Run(cwd, cwd / "run", cwd / "data", (cwd / "stdout").read_text(), (cwd / "stderr").read_text())
