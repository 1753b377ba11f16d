"""The HCoT chain for captioners that are not trained here: its questions, its progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actors.captioner.requests import Question
from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.evidence import measure
from corpus.geotiff.picture import grey_picture
from corpus.geotiff.read import read_backscatter
from corpus.integrity import check_tile
from corpus.storage.rng import derive_seed
from corpus.tiles import tile_path
from hcot_llm.engines.answer import Answer
from hcot_llm.engines.completion import Completion
from hcot_llm.knowledge.knowledge import tile_knowledge
from hcot_llm.prompts.chain import ChainResult
from hcot_llm.prompts.retry import Retry


@dataclass(frozen=True)
class ChainQuestion:
    """One chain: a question about a tile.

    Attributes:
        question: The question.
        path: The tile's GeoTIFF.
        sha256: Hash of that file, as recorded.
        gsd_m: Metres per pixel.
        place: Sentences about where the tile lies.
        seed: Of the sampled answers; None is greedy.
    """

    question: Question
    path: Path
    sha256: str
    gsd_m: float
    place: str
    seed: int | None

    @cached_property
    def _backscatter(self) -> Backscatter:
        """Backscatter of the tile.

        Raises:
            CorpusError: The tile has changed since it was recorded.
        """
        check_tile(self.question.tile_id, self.path, self.sha256)
        return read_backscatter(self.path)

    @property
    def picture(self) -> np.ndarray:
        """The tile for a model that looks, uint8 [H, W]."""
        return grey_picture(self._backscatter)

    def settings(self, *, evidence: bool, picture: bool, attempts: int) -> dict[str, Any]:
        """Return the arguments of `hcot_llm.prompts.chain.chain`.

        Args:
            evidence: Whether the prompts tell what was measured on the tile.
            picture: Whether the model is shown the tile.
            attempts: How often level 5 sends contradictions back.

        Raises:
            CorpusError: The tile has changed since it was recorded.
        """
        measured = measure(self._backscatter, self.gsd_m)
        return {
            "schema": self.question.schema,
            "queried": self.question.queried,
            "context": self.question.context,
            "feedback": self.question.hints,
            "evidence": measured.as_prompt() if evidence else None,
            "measured_pixels": [blob.length_pixels for blob in measured.blobs],
            "knowledge": self.place,
            "gsd_m": self.gsd_m,
            "picture": picture,
            "attempts": attempts,
        }


class ChainProgress:
    """What a chain has answered so far."""

    def __init__(self, chain: ChainQuestion) -> None:
        self._chain = chain
        self._distributions: dict[str, list[np.ndarray]] = {}
        self._tokens = self._prompts = 0

    @property
    def seed(self) -> int | None:
        """The seed of the next prompt; None is greedy."""
        return None if self._chain.seed is None else derive_seed(self._chain.seed, self._prompts)

    def take(self, completion: Completion) -> str:
        """Enter the answer to a prompt, and return its text."""
        for clause, found in completion.distributions.items():
            self._distributions.setdefault(clause, []).append(found)
        self._tokens += completion.tokens
        self._prompts += 1
        return completion.text

    def answer(self, result: ChainResult) -> Answer:
        """Return what the chain, at its end, says of the queried clauses."""
        values = self._chain.question.schema.in_order(
            {clause: result.values[clause] for clause in self._chain.question.queried if clause in result.values}
        )
        errors = tuple(result.failed.values())
        return Answer(
            values,
            {
                clause: found
                for clause, value in values.items()
                if (found := self._distribution(clause, value)) is not None
            },
            errors[0] if errors else None,
            self._tokens,
            further_errors=errors[1:],
        )

    def _distribution(self, clause: str, value: str) -> np.ndarray | None:
        """The last distribution whose most probable value is this one.

        A clause has several where level 5 corrected it, and the last of them may belong to a correction that was not
        taken.
        """
        vocabulary = self._chain.question.schema.vocabulary[clause]
        return next(
            (
                found
                for found in reversed(self._distributions.get(clause, ()))
                if vocabulary[int(found.argmax())] == value
            ),
            None,
        )


class ChainTiles:
    """The tiles of a corpus, as chains need them.

    Args:
        tiles: The tiles, see corpus/tiles.py.
        corpus_dir: Directory of their corpus.
    """

    def __init__(self, tiles: pa.Table, corpus_dir: Path) -> None:
        self._corpus_dir = corpus_dir
        columns = tiles.select(["tile_id", "path", "sha256", "gsd_m", "lon", "lat"])
        self._tiles = {row["tile_id"]: row for row in columns.to_pylist()}

    def chains(
        self, questions: Sequence[Question], retries: Sequence[Retry] | None, candidates: int
    ) -> list[list[ChainQuestion]]:
        """Make the chains of each question: all candidates, or the one that is asked again."""
        if retries is not None:
            seeds = [[None if retry.greedy else retry.seed] for retry in retries]
        else:
            seeds = [
                [None, *(derive_seed(question.seed, number, "sampled") for number in range(1, candidates))]
                for question in questions
            ]
        return [self._chains(question, each) for question, each in zip(questions, seeds, strict=True)]

    def _chains(self, question: Question, seeds: Sequence[int | None]) -> list[ChainQuestion]:
        tile = self._tiles[question.tile_id]
        place = "" if tile["lon"] is None else tile_knowledge(tile["lon"], tile["lat"]).sentences()
        path = tile_path(self._corpus_dir, tile["path"])
        return [ChainQuestion(question, path, tile["sha256"], tile["gsd_m"], place, seed) for seed in seeds]
