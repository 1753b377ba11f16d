"""Questions for models that are asked by HCoT's chain: what each chain needs to know of its tile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from corpus.backscatter import Backscatter
from corpus.evidence import measure
from corpus.geotiff import read_backscatter
from corpus.picture import grey_picture
from corpus.seeds import derive_seed
from corpus.tiles import tile_path
from hcot_llm.chain import ChainResult
from hcot_llm.engine import Answer
from hcot_llm.knowledge import tile_knowledge
from hcot_llm.retry import Retry
from hcot_llm.schema import Clause, in_order

if TYPE_CHECKING:
    from actors.labeller import Question


@dataclass(frozen=True)
class ChainRequest:
    """Questions for HCoT chains. source: the model, its settings and the prompts, for the name of the shard."""

    source: str
    questions: Sequence["Question"]
    retries: tuple[Retry, ...] | None = None


@dataclass(frozen=True)
class ChainQuestion:
    """One chain: a question about a tile. seed: of its sampled answers, None is greedy.

    path: the tile's GeoTIFF. gsd_m: metres per pixel. place: sentences about where it lies.
    """

    question: "Question"
    path: Path
    gsd_m: float
    place: str
    seed: int | None

    @cached_property
    def _backscatter(self) -> Backscatter:
        return read_backscatter(self.path)

    @property
    def picture(self) -> np.ndarray:
        """The tile for a model that looks, uint8 [H, W]."""
        return grey_picture(self._backscatter)

    def settings(self, *, evidence: bool, picture: bool, attempts: int) -> dict[str, Any]:
        """Arguments of `hcot_llm.chain.chain`."""
        return dict(asked=self.question.asked, kept=self.question.kept, feedback=self.question.hints,
                    evidence=measure(self._backscatter, self.gsd_m).as_prompt() if evidence else None,
                    knowledge=self.place, gsd_m=self.gsd_m, picture=picture, attempts=attempts)

    def seed_of(self, prompt: int) -> int | None:
        """Of the chain's nth prompt."""
        return None if self.seed is None else derive_seed(self.seed, prompt)

    def answer(self, result: ChainResult, distributions: Mapping[Clause, np.ndarray], tokens: int) -> Answer:
        """What the chain says of the asked clauses."""
        values = in_order({clause: result.values[clause] for clause in self.question.asked if clause in result.values})
        return Answer(values, {clause: distributions[clause] for clause in values if clause in distributions},
                      next(iter(result.failed.values()), None), tokens)


class ChainTiles:
    """The tiles of a corpus, as chains need them."""

    def __init__(self, tiles: pa.Table, corpus_dir: Path) -> None:
        """tiles: of the corpus in `corpus_dir`, see corpus/tiles.py."""
        self._corpus_dir = corpus_dir
        columns = tiles.select(["tile_id", "path", "gsd_m", "lon", "lat"])
        self._tiles = {row["tile_id"]: row for row in columns.to_pylist()}

    def chains(self, questions: Sequence["Question"], retries: Sequence[Retry] | None,
               candidates: int) -> list[list[ChainQuestion]]:
        """For each question its chains: all candidates, or the one that is asked again."""
        if retries is not None:
            seeds = [[None if retry.greedy else retry.seed] for retry in retries]
        else:
            seeds = [[None, *(derive_seed(question.seed, number, "sampled") for number in range(1, candidates))]
                     for question in questions]
        return [self._chains(question, each) for question, each in zip(questions, seeds, strict=True)]

    def _chains(self, question: "Question", seeds: Sequence[int | None]) -> list[ChainQuestion]:
        tile = self._tiles[question.tile_id]
        place = tile_knowledge(tile["lon"], tile["lat"]).sentences()
        return [ChainQuestion(question, tile_path(self._corpus_dir, tile["path"]), tile["gsd_m"], place, seed)
                for seed in seeds]
