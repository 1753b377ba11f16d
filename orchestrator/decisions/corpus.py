"""People's decisions as the loop takes them: read between rounds, entered into the annotations, or taken out again."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus.annotations import AnnotationStore
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.aggregation.people import PERSON, PeoplesWord, peoples_word, with_decisions
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.decisions.people import said_of
from orchestrator.decisions.store import FOLDER, DecisionError, append, read_entries, standing


def read_word(run_dir: Path, schema: AnnotationSchema, tile_ids: Iterable[str]) -> PeoplesWord | None:
    """What people have decided of these tiles up to now; None where that is nothing.

    Raises:
        DecisionError: a file of decisions is damaged.
    """
    return peoples_word(schema, tile_ids, said_of(standing(read_entries(run_dir, schema))))


def entered(
    matrix: AnnotationMatrix, people: PeoplesWord | None, initial: AnnotationMatrix, store: AnnotationStore, run_id: str
) -> AnnotationMatrix:
    """The annotations with all decisions that stand, and as they were before where a decision was taken back.

    Args:
        matrix: of N tiles.
        people: what was decided of them.
        initial: their initial annotations.
        store: the versions of the run.
        run_id: of the run.
    """
    undone = (matrix.source == PERSON) & ~(people.decided if people is not None else False)
    if undone.any():
        matrix = _as_before(matrix, undone, initial, store, run_id)
    return with_decisions(matrix, people)


def _as_before(
    matrix: AnnotationMatrix, undone: np.ndarray, initial: AnnotationMatrix, store: AnnotationStore, run_id: str
) -> AnnotationMatrix:
    values, confidence, source = matrix.values.copy(), matrix.confidence.copy(), matrix.source.copy()
    left = undone.copy()
    commits = [commit.version for commit in store.history() if commit.run_id == run_id]
    for old in (*(_read(matrix.schema, store, version) for version in reversed(commits)), initial):
        found = left & (old.source != PERSON)
        values[found], confidence[found], source[found] = old.values[found], old.confidence[found], "kept"
        left &= ~found
        if not left.any():
            break
    return replace(matrix, values=values, confidence=confidence, source=source)


def _read(schema: AnnotationSchema, store: AnnotationStore, version: int) -> AnnotationMatrix:
    return matrix_from_table(schema, store.read(version))


def adopt(run_dir: Path, source: Path, schema: AnnotationSchema, tile_ids: Iterable[str]) -> int:
    """Take over the decisions of another run, once; returns how many of them are of these tiles.

    Args:
        run_dir: of the run that begins.
        source: directory of the other run.
        schema: of both.
        tile_ids: of the run that begins.

    Raises:
        DecisionError: the other run has none, or none of these tiles.
    """
    if (Path(run_dir) / FOLDER).is_dir():
        return len(standing(read_entries(run_dir, schema)))
    known = set(tile_ids)
    answers = standing(read_entries(source, schema))
    mine = [answer for answer in answers if answer.tile_id in known]
    if not mine:
        what = f"none of its {len(answers)} decisions is about a tile of this run" if answers else "nobody has decided"
        raise DecisionError(
            f"corpus.decisions names {source}, but {what}. Name a run on the same corpus that `knowlip review "
            "RUN_DIR --import FILE` has given decisions."
        )
    append(run_dir, schema, "import", str(source), mine)
    return len(mine)
