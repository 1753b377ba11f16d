"""What became of a run's annotations, round by round: who said what, how probable it was, and why it changed or stayed.

Nothing is computed anew. Values come from the versions of the annotation table, and what the sources said from the file
of evidence that each round leaves (orchestrator/state/evidence.py).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from corpus.annotations import AnnotationStore
from corpus.storage.arrow import compute as pc
from corpus.storage.errors import InputError
from corpus.tiles import CorpusError, read_tiles
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import read_inputs
from orchestrator.report.reasons import Outcome, Saying, sayings_of, why, why_at_first
from orchestrator.state.evidence import Evidence, read_evidence
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory


class UnknownInRun(InputError):
    """A tile, clause or round that a run does not have; the message names the nearest or all."""


@dataclass(frozen=True)
class Step:
    """One clause of a tile after one round. round: 0 is what the run began with. source: who its value came from."""

    round: int
    value: str
    confidence: float
    source: str
    sayings: tuple[Saying, ...]
    why: str

    def as_json(self) -> dict:
        """Plain values, numbers rounded to four digits."""
        return {
            "round": self.round,
            "value": self.value,
            "confidence": round(self.confidence, 4),
            "source": self.source,
            "sources": {
                each.source: {
                    "value": each.value,
                    "probability": round(each.probability, 4),
                    "of_kept_value": round(each.of_kept, 4),
                    **({} if each.weight is None else {"weight": round(each.weight, 4)}),
                }
                for each in self.sayings
            },
            "why": self.why,
        }


@dataclass(frozen=True)
class Corpus:
    """The corpus of a run. folder: where the tiles lie. tiles: of TILE_SCHEMA."""

    folder: Path
    tiles: pa.Table


@dataclass(frozen=True)
class Story:
    """All that a run keeps about its annotations.

    Attributes:
        config: of the run.
        directory: of the run.
        states: the annotations at the start and after every recorded round, of the tiles that were asked for.
        evidence: of every recorded round; None where the round left none.
        versions: of the table, for each of `states`.
        corpus: of the run; None where it is not there any more.
    """

    config: RunConfig
    directory: RunDirectory
    states: tuple[AnnotationMatrix, ...]
    evidence: tuple[Evidence | None, ...]
    versions: tuple[int, ...]
    corpus: Corpus | None

    @property
    def schema(self) -> AnnotationSchema:
        """Of the annotations."""
        return self.config.annotation_schema

    @cached_property
    def splits(self) -> dict[str, str]:
        """Tile id -> train or held_out; {} where the corpus is not there any more."""
        if self.corpus is None:
            return {}
        tiles = self.corpus.tiles
        return dict(zip(tiles["tile_id"].to_pylist(), tiles["split"].to_pylist(), strict=True))

    @property
    def last_evidence(self) -> Evidence | None:
        """Of the last recorded round; None where no round is recorded, or it left none."""
        return self.evidence[-1] if self.evidence else None

    @property
    def rounds(self) -> int:
        """The last recorded round; 0: none is."""
        return len(self.states) - 1

    def state(self, round_: int) -> AnnotationMatrix:
        """The annotations after a round, 0: at the start. Raises UnknownInRun."""
        if not 0 <= round_ <= self.rounds:
            raise UnknownInRun(
                f"{self.directory.path} has no round {round_}: it has 0 (the initial annotations) to {self.rounds}."
            )
        return self.states[round_]

    def steps(self, tile_id: str, clause: str) -> list[Step]:
        """The story of one clause, from the initial annotation to the last round."""
        first, column, words = self.states[0], self.schema.column[clause], self.schema.vocabulary[clause]
        row = first.row_of[tile_id]
        found = []
        for number, state in enumerate(self.states):
            value = words[state.values[row, column]]
            confidence, source = float(state.confidence[row, column]), str(state.source[row, column])
            if number == 0:
                found.append(Step(0, value, confidence, source, (), why_at_first(source, confidence)))
                continue
            evidence, before = self.evidence[number - 1], words[self.states[number - 1].values[row, column]]
            outcome = Outcome(tile_id, clause, before, value, source, confidence, self.splits.get(tile_id, ""))
            sayings = sayings_of(evidence, first, state, tile_id, clause) if evidence is not None else ()
            found.append(Step(number, value, confidence, source, sayings, why(evidence, outcome)))
        return found


def read_story(run_dir: Path, tile_ids: Sequence[str] | None = None) -> Story:
    """Read what a run keeps about its annotations.

    Args:
        run_dir: of the run, finished or not.
        tile_ids: read only these tiles' annotations; None: all.

    Raises:
        RunDirectoryError: there is no run.
        UnknownInRun: no round has begun, or the run has no such tile.
    """
    directory, config = RunDirectory.open(run_dir)
    records, store, schema = (
        read_records(directory.path),
        AnnotationStore(directory.annotations),
        config.annotation_schema,
    )
    version_of = {commit.round_: commit.version for commit in store.history() if commit.run_id == directory.run_id}
    if 0 not in version_of:
        raise UnknownInRun(f"{run_dir} has no annotations yet. Wait until its first round has begun.")
    numbers = [0, *(record.round for record in records)]
    versions = tuple(version_of[number] for number in numbers if number in version_of)
    tables = [store.read(version) for version in versions]
    if tile_ids is not None:
        _check_known(run_dir, tables[0], tile_ids)
        tables = [table.filter(pc.is_in(table["tile_id"], pa.array(list(tile_ids)))) for table in tables]
    return Story(
        config,
        directory,
        tuple(matrix_from_table(schema, table) for table in tables),
        tuple(read_evidence(directory.evidence(number), schema) for number in numbers[1:]),
        versions,
        _corpus(directory),
    )


def check_clause(schema: AnnotationSchema, clause: str) -> None:
    """See that a schema has a clause. Raises UnknownInRun naming the nearest."""
    if clause not in schema.column:
        near = difflib.get_close_matches(clause, schema.names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownInRun(f"The run has no clause '{clause}'; it has {', '.join(schema.names)}.{hint}")


def _check_known(run_dir: Path, table: pa.Table, tile_ids: Sequence[str]) -> None:
    known = dict.fromkeys(pc.unique(table["tile_id"]).to_pylist())
    if unknown := [tile_id for tile_id in tile_ids if tile_id not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Its first is '{next(iter(known))}'."
        raise UnknownInRun(f"{run_dir} has no tile '{unknown[0]}'; it has {len(known):,} tiles. {hint}")


def _corpus(directory: RunDirectory) -> Corpus | None:
    try:
        folder = read_inputs(directory.path).corpus_dir
        return Corpus(folder, read_tiles(folder))
    except CorpusError:  # it may lie elsewhere by now, or the run was stopped before it had one
        return None
