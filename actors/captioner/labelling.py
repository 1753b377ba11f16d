"""Has the captioner write flagged clauses again, shard by shard; a finished shard is never generated again."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from actors.captioner.base import AnyRequest, Captioner, Pending
from actors.captioner.requests import Question, Request
from actors.captioner.shards import SHARD_SCHEMA, Shard, read_proposals, write_shard
from actors.data.image_index import ImageIndex
from corpus.storage.parquet import read_parquet
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED, Writer
from hcot_llm.aggregation.feedback import Feedback, feedback_hints
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals
from hcot_llm.prompts.retry import Retry, RetryConfig


def write_questions(
    queried: np.ndarray,
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
    """Write a question for every tile with a queried clause; the other clauses are context.

    Args:
        queried: bool [N, C], the clauses to write again, for N tiles and the C clauses of the schema.
        annotations: The current values of the N tiles.
        feedback: What the encoder says of the N tiles.
        knowledge: One line per tile_id, see hcot_llm/knowledge/knowledge.py.
        gsd_m: Metres per pixel, per tile_id.
        run_seed: Seed of the run.
        round_: Number of the round; each round draws its candidates anew.
        use_feedback: Whether the prompts tell what the encoder says.
        levels: Whether the prompts are structured by the HCoT levels.
    """
    schema, questions = annotations.schema, []
    for row in np.flatnonzero(queried.any(axis=1)):
        tile_id = annotations.tile_ids[row]
        clauses = tuple(clause for column, clause in enumerate(schema.names) if queried[row, column])
        context = {clause: value for clause, value in annotations.row_values(row).items() if clause not in clauses}
        hints = feedback_hints(schema, feedback, row, clauses) if use_feedback else {}
        questions.append(
            Question(
                schema,
                tile_id,
                clauses,
                context,
                knowledge[tile_id],
                gsd_m[tile_id],
                hints,
                levels,
                derive_seed(run_seed, round_, tile_id, "candidates"),
            )
        )
    return questions


def ask(
    questions: Sequence[Question],
    captioner: Captioner,
    images: ImageIndex,
    annotations: AnnotationMatrix,
    shard_dir: Path,
    *,
    tiles_per_shard: int,
    candidates: int,
    retry: RetryConfig,
    corrections: int = 0,
    in_flight: int = 4,
    on_progress: Callable[[int, int], None] | None = None,
    writer: Writer = UNGUARDED,
) -> Proposals:
    """Have all questions answered, with shards on disk as they finish.

    A shard's file is named by its questions and by what answers them: one that exists is the answer, whoever wrote it.
    What could not be used is asked again before the shard is written, so that a resumed run does not ask a third time;
    then, `corrections` times at most, what contradicts the rest of its tile, as one more candidate.

    Args:
        questions: The questions.
        captioner: Who answers.
        images: Where the images of the tiles lie.
        annotations: The tiles, in the order of the proposals' rows.
        shard_dir: Directory of the shards' files.
        tiles_per_shard: Questions in one shard.
        candidates: Answers per question.
        retry: How often, and within what budget, unusable answers are asked again.
        corrections: How often level 5 asks again.
        in_flight: Shards that are under way at once.
        on_progress: Called after every response, with the number of tiles that are done and that of all; a response to
            what was asked again is a sign of life, though it ends no tile.
        writer: Writes the shards; that of a run directory refuses where the lease is lost.

    Raises:
        LeaseLost: Another driver has taken over.
        DiskFull: A shard does not fit on the disk. The finished ones stay.
    """
    shard_dir.mkdir(parents=True, exist_ok=True)
    writer.remove_unfinished(shard_dir)
    shards = [questions[start : start + tiles_per_shard] for start in range(0, len(questions), tiles_per_shard)]
    requests = [make_request(shard, captioner, images) for shard in shards]
    paths = [
        shard_dir / f"shard-{index:05d}-{_digest(shard, request)}.parquet"
        for index, (shard, request) in enumerate(zip(shards, requests, strict=True))
    ]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    done = sum(len(shards[index]) for index in range(len(shards)) if index not in missing)
    pending: dict[int, tuple[Shard, Pending]] = {}
    while missing or pending:
        while missing and len(pending) < in_flight:
            index = missing.pop(0)
            pending[index] = Shard(shards[index], candidates, corrections), captioner.submit(requests[index])
        index = next(iter(pending))
        shard, response = pending.pop(index)
        shard.take(response.result())
        if retries := shard.plan_next(retry):
            pending[index] = shard, captioner.submit(make_request(shards[index], captioner, images, retries))
        else:
            write_shard(paths[index], shard, writer)
            done += len(shards[index])
        if on_progress is not None:
            on_progress(done, len(questions))
    return read_proposals(
        [read_parquet(path, SHARD_SCHEMA) for path in paths], questions, annotations, candidates + (corrections > 0)
    )


def make_request(
    shard: Sequence[Question],
    captioner: Captioner[AnyRequest],
    images: ImageIndex,
    retries: Sequence[Retry] | None = None,
) -> AnyRequest:
    """Make one request for a shard of questions, or for what is asked again of it."""
    seed = shard[0].seed
    if retries is not None:
        shard = [
            replace(
                shard[retry.question],
                queried=retry.queried,
                context=shard[retry.question].context | dict(retry.said),
            )
            for retry in retries
        ]
    return captioner.request(shard, images, seed, None if retries is None else tuple(retries))


def _digest(shard: Sequence[Question], request: Request) -> str:
    content = [request.source, *[[q.tile_id, q.prompt, list(q.queried), q.seed, q.gsd_m] for q in shard]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
