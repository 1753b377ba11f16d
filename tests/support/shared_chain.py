"""A few simulated tiles, and questions about them for captioners that are asked by HCoT's chain."""

from pathlib import Path

import numpy as np

from actors.captioner.base import Captioner
from actors.captioner.labelling import ask
from actors.captioner.requests import Question
from corpus.simulate.config import SceneConfig
from corpus.simulate.write import simulate_corpus
from corpus.tiles import read_tiles
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals
from hcot_llm.prompts.retry import RetryConfig
from support.hcot import CLAUSES, HCOT, NO_TARGETS

ASKED = ("water", "road", "target_count")


def make_tiles(folder: Path, tiles: int) -> Path:
    """The directory of a corpus of so many simulated tiles."""
    simulate_corpus(SceneConfig(tiles=tiles), folder, workers=1)
    return folder / "corpus"


def tile_ids_of(corpus_dir: Path) -> tuple[str, ...]:
    return tuple(sorted(read_tiles(corpus_dir)["tile_id"].to_pylist()))


def question(tile_id: str, asked: tuple[str, ...] = ASKED) -> Question:
    kept = {"terrain": "coast", **NO_TARGETS}
    return Question(HCOT, tile_id, asked, {c: v for c, v in kept.items() if c not in asked}, "", 10.0, {}, True, 5)


def answers(captioner: Captioner, tile_ids: tuple[str, ...], shard_dir: Path, tiles_per_shard: int) -> Proposals:
    """What the captioner says of the clauses asked for, by way of the labeller and its shards."""
    shape = len(tile_ids), len(CLAUSES)
    annotations = AnnotationMatrix(
        HCOT, tile_ids, np.zeros(shape, int), np.ones(shape, np.float32), np.full(shape, "seed")
    )
    return ask(
        [question(tile_id) for tile_id in tile_ids],
        captioner,
        None,
        annotations,
        shard_dir,
        tiles_per_shard=tiles_per_shard,
        candidates=1,
        retry=RetryConfig(attempts=0),
    )
