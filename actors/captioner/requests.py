"""What a captioner is asked: questions about tiles, and the requests that carry a shard of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from actors.data.image_index import ImageIndex
from hcot_llm.prompts.chain_config import ChainConfig
from hcot_llm.prompts.prompts import captioner_prompt, prompt_sha256
from hcot_llm.prompts.retry import Retry
from hcot_llm.schema.annotation_schema import AnnotationSchema


@dataclass(frozen=True)
class Question:
    """One tile and the clauses it is queried for.

    Attributes:
        schema: What annotations may say.
        tile_id: The tile.
        queried: The clauses to answer.
        context: The values of other clauses, which the prompt tells.
        knowledge: One line about the place, see hcot_llm/knowledge/knowledge.py.
        gsd_m: Metres per pixel, for the consistency check of level 5.
        hints: Per queried clause, what the encoder and the neighbours say.
        levels: Whether the prompt is structured by the HCoT levels.
        seed: Of the sampled candidates.
    """

    schema: AnnotationSchema
    tile_id: str
    queried: tuple[str, ...]
    context: dict[str, str]
    knowledge: str
    gsd_m: float
    hints: dict[str, str]
    levels: bool
    seed: int

    @cached_property
    def prompt(self) -> str:
        """The prompt of the native captioner."""
        return captioner_prompt(self.schema, self.context, self.queried, self.knowledge, self.hints, self.levels)


class Request(Protocol):
    """A shard of questions as one captioner takes it."""

    @property
    def source(self) -> str:
        """What answers the request; it is part of the name of the shard's file."""
        ...


@dataclass(frozen=True)
class CaptionRequest:
    """Prompts about N tiles, all to be answered with the same weights of the native captioner.

    Attributes:
        weights_dir: Directory of the weights that answer.
        weights_sha256: Hash of those weights.
        blocks: References to Arrow tables with an `image` column, so that pixels travel straight from the object store
            to the replica.
        where: N pairs (index into `blocks`, row).
        prompts: N texts.
        queried: N tuples of clauses.
        seed: Of the sampled candidates.
        retries: What each of the N prompts is to be answered with, where this asks again for answers that could not be
            used; None where every prompt gets all candidates.
    """

    weights_dir: str
    weights_sha256: str
    blocks: list = field(repr=False)
    where: list[tuple[int, int]] = field(repr=False)
    prompts: list[str] = field(repr=False)
    queried: list[tuple[str, ...]] = field(repr=False)
    seed: int
    retries: tuple[Retry, ...] | None = field(default=None, repr=False)

    @staticmethod
    def of(
        weights_dir: str,
        weights_sha256: str,
        questions: Sequence[Question],
        images: ImageIndex,
        seed: int,
        retries: tuple[Retry, ...] | None = None,
    ) -> "CaptionRequest":
        """The request for these questions, with the blocks that hold their images."""
        where = [images.where[question.tile_id] for question in questions]
        used = sorted({block for block, _ in where})
        position = {block: index for index, block in enumerate(used)}
        return CaptionRequest(
            weights_dir,
            weights_sha256,
            [images.blocks[block] for block in used],
            [(position[block], row) for block, row in where],
            [question.prompt for question in questions],
            [question.queried for question in questions],
            seed,
            retries,
        )

    @property
    def source(self) -> str:
        """The weights that answer."""
        return self.weights_sha256


@dataclass(frozen=True)
class ChainRequest:
    """Questions for a model that is asked by the HCoT chain.

    Attributes:
        source: The model, its settings and the prompts.
        questions: The questions.
        retries: As in `CaptionRequest`.
    """

    source: str
    questions: Sequence[Question]
    retries: tuple[Retry, ...] | None = None

    @staticmethod
    def of(
        model_id: str,
        config: ChainConfig,
        without: Collection[str],
        questions: Sequence[Question],
        retries: tuple[Retry, ...] | None,
    ) -> "ChainRequest":
        """The request to a model.

        Args:
            model_id: Names the model, and where it is.
            config: The settings of the model and its chain.
            without: Names of settings that change nothing of the answers.
            questions: The questions.
            retries: As in `CaptionRequest`.
        """
        settings = config.model_dump_json(exclude=set(without))
        return ChainRequest(f"{model_id} {settings} {prompt_sha256()}", questions, retries)
