"""Training prompts that ask as labelling does, so that the captioner learns whom to believe when.

A labelling prompt masks a few doubtful clauses, and its hint says for each what the encoder and the nearest tiles make
of it. A correction prompt masks a few clauses whose value the loop believes, and hints at them with planted errors. The
masked value itself is never shown: how far the captioner is believed is fitted by how probable it makes the initial
annotations of held-out tiles, and a captioner that has read them would be believed for repeating them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hcot_llm.aggregation.feedback import hint_of
from hcot_llm.schema.annotation_schema import AnnotationSchema

_MOST_DOUBTED_SHARE = 0.5
"""Of the clauses of a tile; labelling asks about fewer on most tiles."""


def doubted(written: Sequence[str], generator: np.random.Generator) -> list[str]:
    """Draw the clauses that a correction prompt masks: one to half of them.

    Args:
        written: Clauses that the captioner is trained to write, in schema order.
        generator: All draws come from it.

    Returns:
        The drawn clauses in schema order.
    """
    most = max(1, int(len(written) * _MOST_DOUBTED_SHARE))
    count = int(generator.integers(1, most + 1))
    chosen = set(generator.choice(len(written), count, replace=False).tolist())
    return [clause for index, clause in enumerate(written) if index in chosen]


def planted_hints(
    schema: AnnotationSchema,
    values: Mapping[str, str],
    hints: Mapping[str, str],
    queried: Sequence[str],
    error_share: float,
    generator: np.random.Generator,
) -> dict[str, str]:
    """Hints for a correction prompt, with planted errors.

    Args:
        schema: The schema of the clauses.
        values: Clause -> the value to restore.
        hints: Clause -> the round before's hint; a clause without one is hinted at by its own value.
        queried: The masked clauses.
        error_share: Share of the hinted values that are replaced by another value of the clause.
        generator: All draws come from it.

    Returns:
        Clause -> hint, as labelling writes it.
    """
    planted = {}
    for clause in queried:
        said = hints.get(clause, values[clause]).split()
        encoder, neighbours = (
            _replaced(schema.vocabulary[clause], each, error_share, generator) for each in (said[0], said[-1])
        )
        planted[clause] = hint_of(encoder, neighbours)
    return planted


def _replaced(vocabulary: Sequence[str], value: str, share: float, generator: np.random.Generator) -> str:
    """The value, or with probability `share` another one of the vocabulary."""
    wrong, other = generator.random() < share, int(generator.integers(max(1, len(vocabulary) - 1)))
    others = [each for each in vocabulary if each != value]
    return others[other] if wrong and others else value
