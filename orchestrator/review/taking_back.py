"""`knowlip review --undo`: takes decisions back, by the number of their import or by what they are about."""

from pathlib import Path

from orchestrator.decisions.store import Answer, DecisionError, Entry, append, read_entries, standing
from orchestrator.state.run_directory import RunDirectory

_KEYS = ("tile", "clause", "person", "import")


def undo(run_dir: Path, what: str) -> Entry:
    """Take back all answers that stand and meet every part of `what`. The next round weighs those clauses as before.

    Args:
        run_dir: of the run.
        what: the number of an import; or parts joined by commas, of tile=, clause=, person=, import=.

    Raises:
        DecisionError: nothing that stands is meant, or a part cannot be read.
    """
    directory, config = RunDirectory.open(run_dir)
    entries = read_entries(directory.path, config.annotation_schema)
    wanted = _parse(what)
    stands = standing(entries)
    if "import" in wanted:
        numbers = [entry for entry in entries if str(entry.number) == wanted["import"] and entry.what == "import"]
        if not numbers:
            known = ", ".join(str(entry.number) for entry in entries if entry.what == "import") or "none"
            raise DecisionError(f"--undo {what}: there is no import {wanted['import']}; imports: {known}.")
        of_import = set(numbers[0].answers)
        stands = [answer for answer in stands if answer in of_import]
    meant = [answer for answer in stands if all(_is(answer, key, value) for key, value in wanted.items())]
    if not meant:
        raise DecisionError(
            f"--undo {what}: no decision that stands is meant by it. `knowlip review RUN_DIR` lists them."
        )
    return append(directory.path, config.annotation_schema, "undo", what, meant)


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
