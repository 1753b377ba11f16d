"""`knowlip review`: exports, imports and undoes, each with one line of what was done."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.review.applying import commit_decisions
from orchestrator.review.exporting import export_review
from orchestrator.review.importing import Imported, import_review
from orchestrator.review.status import print_status, status_as_json
from orchestrator.review.taking_back import undo


class ReviewCommand:
    """What the command does with one run.

    Args:
        run_dir: of the run.
        console: where the user reads.
        as_json: print JSON instead.
    """

    def __init__(self, run_dir: Path, console: Console, as_json: bool) -> None:
        self._run_dir, self._console, self._as_json = run_dir, console, as_json

    def export(self, format_: str, out: Path | None, filter_: str, limit: int, controls: float) -> None:
        """Write questions; errors as of `export_review`."""
        done = export_review(self._run_dir, format_, out, filter_, limit, controls)
        asked = len(done.record.questions)
        self._say(
            {
                "export": done.record.name,
                "version": done.record.version,
                "tiles": done.tasks,
                "questions": asked,
                "controls": done.controls,
                "expected_corrections": round(done.expected_corrections, 2),
                "files": [str(path) for path in done.files],
            },
            f"export {done.record.name}: {asked:,} questions about {done.tasks:,} tiles, {done.controls} of them "
            f"planted controls; answers are expected to correct {done.expected_corrections:.0f} clauses",
            *(f"  {path}" for path in done.files),
        )

    def take_in(
        self, path: Path, format_: str | None, people: Sequence[str], disagreements: str, earlier: bool
    ) -> None:
        """Take in a file; errors as of `import_review`."""
        done = import_review(self._run_dir, path, format_, people, disagreements, earlier)
        version = commit_decisions(self._run_dir, done.entry.number)
        kept = len(done.entry.answers) - done.controls
        self._say(
            {
                "import": done.entry.number,
                "decisions": kept,
                "controls": done.controls,
                "disagreements": done.disagreements,
                "left_out": done.left_out,
                "asked": done.asked,
                "unanswered": done.unanswered,
                "version": version,
            },
            f"import {done.entry.number}: {kept:,} decisions and {done.controls} answers to controls; "
            f"{done.disagreements} disagreements, {done.left_out} answers left out",
            *_unanswered(done),
            _where(version),
            f"`knowlip review RUN_DIR --undo {done.entry.number}` takes them back.",
        )
        if not self._as_json:
            print_status(self._run_dir, self._console)

    def undo(self, what: str) -> None:
        """Take decisions back; errors as of `taking_back.undo`."""
        entry = undo(self._run_dir, what)
        version = commit_decisions(self._run_dir, entry.number)
        self._say(
            {"undo": entry.number, "answers": len(entry.answers), "version": version},
            f"undo {entry.number}: {len(entry.answers):,} answers taken back",
            _where(version),
        )

    def status(self) -> None:
        """Say who decided what."""
        if self._as_json:
            print(json.dumps(status_as_json(self._run_dir), indent=2))
        else:
            print_status(self._run_dir, self._console)

    def _say(self, plain: dict[str, Any], *lines: str) -> None:
        if self._as_json:
            print(json.dumps(plain, indent=2))
            return
        for line in lines:
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def _unanswered(done: Imported) -> list[str]:
    if not done.unanswered:
        return []
    return [
        f"{done.unanswered:,} of the {done.asked:,} exported questions have no answer in the file: they were left "
        "open, or their rows are not there any more."
    ]


def _where(version: int | None) -> str:
    if version is None:
        return "The run is at work: its next round takes this into account."
    return f"Version {version} of the annotations has them so; the next round of the run weighs all of it."
