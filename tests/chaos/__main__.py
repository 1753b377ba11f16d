"""`make chaos`: every fault, injected into real runs; a table of what became of them.

Given the same --out again it goes on with what is missing, so that a long one can be run in pieces; the table is made
of all results that lie there.
"""

import argparse
import re
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from chaos.driver import ChaosError
from chaos.reference import Reference, check_config, make_reference
from chaos.results import read_result, read_results, slug, write_result
from chaos.rows import ROWS, Row, run_row
from chaos.shared import TOGETHER, run_shared, share
from chaos.table import for_console, markdown, summarise, write_csv


def main() -> int:
    """Run what is missing of the chosen faults and seeds; the exit status says whether all goals were met."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/chaos.yaml"))
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs") / f"chaos-{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
        help="results and table; given again, what is missing is run",
    )
    parser.add_argument(
        "--seeds", type=seeds, default="1", help="20: seeds 0 to 19, each at other moments; 3..8: those"
    )
    parser.add_argument(
        "--only", default="", help="faults whose name contains this, such as 'captioner' or 'driver|node'"
    )
    parser.add_argument(
        "--alone",
        action="store_true",
        help="give every fault a run of its own, which takes three times as long; else faults that end a process "
        "strike the same run one after the other, at most one in a phase, and where it comes out "
        "wrong, that is a result, and each of its faults gets a run of its own beside it",
    )
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    chosen = parser.parse_args()
    rows = [row for row in ROWS if any(part in row.name for part in chosen.only.split("|"))]
    if not rows or chosen.list:
        names = "\n".join(row.name for row in rows or ROWS)
        if not rows:
            parser.error(f"no fault's name contains {chosen.only!r}; there are:\n{names}")
        print(names)
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    wanted = [(row, seed) for seed in chosen.seeds for row in rows if seed == 0 or not row.once]
    try:
        failed = _run_missing(wanted, chosen.config, chosen.out, chosen.alone, console)
    except ChaosError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(
            f"Interrupted; what is finished is kept. Go on with the same command and --out {chosen.out}"
        ) from None
    results = [read_result(chosen.out, row.name, seed) for row, seed in wanted]
    results += [
        each for each in read_results(chosen.out) if each.fault.startswith(TOGETHER) and each.seed in chosen.seeds
    ]
    return 0 if not failed and all(result is not None and result.good for result in results) else 1


def seeds(text: str) -> tuple[int, ...]:
    """20 -> 0 to 19; 3..8 -> 3 to 8."""
    match = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    found = range(int(match[1]), int(match[2]) + 1) if match else range(int(text)) if text.isdecimal() else ()
    if not found:
        raise argparse.ArgumentTypeError(f"{text}: write a number of seeds, or a range such as 3..8")
    return tuple(found)


def _run_missing(wanted: list[tuple[Row, int]], config: Path, out: Path, alone: bool, console: Console) -> int:
    """Returns how many faults could not be injected; they have no result, and another call tries them again."""
    missing = _missing(wanted, out)
    console.print(f"chaos {out}: {len(wanted)} faults and seeds, {len(wanted) - len(missing)} of them done")
    check_config(config, out)
    failed = 0
    if missing:
        reference = make_reference(config, out, console.print)
        if not alone:
            _run_together(missing, reference, out, console)
            missing = _missing(wanted, out)
    for number, (row, seed) in enumerate(missing, start=1):
        begun = time.monotonic()
        try:
            result = run_row(row, reference, seed, out / slug(row.name, seed))
        except ChaosError as error:
            failed += 1
            console.print(f"{number}/{len(missing)} {row.name}, seed {seed}: NOT INJECTED: {error}")
            continue
        write_result(out, result)
        words = (
            "not possible here"
            if result.not_possible is not None
            else f"{'survived' if result.survived else 'LOST'}, {result.resumes} resumes"
            f"{'' if result.good else ', NOT AS IT SHOULD BE: ' + '; '.join(result.notes)}"
        )
        console.print(f"{number}/{len(missing)} {row.name}, seed {seed}: {words}; {time.monotonic() - begun:.0f} s")
        _write_table(out)
    results = read_results(out)
    Console(width=200).print(for_console(_write_table(out), {each.fault for each in results if not each.good}))
    console.print(f"Also in {out / 'chaos.md'} and chaos.csv")
    return failed


def _missing(wanted: list[tuple[Row, int]], out: Path) -> list[tuple[Row, int]]:
    """What has no result, or was not possible then: it may be now."""
    found = [(row, seed, read_result(out, row.name, seed)) for row, seed in wanted]
    return [(row, seed) for row, seed, result in found if result is None or result.not_possible is not None]


def _run_together(missing: list[tuple[Row, int]], reference: Reference, out: Path, console: Console) -> None:
    """Faults without a result afterwards, for whatever reason, are left to runs of their own."""
    runs = share([(row.fault, seed) for row, seed in missing if row.fault is not None], len(reference.records))
    for number, faults in enumerate(runs, start=1):
        begun = time.monotonic()
        folder = out / f"shared-{faults[0].seed}-{slug(faults[0].fault.name, faults[0].seed)}"
        try:
            results = run_shared(faults, reference, folder)
            wrong = [note for result in results for note in result.notes]
            words = (
                f"NOT AS IT SHOULD BE: {'; '.join(wrong)}"
                if wrong
                else f"{len(results)} of {len(faults)} faults survived"
            )
        except ChaosError as error:
            results, words = [], f"NOT INJECTED: {error}"
        for result in results:
            write_result(out, result)
        console.print(f"shared run {number}/{len(runs)}: {words}; {time.monotonic() - begun:.0f} s")
        _write_table(out)


def _write_table(out: Path) -> list[dict[str, str]]:
    results = read_results(out)
    there = dict.fromkeys(each.fault for each in results)
    rows = summarise(
        [
            name
            for name in (*(row.name for row in ROWS), *(each for each in there if each.startswith(TOGETHER)))
            if name in there
        ],
        results,
    )
    (out / "chaos.md").write_text(markdown(rows), encoding="utf-8")
    write_csv(out / "chaos.csv", rows)
    return rows


def _interrupt(signal_number, frame) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
