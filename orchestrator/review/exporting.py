"""`knowlip review --export`: chooses the questions that are worth most, plants controls, and writes the files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import Field

from corpus.geotiff.read import read_backscatter
from corpus.storage.disk import writing
from corpus.storage.errors import InputError
from corpus.storage.lock import lease_lock
from corpus.storage.models import StateModel
from corpus.storage.rng import derive_seed
from corpus.storage.state_files import read_json, write_json
from corpus.tiles import read_tiles, tile_path
from orchestrator.data.inputs import read_inputs
from orchestrator.decisions.corpus import read_word
from orchestrator.decisions.store import FOLDER
from orchestrator.report.story import Story, read_story
from orchestrator.review.filters import Facts, choose
from orchestrator.review.formats import csv_table, cvat, label_studio  # noqa: F401  # they register themselves
from orchestrator.review.formats.base import FORMATS, Export
from orchestrator.review.pictures import draw_tile
from orchestrator.review.questions import Question, Task, make_question
from orchestrator.review.usefulness import ask_first
from orchestrator.state.evidence import Evidence

_WORTH_ASKING: Final = 0.05
"""Clauses that an answer corrects less than this are not asked where no filter names them."""
_SURE: Final = 0.98
"""Where all sources agree, and the posterior is at least this, the answer is taken to be known: a control."""


class ReviewError(InputError):
    """A review that cannot be exported; the message says what to do."""


class AskedQuestion(StateModel):
    """One question of an export, as the run remembers it."""

    tile_id: str
    clause: str
    proposed: str
    expected: str = Field(default="", description="the known answer of a planted control; empty for a question")


class ExportRecord(StateModel):
    """What an export asked: decisions/exports/NAME.json of the run directory. People do not get this file."""

    name: str
    version: int
    format: str
    questions: tuple[AskedQuestion, ...]

    @cached_property
    def expected(self) -> dict[tuple[str, str], str]:
        """(tile id, clause) -> the known answer, '' for a question without one."""
        return {(each.tile_id, each.clause): each.expected for each in self.questions}


@dataclass(frozen=True)
class Exported:
    """What was written. files: the first one is the one to open. controls: planted among the questions."""

    files: tuple[Path, ...]
    record: ExportRecord
    tasks: int
    expected_corrections: float

    @property
    def controls(self) -> int:
        """How many planted controls there are."""
        return sum(bool(question.expected) for question in self.record.questions)


def export_review(run_dir: Path, format_: str, out: Path | None, filter_: str, limit: int, controls: float) -> Exported:
    """Write the most useful questions about a run's annotations.

    Args:
        run_dir: of the run.
        format_: of FORMATS.
        out: an empty or absent folder; None: one beside the run directory, named after the export.
        filter_: which clauses may be asked; '' for those of the training tiles that are worth it.
        limit: most tiles that are asked about.
        controls: planted controls, as a share of the questions.

    Raises:
        ReviewError: nothing is left to ask, or the folder is not empty.
        FilterError: the filter cannot be read.
        CorpusError: the tiles are not there any more.
    """
    format_writer = FORMATS.find(format_)
    story = read_story(run_dir)
    inputs = read_inputs(story.directory.path)
    rows = {row["tile_id"]: row for row in read_tiles(inputs.corpus_dir).to_pylist()}
    tasks = choose_tasks(story, rows, filter_, limit)
    if not tasks:
        raise ReviewError(
            f"Nothing is left to ask about in {run_dir}{f' under --filter {filter_!r}' if filter_ else ''}. Widen the "
            "filter, or run another round."
        )
    name = _name(story, tasks)
    tasks = plant_controls(story, tasks, controls, name)
    tiles = [task.tile_id for task in tasks]
    pictures = {tile: _picture(inputs.corpus_dir, rows[tile]) for tile in tiles}
    export = Export(name, story.versions[-1], story.schema, tuple(tasks), pictures)
    folder = out or Path(f"{story.directory.path.name}-review-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ReviewError(f"{folder} exists and is not empty. Name another folder with --out.")
    asked = [question for task in tasks for question in task.questions]
    record = ExportRecord(
        name=name,
        version=export.version,
        format=format_,
        questions=tuple(
            AskedQuestion(tile_id=each.tile_id, clause=each.clause, proposed=each.proposed, expected=each.expected)
            for each in asked
        ),
    )
    with writing("a review", folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = format_writer.write(export, folder)
    with lease_lock(story.directory.path):
        write_json(story.directory.path, _record_path(story.directory.path, name), record)
    return Exported(tuple(files), record, len(tasks), sum(question.usefulness for question in asked))


def read_exports(run_dir: Path) -> dict[str, ExportRecord]:
    """What was asked so far, by name of the export."""
    folder = Path(run_dir) / FOLDER / "exports"
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    records = (read_json(run_dir, path, ExportRecord, "remove it and export again") for path in paths)
    return {record.name: record for record in records}


def facts_of(story: Story, rows: Mapping[str, Mapping[str, Any]]) -> Facts:
    """What a filter may ask about a run."""
    state = story.states[-1]
    people = read_word(story.directory.path, story.schema, state.tile_ids)
    nothing = np.zeros(state.values.shape, dtype=bool)
    return Facts(story, rows, nothing if people is None else people.decided)


def choose_tasks(story: Story, rows: Mapping[str, Mapping[str, Any]], filter_: str, limit: int) -> list[Task]:
    """The tiles where answers correct most, best first, each with the clauses that are worth asking.

    Args:
        story: of the run.
        rows: tile_id -> row of the corpus's list of tiles.
        filter_: see `export_review`.
        limit: most tiles.
    """
    evidence = _last_evidence(story)
    state, facts = story.states[-1], facts_of(story, rows)
    open_ = choose(facts, filter_)
    if "decided" not in filter_:
        open_ = open_ & ~facts.decided
    if "split" not in filter_:
        open_ = open_ & np.asarray([story.splits.get(tile, "train") == "train" for tile in state.tile_ids])[:, None]
    by_tile: dict[int, list[tuple[int, float]]] = {}
    for row, column, useful in ask_first(evidence, state, story.states[0], open_, int(open_.sum())):
        if filter_ or useful >= _WORTH_ASKING:
            by_tile.setdefault(row, []).append((column, useful))
    best = sorted(by_tile, key=lambda row: -sum(useful for _, useful in by_tile[row]))[:limit]
    tasks = []
    for row in best:
        tile, asked = state.tile_ids[row], dict(sorted(by_tile[row]))
        questions = tuple(
            make_question(story, tile, story.schema.names[column], useful) for column, useful in asked.items()
        )
        others = {
            clause: value for column, (clause, value) in enumerate(state.row_values(row).items()) if column not in asked
        }
        tasks.append(Task(tile, questions, others))
    return tasks


def plant_controls(story: Story, tasks: list[Task], share: float, name: str) -> list[Task]:
    """Add questions whose answer is known, half of them with a wrong proposal, on tiles that are asked about anyway.

    Who looks answers them rightly; who accepts whatever is proposed does not.
    """
    wanted = round(share * sum(len(task.questions) for task in tasks))
    evidence, state, first = _last_evidence(story), story.states[-1], story.states[0]
    candidates = []
    for place, task in enumerate(tasks):
        row = state.row_of[task.tile_id]
        for column, (clause, words) in enumerate(story.schema.vocabulary.items()):
            if clause in task.context and len(words) > 1 and _is_known(evidence, state, first, row, column):
                candidates.append((place, clause))
    draw = np.random.default_rng(derive_seed(story.config.seed, name, "controls"))
    planted = list(tasks)
    for number, index in enumerate(draw.permutation(len(candidates))[:wanted]):
        place, clause = candidates[index]
        question = make_question(story, tasks[place].tile_id, clause)
        control = _control(question, story.schema.vocabulary[clause], number % 2 == 0, draw)
        context = {each: value for each, value in planted[place].context.items() if each != clause}
        questions = sorted((*planted[place].questions, control), key=lambda each: story.schema.column[each.clause])
        planted[place] = replace(planted[place], questions=tuple(questions), context=context)
    return planted


def _is_known(evidence: Evidence, state, first, row: int, column: int) -> bool:
    value, clause = state.values[row, column], state.schema.names[column]
    encoder = evidence.distributions["encoder"][clause][row]
    return bool(
        first.values[row, column] == value == encoder.argmax()
        and evidence.distributions["posterior"][clause][row][value] >= _SURE
    )


def _control(question: Question, words: tuple[str, ...], is_wrong: bool, draw: np.random.Generator) -> Question:
    """The question with the known answer kept; what is shown looks like what is shown of any other question."""
    others = [value for value in words if value != question.proposed]
    shown = others[int(draw.integers(len(others)))] if is_wrong else question.proposed
    confidence = float(draw.uniform(0.45, 0.85))
    reasons = (
        f"initial annotation: {shown.replace('_', ' ')} ({draw.uniform(0.7, 0.9):.0%})",
        f"encoder: {shown.replace('_', ' ')} ({draw.uniform(0.4, 0.8):.0%})",
        f"nearest tiles: {shown.replace('_', ' ')} ({draw.integers(3, 8) / 8:.0%})",
        f"all together: {shown.replace('_', ' ')} ({confidence:.0%})",
        f"In doubt ({confidence:.2f} probable), but not asked about in this round.",
    )
    return replace(
        question,
        proposed=shown,
        confidence=confidence,
        alternatives=((shown, confidence),),
        reasons=reasons,
        expected=question.proposed,
    )


def _last_evidence(story: Story) -> Evidence:
    if (evidence := story.last_evidence) is None:
        raise ReviewError(
            f"{story.directory.path} has no recorded round that left its evidence, so it is not known what is worth "
            "asking. Run a round first."
        )
    return evidence


def _picture(corpus_dir: Path, row: Mapping[str, Any]) -> bytes:
    return draw_tile(read_backscatter(tile_path(corpus_dir, row["path"])), row)


def _name(story: Story, tasks: list[Task]) -> str:
    asked = [(question.tile_id, question.clause) for task in tasks for question in task.questions]
    content = json.dumps([story.directory.run_id, story.versions[-1], asked])
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def _record_path(run_dir: Path, name: str) -> Path:
    path = Path(run_dir) / FOLDER / "exports" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
