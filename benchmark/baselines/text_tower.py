"""An encoder of images and texts, however it was trained: pairs in one space, and clauses by their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.baselines.vision_tower import OpenedTower
from benchmark.suite.base import MethodMissing
from corpus.geotiff.backscatter import Backscatter

if TYPE_CHECKING:
    from hcot_llm.schema.annotation_schema import AnnotationSchema
    from model.encoder import SarEncoder


class OpenedPairs(OpenedTower):
    """An encoder that was trained on pairs of images and captions.

    Args:
        encoder: in evaluation mode.
        tokenizer: that its texts were read with.
        schema: of the clauses that its captions spoke of.
    """

    def __init__(self, encoder: SarEncoder, tokenizer: Any, schema: AnnotationSchema) -> None:
        super().__init__(encoder.vision)
        self.encoder, self.tokenizer, self.schema = encoder, tokenizer, schema

    def embed_pairs(self, images: Sequence[Backscatter], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of images and of captions, as training drew them together."""
        from model.score import Scorer

        scorer = Scorer(self.encoder, self.tokenizer)
        return scorer.image_embeddings(self.tokens(images)).numpy(), scorer.text_embeddings(texts).numpy()

    def read_clauses(self, images: Sequence[Backscatter], values: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """A softmax over the cosines of an image and the sentences of a clause's values, as CLIP classifies."""
        from hcot_llm.text.render import clause_sentences

        check_clauses(self.schema, values)
        sentences = dict(zip(self.schema.names, clause_sentences(self.schema)[1], strict=True))
        heat = float(self.encoder.temperature().detach())
        found = {}
        for clause in values:
            pictures, texts = self.embed_pairs(images, sentences[clause])
            logits = (pictures @ texts.T).astype(np.float64) / heat
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[clause] = shares / shares.sum(axis=1, keepdims=True)
        return found


class OpenedClauses(OpenedPairs):
    """An encoder whose clause head was trained too."""

    def read_clauses(self, images: Sequence[Backscatter], values: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """The clause head's distributions."""
        return clause_distributions(self, self.encoder, self.tokenizer, self.schema, images, values)


def clause_distributions(
    opened: OpenedTower,
    encoder: SarEncoder,
    tokenizer: Any,
    schema: AnnotationSchema,
    images: Sequence[Backscatter],
    values: Mapping[str, Sequence[str]],
) -> dict[str, np.ndarray]:
    """What an encoder's clause head says: clause -> float64 [N, values].

    Raises:
        MethodMissing: it knows other clauses or values.
    """
    from hcot_llm.text.render import clause_sentences
    from model.clause_text import ClauseText
    from model.score import Scorer

    check_clauses(schema, values)
    text = ClauseText.from_texts(tokenizer, *clause_sentences(schema))
    parts = Scorer(encoder, tokenizer).zero_shot(opened.tokens(images), text)
    by_clause = dict(zip(schema.names, parts, strict=True))
    return {clause: by_clause[clause].exp().double().numpy() for clause in values}


def check_clauses(schema: AnnotationSchema, values: Mapping[str, Sequence[str]]) -> None:
    """See that a schema has these clauses with these values.

    Raises:
        MethodMissing: it has not.
    """
    if any(name not in schema.names or tuple(schema.vocabulary[name]) != tuple(values[name]) for name in values):
        raise MethodMissing("the weights know other clauses than the task asks for")
