"""Has the captioner write the doubtful clauses again, shard by shard; a finished shard is never generated again."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from actors.captioner.chain_requests import ChainRequest
from actors.captioner.factory import Captioner
from actors.captioner.native import CaptionRequest
from corpus.storage.parquet import read_parquet
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED, Writer
from hcot_llm.aggregation.feedback import Feedback, feedback_hints
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals
from hcot_llm.engines.native import Answer
from hcot_llm.prompts.corrections import Answered, plan_corrections
from hcot_llm.prompts.prompts import captioner_prompt
from hcot_llm.prompts.retry import Retry, RetryConfig, Unusable, plan_retries
from hcot_llm.schema.clauses import CLAUSES, Clause

SHARD_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("candidate", pa.int8()),
        ("clause", pa.string()),
        ("value", pa.string()),
        ("distribution", pa.list_(pa.float32())),
        ("error", pa.string()),
        # 0 for a first answer, n for the nth repetition; the damage of fault injection, in the first row of an answer.
        ("attempt", pa.int8()),
        ("injected", pa.string()),
    ]
)


@dataclass(frozen=True)
class ImageIndex:
    """Where each tile's image lies: blocks (object references) and tile_id to (block, row)."""

    blocks: list
    where: dict[str, tuple[int, int]]

    @staticmethod
    def of(images: ray.data.Dataset) -> "ImageIndex":
        blocks = images.to_arrow_refs()
        ids = ray.get([_tile_ids.remote(block) for block in blocks])
        return ImageIndex(
            blocks, {tile_id: (block, row) for block, tiles in enumerate(ids) for row, tile_id in enumerate(tiles)}
        )


@ray.remote(num_cpus=0)
def _tile_ids(table: pa.Table) -> list[str]:
    return table["tile_id"].to_pylist()


@dataclass(frozen=True)
class Question:
    """The clauses one tile is asked for, and what its prompt is made of. gsd_m: metres per pixel, for level 5."""

    tile_id: str
    asked: tuple[Clause, ...]
    kept: dict[Clause, str]
    knowledge: str
    gsd_m: float
    hints: dict[Clause, str]
    levels: bool
    seed: int

    @cached_property
    def prompt(self) -> str:
        return captioner_prompt(self.kept, self.asked, self.knowledge, self.hints, self.levels)


def write_questions(
    doubtful: np.ndarray,
    annotations: AnnotationMatrix,
    feedback: Feedback,
    knowledge: Mapping[str, str],
    gsd_m: Mapping[str, float],
    *,
    run_seed: int,
    round_: int,
    use_feedback: bool,
    levels: bool,
) -> list[Question]:
    """A question for every tile with a doubtful clause; the other clauses are context.

    Args:
        doubtful: bool [N, 16]. knowledge: one line per tile, see hcot_llm/knowledge/knowledge.py. gsd_m: metres per
            pixel of each tile.
    """
    questions = []
    for row in np.flatnonzero(doubtful.any(axis=1)):
        tile_id = annotations.tile_ids[row]
        asked = tuple(clause for column, clause in enumerate(CLAUSES) if doubtful[row, column])
        kept = {clause: value for clause, value in annotations.row_values(row).items() if clause not in asked}
        hints = feedback_hints(feedback, row, asked) if use_feedback else {}
        questions.append(
            Question(
                tile_id,
                asked,
                kept,
                knowledge[tile_id],
                gsd_m[tile_id],
                hints,
                levels,
                derive_seed(run_seed, round_, tile_id, "candidates"),
            )
        )
    return questions


@dataclass(frozen=True)
class _Given:
    """An answer, and where it stands: the question's position in the shard, and 0 or the number of its repetition."""

    question: int
    candidate: int
    attempt: int
    asked: tuple[Clause, ...]
    answer: Answer


@dataclass
class _Shard:
    """The answers to a shard of questions as they come in. corrections: how often level 5 may still ask again.

    It is asked for its answers first; then, attempt by attempt, for those that cannot be used; then by level 5.
    """

    questions: Sequence[Question]
    candidates: int
    corrections: int
    given: list[_Given] = field(default_factory=list)
    retries: list[Retry] | None = None
    attempt: int = 0
    repeating: bool = True

    def take(self, answers: Sequence[Sequence[Answer]]) -> None:
        """Enter the first answers, or those to what `plan_next` planned last."""
        if self.retries is None:
            self.given += [
                _Given(position, number, 0, question.asked, answer)
                for position, (question, candidates) in enumerate(zip(self.questions, answers, strict=True))
                for number, answer in enumerate(candidates)
            ]
        else:
            # Level 5's are first answers to questions of their own.
            attempt = self.attempt if self.repeating else 0
            self.given += [
                _Given(retry.question, retry.candidate, attempt, retry.asked, answer)
                for retry, [answer] in zip(self.retries, answers, strict=True)
            ]

    def plan_next(self, config: RetryConfig) -> list[Retry]:
        """What to ask again; empty when the shard is finished."""
        if self.repeating:
            self.retries = self._plan_retries(config)
            self.repeating = bool(self.retries)
        if not self.repeating:
            self.retries = plan_corrections(self._greedy_answers(), self.candidates) if self.corrections > 0 else []
            self.corrections -= 1
        return self.retries

    def _greedy_answers(self) -> list[Answered]:
        """The newest usable values of every question: those of the greedy candidate, and what corrected them."""
        values: dict[int, dict[Clause, str]] = {}
        for given in self.given:
            if given.candidate in (0, self.candidates):
                values.setdefault(given.question, {}).update(given.answer.values)
        return [
            Answered(
                position,
                self.questions[position].kept,
                said,
                self.questions[position].seed,
                self.questions[position].gsd_m,
            )
            for position, said in sorted(values.items())
        ]

    def _plan_retries(self, config: RetryConfig) -> list[Retry]:
        unusable = [
            Unusable(given.question, given.candidate, missing, self.questions[given.question].seed)
            for given in self.given
            if given.attempt == self.attempt
            and (missing := tuple(clause for clause in given.asked if clause not in given.answer.values))
        ]
        first = sum(given.attempt == 0 for given in self.given)
        self.attempt += 1
        return plan_retries(unusable, self.attempt, first_answers=first, spent=len(self.given) - first, config=config)


def ask(
    questions: Sequence[Question],
    client: Captioner,
    images: ImageIndex,
    annotations: AnnotationMatrix,
    shard_dir: Path,
    *,
    tiles_per_shard: int,
    candidates: int,
    retry: RetryConfig,
    corrections: int = 0,
    in_flight: int = 4,
    on_progress=None,
    writer: Writer = UNGUARDED,
) -> Proposals:
    """Answers to all questions, with shards on disk as they finish.

    A shard file is named by its questions and by what answers them: one that exists is the answer, whoever wrote it.
    What could not be used is asked again before the shard is written, so that a resumed run does not ask a third time;
    then, `corrections` times at most, what contradicts the rest of its tile, as one more candidate.

    Args:
        on_progress: called after every response, with the number of tiles that are done and that of all; a response
            to what was asked again is a sign of life, though it ends no tile.

    Raises:
        LeaseLost: another driver has taken over; DiskFull: a shard does not fit on the disk. The finished ones stay.
    """
    shard_dir.mkdir(parents=True, exist_ok=True)
    writer.remove_unfinished(shard_dir)
    shards = [questions[start : start + tiles_per_shard] for start in range(0, len(questions), tiles_per_shard)]
    requests = [make_request(shard, client, images) for shard in shards]
    paths = [
        shard_dir / f"shard-{index:05d}-{_digest(shard, request)}.parquet"
        for index, (shard, request) in enumerate(zip(shards, requests, strict=True))
    ]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    done = sum(len(shards[index]) for index in range(len(shards)) if index not in missing)
    pending: dict[int, tuple[_Shard, object]] = {}
    while missing or pending:
        while missing and len(pending) < in_flight:
            index = missing.pop(0)
            pending[index] = _Shard(shards[index], candidates, corrections), client.submit(requests[index])
        index = next(iter(pending))
        shard, response = pending.pop(index)
        shard.take(response.result())
        if retries := shard.plan_next(retry):
            pending[index] = shard, client.submit(make_request(shards[index], client, images, retries))
        else:
            _write_shard(paths[index], shard, writer)
            done += len(shards[index])
        if on_progress is not None:
            on_progress(done, len(questions))
    return _proposals(
        [read_parquet(path, SHARD_SCHEMA) for path in paths], questions, annotations, candidates + (corrections > 0)
    )


def make_request(
    shard: Sequence[Question], client: Captioner, images: ImageIndex, retries: Sequence[Retry] | None = None
) -> CaptionRequest | ChainRequest:
    """One request to the captioner for a shard of questions, or for what is asked again of it."""
    seed = shard[0].seed
    if retries is not None:
        shard = [
            replace(shard[retry.question], asked=retry.asked, kept=shard[retry.question].kept | dict(retry.said))
            for retry in retries
        ]
    return client.request(shard, images, seed, None if retries is None else tuple(retries))


def _digest(shard: Sequence[Question], request: CaptionRequest | ChainRequest) -> str:
    content = [request.source, *[[q.tile_id, q.prompt, list(q.asked), q.seed, q.gsd_m] for q in shard]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _write_shard(path: Path, shard: _Shard, writer: Writer) -> None:
    rows = []
    for given in shard.given:
        common = {
            "tile_id": shard.questions[given.question].tile_id,
            "candidate": given.candidate,
            "attempt": given.attempt,
        }
        answer = given.answer
        written = [{**common, "error": error} for error in answer.errors]
        written += [
            {
                **common,
                "clause": str(clause),
                "value": value,
                "distribution": answer.distributions[clause].tolist()
                if given.candidate == 0 and clause in answer.distributions
                else None,
            }
            for clause, value in answer.values.items()
        ]
        written[0]["injected"] = answer.injected
        rows += written
    with writer.place(path, "a shard of the captioner's answers") as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), partial)


def _proposals(
    tables: list[pa.Table], questions: Sequence[Question], annotations: AnnotationMatrix, candidates: int
) -> Proposals:
    row_of = {tile_id: row for row, tile_id in enumerate(annotations.tile_ids)}
    empty = Proposals.none_for(len(annotations), candidates)
    invalid, injected, answered = Counter(), Counter(), Counter()
    again: set[tuple[str, int]] = set()
    for entry in (row for table in tables for row in table.to_pylist()):
        candidate = entry["tile_id"], entry["candidate"]
        if entry["attempt"]:
            again.add(candidate)
        if entry["injected"] is not None:
            injected[entry["injected"]] += 1
        if entry["error"] is not None:
            invalid[entry["error"]] += 1
        else:
            answered[candidate] += 1
            distribution = entry["distribution"]
            empty.put(
                row_of[entry["tile_id"]],
                Clause(entry["clause"]),
                entry["candidate"],
                entry["value"],
                None if distribution is None else np.asarray(distribution, dtype=np.float64),
            )
    asked = {question.tile_id: len(question.asked) for question in questions}
    recovered = sum(answered[candidate] == asked[candidate[0]] for candidate in again)
    return Proposals(empty.proposed, empty.distributions, dict(invalid), len(again), recovered, dict(injected))
