"""One shard of questions: its answers as they come in, what is asked again, and the file that keeps them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from actors.captioner.requests import Question
from corpus.storage.arrow import array_of
from corpus.storage.arrow import compute as pc
from corpus.storage.writer import Writer
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals
from hcot_llm.engines.answer import Answer
from hcot_llm.prompts.corrections import Answered, plan_corrections
from hcot_llm.prompts.retry import Retry, RetryConfig, Unusable, plan_retries

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
        # Of an answer, in its first row; null in files of earlier versions.
        ("tokens", pa.int32()),
    ]
)


@dataclass(frozen=True)
class ReceivedAnswer:
    """An answer and its place in the shard.

    Attributes:
        question: Position of the question in the shard.
        candidate: Number of the candidate; 0 is the greedy one.
        attempt: 0 for a first answer, n for the nth repetition.
        queried: The clauses that were asked for.
        answer: What was answered.
    """

    question: int
    candidate: int
    attempt: int
    queried: tuple[str, ...]
    answer: Answer


@dataclass
class Shard:
    """The answers to a shard of questions as they come in.

    The captioner is asked for first answers; then, attempt by attempt, for those that cannot be used; then for the
    corrections of level 5.

    Attributes:
        questions: The questions of the shard.
        candidates: Answers per question.
        corrections: How often level 5 may still ask again.
        received: All answers so far.
        retries: What `plan_next` planned last; None before the first answers.
        attempt: Number of the current repetition.
        repeating: Whether unusable answers are still asked again.
    """

    questions: Sequence[Question]
    candidates: int
    corrections: int
    received: list[ReceivedAnswer] = field(default_factory=list)
    retries: list[Retry] | None = None
    attempt: int = 0
    repeating: bool = True

    def take(self, answers: Sequence[Sequence[Answer]]) -> None:
        """Enter the first answers, or those to what `plan_next` planned last."""
        if self.retries is None:
            self.received += [
                ReceivedAnswer(position, number, 0, question.queried, answer)
                for position, (question, candidates) in enumerate(zip(self.questions, answers, strict=True))
                for number, answer in enumerate(candidates)
            ]
        else:
            # Level 5's are first answers to questions of their own.
            attempt = self.attempt if self.repeating else 0
            self.received += [
                ReceivedAnswer(retry.question, retry.candidate, attempt, retry.queried, answer)
                for retry, [answer] in zip(self.retries, answers, strict=True)
            ]

    def plan_next(self, config: RetryConfig) -> list[Retry]:
        """Plan what to ask again; the plan is empty when the shard is finished."""
        retries: list[Retry] = []
        if self.repeating:
            retries = self._plan_retries(config)
            self.repeating = bool(retries)
        if not self.repeating:
            retries = self._plan_corrections() if self.corrections > 0 else []
            self.corrections -= 1
        self.retries = retries
        return retries

    def _plan_corrections(self) -> list[Retry]:
        return plan_corrections(self.questions[0].schema, self._greedy_answers(), self.candidates)

    def _greedy_answers(self) -> list[Answered]:
        """The newest usable values of every question: those of the greedy candidate, and what corrected them."""
        values: dict[int, dict[str, str]] = {}
        for received in self.received:
            if received.candidate in (0, self.candidates):
                values.setdefault(received.question, {}).update(received.answer.values)
        return [
            Answered(
                position,
                self.questions[position].context,
                said,
                self.questions[position].seed,
                self.questions[position].gsd_m,
            )
            for position, said in sorted(values.items())
        ]

    def _plan_retries(self, config: RetryConfig) -> list[Retry]:
        unusable = [
            Unusable(received.question, received.candidate, missing, self.questions[received.question].seed)
            for received in self.received
            if received.attempt == self.attempt
            and (missing := tuple(clause for clause in received.queried if clause not in received.answer.values))
        ]
        first = sum(received.attempt == 0 for received in self.received)
        self.attempt += 1
        return plan_retries(
            unusable, self.attempt, first_answers=first, spent=len(self.received) - first, config=config
        )


def write_shard(path: Path, shard: Shard, writer: Writer) -> None:
    """Write the answers of a finished shard: whole or not at all.

    Raises:
        LeaseLost: Another driver has taken over.
        DiskFull: The shard does not fit on the disk.
    """
    rows = []
    for received in shard.received:
        common = {
            "tile_id": shard.questions[received.question].tile_id,
            "candidate": received.candidate,
            "attempt": received.attempt,
        }
        answer = received.answer
        written = [{**common, "error": error} for error in answer.errors]
        written += [
            {
                **common,
                "clause": str(clause),
                "value": value,
                "distribution": answer.distributions[clause].tolist()
                if received.candidate == 0 and clause in answer.distributions
                else None,
            }
            for clause, value in answer.values.items()
        ]
        written[0] |= {"injected": answer.injected, "tokens": answer.tokens}
        if received.candidate == 0:
            # What is said of a clause without an answer: it was not queried, or the answer was invalid.
            written += [
                {**common, "clause": str(clause), "distribution": distribution.tolist()}
                for clause, distribution in answer.distributions.items()
                if clause not in answer.values
            ]
        rows += written
    with writer.place(path, "a shard of the captioner's answers") as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), partial)


def read_proposals(
    tables: Sequence[pa.Table], questions: Sequence[Question], annotations: AnnotationMatrix, candidates: int
) -> Proposals:
    """Put the answers of all shards together.

    Args:
        tables: The shards, each with the columns of SHARD_SCHEMA.
        questions: All questions.
        annotations: The tiles, in the order of the proposals' rows.
        candidates: Answers per question, corrections of level 5 among them.
    """
    row_of = {tile_id: row for row, tile_id in enumerate(annotations.tile_ids)}
    empty = Proposals.none_for(annotations.schema, len(annotations), candidates)
    invalid, injected, answered = Counter(), Counter(), Counter()
    again: set[tuple[str, int]] = set()
    for table in tables:
        _put_distributions(table, empty, annotations)
    for entry in (row for table in tables for row in _answers_of(table).to_pylist()):
        candidate = entry["tile_id"], entry["candidate"]
        if entry["attempt"]:
            again.add(candidate)
        if entry["injected"] is not None:
            injected[entry["injected"]] += 1
        if entry["error"] is not None:
            invalid[entry["error"]] += 1
        else:
            answered[candidate] += 1
            empty.put(annotations.schema, row_of[entry["tile_id"]], entry["clause"], entry["candidate"], entry["value"])
    queried = {question.tile_id: len(question.queried) for question in questions}
    recovered = sum(answered[candidate] == queried[candidate[0]] for candidate in again)
    tokens = sum(pc.sum(table["tokens"]).as_py() or 0 for table in tables)
    return Proposals(empty.proposed, empty.distributions, dict(invalid), len(again), recovered, dict(injected), tokens)


def _answers_of(table: pa.Table) -> pa.Table:
    """The rows that are about answers, and not only about what is said of a clause without one."""
    return table.filter(pc.or_(pc.is_valid(table["value"]), pc.is_valid(table["error"])))


def _put_distributions(table: pa.Table, proposals: Proposals, annotations: AnnotationMatrix) -> None:
    """Enter all distributions of a shard."""
    said = table.filter(pc.is_valid(table["distribution"])).select(["tile_id", "clause", "distribution"])
    tile_ids = pa.array(annotations.tile_ids, pa.string())
    for clause, into in proposals.distributions.items():
        some = said.filter(pc.equal(said["clause"], clause))
        if some.num_rows:
            into[pc.index_in(some["tile_id"], tile_ids).to_numpy()] = array_of(some["distribution"])
