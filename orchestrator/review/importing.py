"""`knowlip review --import`: every answer is checked before any is kept, and what is wrong is named by its line."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.registry import Registry
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.decisions.people import DEFAULT_KIND, PEOPLE
from orchestrator.decisions.store import Answer, DecisionError, Entry, append, read_entries, standing
from orchestrator.report.story import read_story
from orchestrator.review.exporting import ExportRecord, read_exports
from orchestrator.review.formats.base import FORMATS, RawAnswer, ReviewFormat, Unreadable

_NAMED: Final = 20
"""Problems that an error lists."""

Disagreement = list[Answer]
"""Answers of different people to one question, of which not all are the same."""
SETTLING: Registry[Callable[[Disagreement], list[Answer]]] = Registry("way to settle disagreements")
"""Which of the answers are kept, of those that are new. "refuse" is no member: nothing is imported then."""
SETTLING.add("weigh", lambda answers: answers)
SETTLING.add("leave", lambda answers: [])
REFUSE: Final = "refuse"


@dataclass(frozen=True)
class Names:
    """Who the people in a file are. renamed: name in the file -> name here; otherwise: of answers without a name."""

    renamed: Mapping[str, str]
    kinds: Mapping[str, str]
    otherwise: str

    @staticmethod
    def parse(people: Sequence[str]) -> "Names":
        """Read NAME, NAME:KIND, IN_FILE=NAME and IN_FILE=NAME:KIND.

        Raises:
            UnknownMember: there is no such kind of person.
        """
        renamed: dict[str, str] = {}
        kinds: dict[str, str] = {}
        alone: list[str] = []
        for text in people:
            seen, separator, name = text.rpartition("=")
            name, _, kind = name.partition(":")
            if kind:
                PEOPLE.find(kind)
                kinds[name] = kind
            if separator:
                renamed[seen] = name
            else:
                alone.append(name)
        return Names(renamed, kinds, alone[0] if len(alone) == 1 else "")

    def of(self, raw: RawAnswer) -> tuple[str, str]:
        """Name and kind of who gave an answer; '' where nobody knows."""
        name = self.renamed.get(raw.person, raw.person) or self.otherwise
        return name, self.kinds.get(name, DEFAULT_KIND)


@dataclass(frozen=True)
class Imported:
    """What was kept.

    Attributes:
        entry: the file of decisions.
        controls: answers to planted controls.
        disagreements: questions that people answered differently.
        left_out: answers that were not kept.
        asked: questions of the exports that the answers are of.
        unanswered: those of them without an answer in the file: left open, or their rows are gone.
    """

    entry: Entry
    controls: int
    disagreements: int
    left_out: int
    asked: int
    unanswered: int


def import_review(
    run_dir: Path,
    path: Path,
    format_: str | None = None,
    people: Sequence[str] = (),
    disagreements: str = REFUSE,
    earlier: bool = False,
) -> Imported:
    """Take in a file that people made, whole or not at all.

    Args:
        run_dir: of the run.
        path: the file.
        format_: of FORMATS; None: told from the file.
        people: see `Names.parse`.
        disagreements: refuse, or a member of SETTLING.
        earlier: take answers about an earlier version of the annotations too.

    Raises:
        DecisionError: names every line that cannot be taken in; nothing was kept.
    """
    settle = None if disagreements == REFUSE else SETTLING.find(disagreements)
    names = Names.parse(people)
    story = read_story(run_dir)
    raw = _read(path, format_)
    if not raw:
        raise DecisionError(f"{path} holds no decision: nothing was filled in, ticked or submitted.")
    check = _Check(
        story.schema, set(story.states[0].tile_ids), story.versions[-1], read_exports(story.directory.path), earlier
    )
    answers, problems = [], []
    for each in raw:
        answer, problem = check.answer(each, names)
        problems += [problem] if problem else []
        answers += [answer] if answer else []
    problems += _repeated(answers)
    known = standing(read_entries(story.directory.path, story.schema))
    differing = [] if problems else _disagreements(answers, known)
    if settle is None:
        problems += [_named(each) for each in differing]
    if problems:
        more = f"\n  and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        listed = "\n  ".join(problems[:_NAMED])
        raise DecisionError(f"{path} was not imported, and nothing of it was kept:\n  {listed}{more}")
    kept = answers
    if settle is not None:
        in_question = {id(answer) for group in differing for answer in group}
        settled = {id(answer) for group in differing for answer in settle(group)}
        kept = [each for each in answers if id(each) not in in_question or id(each) in settled]
    if not kept:
        raise DecisionError(f"{path}: nothing is left to import once disagreements are left out.")
    entry = append(story.directory.path, story.schema, "import", str(path), kept)
    controls = sum(answer.is_control for answer in kept)
    asked = {
        (export, question.tile_id, question.clause)
        for export in {each.export for each in raw} & check.exports.keys()
        for question in check.exports[export].questions
    }
    unanswered = len(asked - {(each.export, each.tile_id, each.clause) for each in raw})
    return Imported(entry, controls, len(differing), len(answers) - len(kept), len(asked), unanswered)


@dataclass(frozen=True)
class _Check:
    schema: AnnotationSchema
    tiles: set[str]
    version: int
    exports: Mapping[str, ExportRecord]
    earlier: bool

    def answer(self, raw: RawAnswer, names: Names) -> tuple[Answer | None, str]:
        """An answer that can be kept, or what is wrong with it."""
        name, kind = names.of(raw)
        problem = self._problem(raw, name)
        if problem:
            return None, f"{raw.place}: {problem}"
        record = self.exports.get(raw.export)
        expected = "" if record is None else record.expected.get((raw.tile_id, raw.clause), "")
        return Answer(raw.tile_id, raw.clause, raw.value, name, kind, expected, raw.export, raw.place), ""

    def _problem(self, raw: RawAnswer, name: str) -> str:
        if raw.problem:
            return raw.problem
        if raw.tile_id not in self.tiles:
            return f"the run has no tile '{raw.tile_id}'{_near(raw.tile_id, self.tiles)}"
        if raw.clause not in self.schema.column:
            return f"there is no clause '{raw.clause}'{_near(raw.clause, self.schema.names)}"
        if raw.value not in (values := self.schema.vocabulary[raw.clause]):
            return f"'{raw.value}' is no value of clause '{raw.clause}'; it takes {', '.join(values)}"
        if raw.export and raw.export not in self.exports:
            return f"export '{raw.export}' is not of this run, so its questions are not known here"
        record = self.exports.get(raw.export)
        version = raw.version if raw.version is not None or record is None else record.version
        if record is not None and version != record.version:
            return f"it says version {version}, but export '{raw.export}' asked about version {record.version}"
        if version is not None and version > self.version:
            return f"it says version {version}, and the annotations have only come to version {self.version}"
        if version is not None and version != self.version and not self.earlier:
            return (
                f"it is about version {version}, and the annotations are at version {self.version} now; --earlier "
                "takes it all the same, as what a person sees in a picture stays true"
            )
        if not name:
            return "it does not say who decided; name the person with --person NAME"
        return ""


def _read(path: Path, format_: str | None) -> Sequence[RawAnswer]:
    if not path.is_file():
        raise DecisionError(f"There is no file {path}.")
    reader = FORMATS.find(format_) if format_ else _recognised(path)
    try:
        return reader.read(path)
    except Unreadable as error:
        raise DecisionError(f"{path} was not imported, and nothing of it was kept:\n  {error}") from error


def _recognised(path: Path) -> ReviewFormat:
    for each in FORMATS.values():
        if each.recognises(path):
            return each
    raise DecisionError(f"{path}: its format is not known by its name. Say it with --format: {', '.join(FORMATS)}.")


def _repeated(answers: Sequence[Answer]) -> list[str]:
    """One person who answers one question twice, differently."""
    first: dict[tuple, Answer] = {}
    found = []
    for answer in answers:
        before = first.setdefault(answer.key, answer)
        if before.value != answer.value:
            found.append(
                f"{answer.place}: {answer.person} says {answer.clause} of tile '{answer.tile_id}' is {answer.value}, "
                f"and in {before.place} {before.value}"
            )
    return found


def _disagreements(answers: Sequence[Answer], known: Sequence[Answer]) -> list[Disagreement]:
    """New answers to a question that are not the same as one another, or as what stands of somebody else."""
    stands, found = _by_question(known), []
    for question, said in _by_question(answers).items():
        revised = {answer.person for answer in said}
        others = [answer for answer in stands.get(question, []) if answer.person not in revised]
        if len({answer.value for answer in (*said, *others)}) > 1:
            found.append([*said, *others])
    return found


def _by_question(answers: Sequence[Answer]) -> dict[tuple[str, str], list[Answer]]:
    """Answers by (tile id, clause), those to planted controls left out."""
    found: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if not answer.is_control:
            found.setdefault((answer.tile_id, answer.clause), []).append(answer)
    return found


def _named(answers: Disagreement) -> str:
    first = answers[0]
    said = "; ".join(f"{each.person} says {each.value} ({each.place})" for each in answers)
    return (
        f"{first.place}: people disagree on {first.clause} of tile '{first.tile_id}': {said}. --disagreements weigh "
        "keeps all answers as evidence, leave keeps none of these"
    )


def _near(word: str, known) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
