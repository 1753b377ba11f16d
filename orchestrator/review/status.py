"""`knowlip review RUN_DIR`: who decided what so far, how far each person is believed, and how far people agree."""

from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.decisions.agreement import Agreement, agreement
from orchestrator.decisions.corpus import read_word
from orchestrator.decisions.people import people_of
from orchestrator.decisions.store import read_entries, standing
from orchestrator.report.tables import titled_table
from orchestrator.state.run_directory import RunDirectory


def status_as_json(run_dir: Path) -> dict[str, Any]:
    """Imports, people, agreement and the decisions that stand, as plain values."""
    directory, config = RunDirectory.open(run_dir)
    schema = config.annotation_schema
    entries = read_entries(directory.path, schema)
    stands = standing(entries)
    return {
        "entries": [
            {"number": e.number, "what": e.what, "source": e.source, "at": e.at, "answers": len(e.answers)}
            for e in entries
        ],
        "people": [
            {
                "name": person.name,
                "kind": person.kind,
                "answers": person.answers,
                "controls": person.controls,
                "controls_right": person.controls_right,
                "accuracy": round(person.accuracy, 4),
            }
            for person in people_of(stands).values()
        ],
        "agreement": [_agreement_as_json(each) for each in agreement(schema, stands)],
        "decided": _decided(directory, config, stands),
        "answers": [
            {"tile": a.tile_id, "clause": a.clause, "value": a.value, "person": a.person, "place": a.place}
            for a in stands
            if not a.is_control
        ],
    }


def print_status(run_dir: Path, console: Console) -> None:
    """Print the same as tables."""
    found = status_as_json(run_dir)
    if not found["entries"]:
        console.print("Nobody has decided anything yet. `knowlip review RUN_DIR --export FORMAT` writes questions.")
        return
    table = titled_table("People", "person", "kind", "answers", "controls", "right", "believed")
    for person in found["people"]:
        table.add_row(
            person["name"],
            person["kind"],
            str(person["answers"]),
            str(person["controls"]),
            str(person["controls_right"]),
            f"{person['accuracy']:.1%}",
        )
    console.print(table)
    if found["agreement"]:
        table = titled_table("Agreement", "clause", "shared", "same", "Cohen's kappa", "alpha")
        for each in found["agreement"]:
            kappa = ", ".join(
                f"{pair['people'][0]}/{pair['people'][1]} {_number(pair['kappa'])}" for pair in each["kappa"]
            )
            name = each["clause"].replace("_", " ") or "all clauses"
            table.add_row(name, str(each["shared"]), str(each["same"]), kappa, _number(each["alpha"]))
        console.print(table)
    for entry in found["entries"]:
        line = f"{entry['what']} {entry['number']}: {entry['answers']:,} answers, {entry['source']}, {entry['at']}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"{found['decided']:,} clauses are decided.", highlight=False)


def _decided(directory: RunDirectory, config, stands) -> int:
    tiles = sorted({answer.tile_id for answer in stands})
    word = read_word(directory.path, config.annotation_schema, tiles)
    return 0 if word is None else int(word.decided.sum())


def _agreement_as_json(each: Agreement) -> dict[str, Any]:
    return {
        "clause": each.clause,
        "shared": each.shared,
        "same": each.same,
        "kappa": [{"people": list(pair), "kappa": kappa} for pair, kappa in each.kappa.items()],
        "alpha": each.alpha,
    }


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
