"""`knowlip hcot`: how much of free-text annotations the schema takes up, per clause."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from corpus.storage.errors import InputError
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.freetext import ClauseShare, clause_shares


class RecordsError(InputError):
    """A file of free-text records that cannot be used; the message says what, where and what to do."""


def read_shares(path: Path) -> dict[str, ClauseShare]:
    """Per landform clause, the share of a file's records in which a value is stated.

    Args:
        path: a JSON list of FUSAR-KLIP records, each with its eight landform texts.

    Raises:
        RecordsError: the file is no such list, or a record does not fit.
    """
    records = _load(path)
    try:
        return clause_shares(records)
    except SchemaError as error:
        raise RecordsError(f"{path} cannot be read into the annotation schema: {error}") from error


def print_shares(path: Path, shares: dict[str, ClauseShare], console: Console) -> None:
    """The shares as a table."""
    table = Table("clause", box=None, header_style="bold")
    for heading in ("records", "mapped", "hedged"):
        table.add_column(heading, justify="right")
    for clause, share in shares.items():
        table.add_row(clause, f"{share.records:,}", f"{share.mapped:.1%}", f"{share.hedged:.1%}")
    console.print(table)
    console.print(
        f"{path}: all records fit the schema. Mapped: the text states a value of the clause; hedged: it "
        "states one, in doubt. Where it states none, the text alone is kept.",
        highlight=False,
        soft_wrap=True,
    )


def shares_as_json(path: Path, shares: dict[str, ClauseShare]) -> dict[str, Any]:
    """Plain values."""
    return {"file": str(path), "clauses": {clause: asdict(share) for clause, share in shares.items()}}


def _load(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordsError(
            f"{path} cannot be read: {error.strerror or error}. Name a JSON file of annotation records."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{path} is not JSON ({error}). Name a JSON list of annotation records.") from error
    if not isinstance(content, list):
        raise RecordsError(f"{path} must hold a JSON list of annotation records, not a {type(content).__name__}.")
    return content
