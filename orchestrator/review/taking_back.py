"""`knowlip review --undo`: takes decisions back, by the number of their import or by what they are about."""

from pathlib import Path

from orchestrator.decisions.store import Answer, DecisionError, Entry, append, kept, last_of, read_entries
from orchestrator.state.run_directory import RunDirectory

_KEYS = ("tile", "clause", "person", "import")


def undo(run_dir: Path, what: str) -> Entry:
    """Take back the answers that meet every part of `what`. Each clause is then what it was before them.

    Those of an import, and of a person named alone, are taken back also where a later answer replaced them. Otherwise
    what stands is taken back, and what the same person answered in an earlier import stands again.

    Args:
        run_dir: of the run.
        what: the number of an import; or parts joined by commas, of tile=, clause=, person=, import=.

    Raises:
        DecisionError: nothing that stands is meant, or a part cannot be read.
    """
    directory, config = RunDirectory.open(run_dir)
    entries = read_entries(directory.path, config.annotation_schema)
    wanted = _parse(what)
    candidates = kept(entries)
    if "import" in wanted:
        imports = [entry.number for entry in entries if entry.what == "import"]
        number = int(wanted["import"]) if wanted["import"].isdecimal() else 0
        if number not in imports:
            known = ", ".join(map(str, imports)) or "none"
            raise DecisionError(f"--undo {what}: there is no import {wanted['import']}; imports: {known}.")
        candidates = [each for each in candidates if each.number == number]
    elif set(wanted) != {"person"}:
        candidates = last_of(candidates)
    meant = [each for each in candidates if all(_is(each.answer, key, value) for key, value in wanted.items())]
    if not meant:
        raise DecisionError(
            f"--undo {what}: no decision that stands is meant by it. `knowlip review RUN_DIR` lists them."
        )
    return append(
        directory.path,
        config.annotation_schema,
        "undo",
        what,
        [each.answer for each in meant],
        [each.number for each in meant],
    )


def _parse(what: str) -> dict[str, str]:
    if what.strip().isdecimal():
        return {"import": str(int(what))}
    wanted = {}
    for part in what.split(","):
        key, separator, value = part.strip().partition("=")
        if not separator or key.strip() not in _KEYS:
            raise DecisionError(
                f"--undo {what}: '{part.strip()}' cannot be read. Give the number of an import, or "
                f"{', '.join(f'{each}=...' for each in _KEYS)}, joined by commas."
            )
        wanted[key.strip()] = value.strip()
    return wanted


def _is(answer: Answer, key: str, value: str) -> bool:
    return key == "import" or {"tile": answer.tile_id, "clause": answer.clause, "person": answer.person}[key] == value
