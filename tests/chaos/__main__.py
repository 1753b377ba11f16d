"""`make chaos`: every fault, injected into real runs; a table of what became of them."""

import argparse
import csv
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos.compare import compare
from chaos.faults import CONDITIONS, FAULTS, Condition, Fault
from chaos.run import ChaosError, Outcome, Strike, run_with_faults
from corpus.seeds import derive_seed
from orchestrator.records import read_records

COLUMNS = ("fault", "injected", "survived", "lost", "duplicated", "equal", "extra wall time", "notes")


def main() -> int:
    """Run the chosen faults; the exit status says whether all goals were met."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/chaos.yaml"))
    parser.add_argument("--out", type=Path, default=Path("runs") / f"chaos-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    parser.add_argument("--seeds", type=int, default=1, help="how often each fault is injected, at other moments")
    parser.add_argument("--only", default="", help="faults whose name contains this, such as 'captioner' or 'driver|node'")
    chosen = parser.parse_args()
    faults, conditions = ([each for each in all_ if any(part in each.name for part in chosen.only.split("|"))]
                          for all_ in (FAULTS, CONDITIONS))
    if not faults and not conditions:
        names = ", ".join(each.name for each in (*FAULTS, *CONDITIONS))
        parser.error(f"no fault's name contains {chosen.only!r}; there are: {names}")
    console = Console(soft_wrap=True)
    settings = [f"corpus.data_dir={(chosen.out / 'data').resolve()}"]
    console.print(f"undisturbed run, in {chosen.out / 'undisturbed'}")
    undisturbed = run_with_faults(chosen.config, chosen.out / "undisturbed", settings)
    if not undisturbed.finished:
        raise SystemExit(f"The undisturbed run failed; see {chosen.out / 'undisturbed'}.")
    console.print(f"undisturbed: {undisturbed.seconds:.0f} s", highlight=False)
    rows = []
    for each in (*faults, *conditions):
        make = _row if isinstance(each, Fault) else _condition_row
        rows.append(make(each, chosen, settings, undisturbed, console))
        _write(chosen.out / "chaos.csv", rows)
    # Wide enough for the notes, wherever it goes.
    Console(width=200).print(_table(rows))
    console.print(f"Also in {chosen.out / 'chaos.csv'}")
    return 0 if all(row["good"] for row in rows) else 1


def _row(fault: Fault, chosen: argparse.Namespace, settings: list[str], undisturbed: Outcome,
         console: Console) -> dict:
    """All seeds of one fault."""
    records = read_records(undisturbed.run_dir)
    injected = survived = equal = lost = duplicated = 0
    extra, notes = [], []
    for seed in range(chosen.seeds):
        round_ = 1 + derive_seed(seed, fault.name, "round") % len(records)
        phase_s = getattr(records[round_ - 1].timings, f"{fault.phase}_s")
        strike = Strike(fault, round_, fault.delay_s(phase_s, seed))
        folder = chosen.out / f"{fault.name.replace(' ', '-').replace(',', '')}-seed{seed}"
        begun = time.monotonic()
        try:
            outcome = run_with_faults(chosen.config, folder, settings, [strike])
        except ChaosError as error:
            notes.append(str(error))
            continue
        injected += outcome.injected
        notes += outcome.complaints
        if outcome.finished:
            found = compare(outcome.run_dir, undisturbed.run_dir)
            survived += 1
            lost, duplicated = lost + found.lost, duplicated + found.duplicated + found.commits_twice
            equal += not found.different
            notes += [f"differs: {', '.join(found.different)}"] if found.different else []
        else:
            notes.append(f"did not finish, see {folder}")
        if outcome.left_over:
            notes.append(f"{outcome.left_over} processes left over")
        extra.append(outcome.seconds - undisturbed.seconds)
        console.print(f"{fault.name}, round {round_}: {'survived' if outcome.finished else 'LOST'}, "
                      f"{outcome.resumes} resumes, {time.monotonic() - begun:.0f} s", highlight=False)
    good = (injected >= chosen.seeds and survived == equal == chosen.seeds and not lost and not duplicated and not notes)
    return {"fault": fault.name, "injected": injected, "survived": f"{survived}/{chosen.seeds}", "lost": lost,
            "duplicated": duplicated, "equal": f"{equal}/{chosen.seeds}",
            "extra wall time": f"{sum(extra) / len(extra):+.0f} s" if extra else "", "notes": "; ".join(notes),
            "good": good}


def _condition_row(condition: Condition, chosen: argparse.Namespace, settings: list[str], undisturbed: Outcome,
                   console: Console) -> dict:
    """One run under a lasting condition. It comes out differently, so that equality says nothing."""
    folder = chosen.out / condition.name.replace(" ", "-").replace("%", "percent")
    outcome = run_with_faults(chosen.config, folder, [*settings, *condition.settings])
    notes = list(outcome.complaints)
    injected = sum(int(record.metrics.get(condition.counted_by) or 0) for record in read_records(outcome.run_dir))
    lost = duplicated = 0
    if outcome.finished:
        found = compare(outcome.run_dir, undisturbed.run_dir)
        lost, duplicated = found.lost, found.duplicated + found.commits_twice
    else:
        notes.append(f"did not finish, see {folder}")
    console.print(f"{condition.name}: {'survived' if outcome.finished else 'LOST'}, struck {injected:,} times",
                  highlight=False)
    return {"fault": condition.name, "injected": injected, "survived": f"{int(outcome.finished)}/1", "lost": lost,
            "duplicated": duplicated, "equal": "", "extra wall time": f"{outcome.seconds - undisturbed.seconds:+.0f} s",
            "notes": "; ".join(notes), "good": outcome.finished and injected > 0 and not (lost or duplicated or notes)}


def _write(path: Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _table(rows: list[dict]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("fault", "notes") else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(row[name]) for name in COLUMNS), style=None if row["good"] else "bold red")
    return table


if __name__ == "__main__":
    sys.exit(main())
