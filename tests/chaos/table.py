"""The table of `make chaos`, from all results on disk."""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from chaos.results import Result

COLUMNS = (
    "fault",
    "runs",
    "injected",
    "survived",
    "lost",
    "duplicated",
    "equal",
    "extra wall time",
    "start and phase",
    "within it",
    "code",
    "notes",
)
_WORDS = ("fault", "code", "notes")


def summarise(faults: Sequence[str], results: Sequence[Result]) -> list[dict[str, str]]:
    """One row per fault, in the order given, with all its seeds; a fault without a result has zero runs."""
    return [
        _row(fault, sorted((each for each in results if each.fault == fault), key=lambda each: each.seed))
        for fault in faults
    ]


def _row(fault: str, results: list[Result]) -> dict[str, str]:
    ran = [each for each in results if each.not_possible is None]
    comparable = [each for each in ran if each.equal is not None]
    timed = [each.within for each in ran if each.within is not None]
    notes = [f"not possible here: {each.not_possible}" for each in results if each.not_possible is not None]
    notes += [f"seed {each.seed}: {note}" for each in ran for note in each.notes]
    return dict(
        zip(
            COLUMNS,
            (
                fault,
                str(len(ran)),
                f"{sum(each.injected for each in ran):,}",
                f"{sum(each.survived for each in ran)}/{len(ran)}",
                str(sum(each.lost for each in ran)),
                str(sum(each.duplicated for each in ran)),
                f"{sum(each.equal for each in comparable)}/{len(comparable)}" if comparable else "",
                _mean_s([each.extra_s for each in ran], "+"),
                _mean_s([each.at_most_s for each in ran]),
                f"{sum(timed)}/{len(timed)}" if timed else "",
                ", ".join(dict.fromkeys(each.commit for each in ran if each.commit)),
                "; ".join(dict.fromkeys(notes)),
            ),
            strict=True,
        )
    )


def _mean_s(seconds: Sequence[float | None], sign: str = "") -> str:
    known = [each for each in seconds if each is not None]
    return f"{sum(known) / len(known):{sign}.0f} s" if known else ""


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """The table as docs/durability.md has it."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|" + "|".join("---" if name in _WORDS else "---:" for name in COLUMNS) + "|",
    ]
    lines += [f"| {' | '.join(row[name].replace('|', '/') for name in COLUMNS)} |" for row in rows]
    return "\n".join(lines) + "\n"


def write_csv(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """The same for programs."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def for_console(rows: Sequence[dict[str, str]], bad: set[str]) -> Table:
    """For a terminal; the faults in `bad` stand out."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in COLUMNS), style="bold red" if row["fault"] in bad else None)
    return table
