"""Runs an ablation: every row with every seed, each in a process of its own, and a table after each."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from corpus.storage.errors import Interrupted
from corpus.storage.state_files import StateFolder
from corpus.storage.writer import UNGUARDED
from orchestrator.cluster.signals import ending_on_signals
from orchestrator.experiments.baselines import JUDGES
from orchestrator.experiments.cells import Cell, make_cells
from orchestrator.experiments.config import AblationConfig, AblationFailed
from orchestrator.experiments.table import AblationTable
from orchestrator.state.run_end import RunStatus
from orchestrator.tracking.base import TrackedRun, Tracker
from orchestrator.tracking.registry import make_tracker

_ROUND = re.compile(r"round \d+: ")  # the line a run prints after each round


def run_ablation(
    ablation: AblationConfig,
    out: Path | None,
    rows: list[str] | None,
    seeds: list[int] | None,
    console: Console,
    conditions: list[str] | None = None,
) -> Path:
    """Run what is missing of the chosen rows and seeds.

    Args:
        ablation: The ablation.
        out: Directory of the runs and the table; None: runs/NAME.
        rows: Names of the rows to run; None runs all.
        seeds: Seeds to run; None runs those of the ablation.
        console: Where progress is printed.
        conditions: Names of the conditions to run under; None runs under all.

    Returns:
        The directory of the table.

    Raises:
        AblationFailed: A run failed.
        ConfigError: A row's configuration cannot be used, or there is no such row.
        RunDirectoryError: The directory holds runs of another configuration.
    """
    out = (out or Path("runs") / ablation.name).resolve()
    cells = make_cells(ablation, out, rows, seeds, conditions)
    # All that lies there, as it has to fit into the table: that is found before hours are spent on more.
    finished = _finished(ablation, out)
    missing = [cell for cell in cells if (cell.name, cell.seed) not in finished]
    out.mkdir(parents=True, exist_ok=True)
    console.print(
        f"ablation {out}: {len(cells)} rows and seeds, {len(cells) - len(missing)} of them done",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    tracker = make_tracker(ablation.tracking, TrackedRun(StateFolder(out), ablation.name, "ablation", kind="ablation"))
    tracker.start({"base": str(ablation.base), "seeds": list(ablation.seeds), **ablation.overrides})
    status: RunStatus = "failed"
    try:
        with ending_on_signals():
            for number, cell in enumerate(missing, start=1):
                console.print(f"{number}/{len(missing)} {cell.name}, seed {cell.seed}", highlight=False, markup=False)
                begun = time.monotonic()
                _run(cell, console)
                result = cell.result()
                accuracy = None if result is None else result[0].get("annotation_accuracy")
                console.print(
                    f"  annotation accuracy {'unknown' if accuracy is None else f'{accuracy:.4f}'}; "
                    f"{time.monotonic() - begun:.0f} s",
                    highlight=False,
                )
                _write_table(ablation, out, tracker)
            _write_table(ablation, out, tracker)
            status = "finished"
            console.print(f"table {out / 'ablation.md'}", highlight=False, soft_wrap=True, markup=False)
    except KeyboardInterrupt as error:
        status = "interrupted"
        said = "Interrupted; what is finished is kept. Go on with the same command."
        console.print(said, highlight=False)
        raise Interrupted(said) from error
    finally:
        tracker.finish(status)
    return out


def _run(cell: Cell, console: Console) -> None:
    if cell.row.kind == "loop":
        _run_loop(cell, console)
    else:
        JUDGES[cell.row.kind](cell, console)


def _run_loop(cell: Cell, console: Console) -> None:
    """`knowlip run` or `resume` in another process: Ray and vLLM leave state behind in theirs."""
    if cell.started:
        arguments = ["resume", str(cell.directory)]
    else:
        arguments = ["run", str(cell.base), "--run-dir", str(cell.directory)]
        arguments += [part for setting in cell.settings for part in ("--set", setting)]
    # A session of its own, so that Ctrl-C reaches it once: from here.
    with (
        open(cell.log, "a", encoding="utf-8") as log,
        subprocess.Popen(
            [Path(sys.prefix, "bin", "knowlip"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "240"},
            start_new_session=True,
        ) as run,
    ):
        printed = cast(IO[str], run.stdout)  # it is a pipe
        try:
            for line in printed:
                log.write(line)
                log.flush()
                if _ROUND.match(line):
                    console.print(f"  {line.rstrip()}", highlight=False, markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            run.send_signal(signal.SIGTERM)
            log.write(printed.read())
            raise
    if run.returncode == Interrupted.exit_status:
        raise KeyboardInterrupt  # the run was told to end, and ended well
    if run.returncode:
        raise AblationFailed(
            f"Row {cell.name} with seed {cell.seed} failed (exit status {run.returncode}); its output "
            f"lies in {cell.log}. Rows that are finished are kept: mend the cause and give the same "
            "command."
        )


def _write_table(ablation: AblationConfig, out: Path, tracker: Tracker) -> None:
    """All that is finished below `out`, whichever rows and seeds this call was about."""
    results = _finished(ablation, out)
    table = AblationTable(ablation.names(), results)
    note = (
        f"Base {ablation.base}"
        + "".join(f", {key}={value}" for key, value in ablation.overrides.items())
        + ". Mean ± standard deviation over the seeds; definitions in docs/method.md."
    )
    paths = [out / "ablation.md", out / "ablation.csv"]
    for path, text in zip(paths, (table.markdown(f"Ablation {ablation.name}", note), table.csv()), strict=True):
        UNGUARDED.write_text(path, text)
    tracker.log_files(None, paths, "table")
    tracker.log_metrics(table.metrics(), step=len(results))


def _finished(ablation: AblationConfig, out: Path) -> dict[tuple[str, int], dict[str, float | None]]:
    """Metrics and seconds by (row, seed).

    Raises:
        RunDirectoryError: a directory below `out` holds a run of another configuration.
    """
    found = {(cell.name, cell.seed): cell.result() for cell in cells_below(ablation, out)}
    return {key: {**result[0], "seconds": result[1]} for key, result in found.items() if result is not None}


def cells_below(ablation: AblationConfig, out: Path) -> list[Cell]:
    """Cells of every seed that something below `out` was run with."""
    names = (path.name.rpartition("-seed")[2] for path in out.glob("*-seed*") if path.is_dir())
    return make_cells(ablation, out, seeds=sorted({int(name) for name in names if name.isdecimal()}))
