"""Has the captioner write the doubtful clauses again, shard by shard; a finished shard is never generated again."""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from actors.captioner import CaptionerClient, CaptionRequest
from corpus.parquet import read_parquet
from corpus.seeds import derive_seed
from hcot_llm.engine import Answer
from hcot_llm.feedback import Feedback, feedback_hints
from hcot_llm.matrix import AnnotationMatrix
from hcot_llm.prompts import captioner_prompt
from hcot_llm.relabel import Proposals
from hcot_llm.schema import CLAUSES, Clause

SHARD_SCHEMA = pa.schema([
    ("tile_id", pa.string()), ("candidate", pa.int8()), ("clause", pa.string()), ("value", pa.string()),
    ("distribution", pa.list_(pa.float32())), ("error", pa.string())])


@dataclass(frozen=True)
class ImageIndex:
    """Where each tile's image lies: blocks (object references) and tile_id to (block, row)."""

    blocks: list
    where: dict[str, tuple[int, int]]

    @staticmethod
    def of(images: ray.data.Dataset) -> "ImageIndex":
        blocks = images.to_arrow_refs()
        ids = ray.get([_tile_ids.remote(block) for block in blocks])
        return ImageIndex(blocks, {tile_id: (block, row) for block, tiles in enumerate(ids)
                                   for row, tile_id in enumerate(tiles)})


@ray.remote(num_cpus=0)
def _tile_ids(table: pa.Table) -> list[str]:
    return table["tile_id"].to_pylist()


@dataclass(frozen=True)
class Question:
    """One tile's prompt and the clauses it asks for."""

    tile_id: str
    prompt: str
    asked: tuple[Clause, ...]
    seed: int


def write_questions(doubtful: np.ndarray, annotations: AnnotationMatrix, feedback: Feedback,
                    knowledge: dict[str, str], *, run_seed: int, round_: int, use_feedback: bool,
                    levels: bool) -> list[Question]:
    """A question for every tile with a doubtful clause; the other clauses are context.

    Args:
        doubtful: bool [N, 16]. knowledge: one line per tile, see hcot_llm/knowledge.py.
    """
    questions = []
    for row in np.flatnonzero(doubtful.any(axis=1)):
        tile_id = annotations.tile_ids[row]
        asked = tuple(clause for column, clause in enumerate(CLAUSES) if doubtful[row, column])
        kept = {clause: value for clause, value in annotations.row_values(row).items() if clause not in asked}
        hints = feedback_hints(feedback, row, asked) if use_feedback else {}
        prompt = captioner_prompt(kept, asked, knowledge[tile_id], hints, levels)
        questions.append(Question(tile_id, prompt, asked, derive_seed(run_seed, round_, tile_id, "candidates")))
    return questions


def ask(questions: Sequence[Question], client: CaptionerClient, images: ImageIndex, annotations: AnnotationMatrix,
        shard_dir: Path, *, tiles_per_shard: int, candidates: int, in_flight: int = 4, on_progress=None) -> Proposals:
    """Answers to all questions, through Ray Serve, with shards on disk as they finish.

    A shard file is named by its questions and the weights: one that exists is the answer, whoever wrote it.
    """
    shard_dir.mkdir(parents=True, exist_ok=True)
    shards = [questions[start:start + tiles_per_shard] for start in range(0, len(questions), tiles_per_shard)]
    requests = [make_request(shard, client, images) for shard in shards]
    paths = [shard_dir / f"shard-{index:05d}-{_digest(shard, request)}.parquet"
             for index, (shard, request) in enumerate(zip(shards, requests, strict=True))]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    done = sum(len(shards[index]) for index in range(len(shards)) if index not in missing)
    pending: dict[int, object] = {}
    while missing or pending:
        while missing and len(pending) < in_flight:
            index = missing.pop(0)
            pending[index] = client.submit(requests[index])
        index = next(iter(pending))
        _write_shard(paths[index], shards[index], pending.pop(index).result())
        done += len(shards[index])
        if on_progress is not None:
            on_progress(done, len(questions))
    return _proposals([read_parquet(path, SHARD_SCHEMA) for path in paths], annotations, candidates)


def make_request(shard: Sequence[Question], client: CaptionerClient, images: ImageIndex) -> CaptionRequest:
    """One request to the captioner for a shard of questions."""
    where = [images.where[question.tile_id] for question in shard]
    used = sorted({block for block, _ in where})
    position = {block: index for index, block in enumerate(used)}
    return client.request([images.blocks[block] for block in used], [(position[b], row) for b, row in where],
                          [question.prompt for question in shard], [question.asked for question in shard],
                          shard[0].seed)


def _digest(shard: Sequence[Question], request: CaptionRequest) -> str:
    content = [request.weights_sha256, *[[q.tile_id, q.prompt, list(q.asked), q.seed] for q in shard]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _write_shard(path: Path, shard: Sequence[Question], answers: Sequence[Sequence[Answer]]) -> None:
    rows = []
    for question, candidates in zip(shard, answers, strict=True):
        for number, answer in enumerate(candidates):
            if answer.error is not None:
                rows.append({"tile_id": question.tile_id, "candidate": number, "error": answer.error})
            rows.extend({"tile_id": question.tile_id, "candidate": number, "clause": str(clause), "value": value,
                         "distribution": answer.distributions[clause].tolist() if number == 0 else None}
                        for clause, value in answer.values.items())
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), partial)
    os.replace(partial, path)


def _proposals(tables: list[pa.Table], annotations: AnnotationMatrix, candidates: int) -> Proposals:
    row_of = {tile_id: row for row, tile_id in enumerate(annotations.tile_ids)}
    empty = Proposals.none_for(len(annotations), candidates)
    invalid: Counter[str] = Counter()
    for entry in (row for table in tables for row in table.to_pylist()):
        if entry["error"] is not None:
            invalid[entry["error"]] += 1
        else:
            distribution = entry["distribution"]
            empty.put(row_of[entry["tile_id"]], Clause(entry["clause"]), entry["candidate"], entry["value"],
                      None if distribution is None else np.asarray(distribution, dtype=np.float64))
    return Proposals(empty.proposed, empty.distributions, dict(invalid))
