"""Annotations that are wrong because of what an image looks like, and what is annotated where there is nothing."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hcot_llm.initial.label_errors import LabelErrorsConfig, with_errors
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.parts import Block


def mistaken(
    schema: AnnotationSchema,
    tile_ids: Sequence[str],
    truth: Mapping[str, Mapping[str, str]],
    rates: Mapping[str, float],
    taken_for: Mapping[str, np.ndarray],
    generator_of: Callable[[str], np.random.Generator],
) -> dict[str, dict[str, str]]:
    """What a weak classifier takes tiles for, on the tiles of each clause that it is most wrong about.

    Blocks stay whole: where their first clause says that there is nothing, all of its clauses do; where it says that
    there is something that is not there, the others say what is invented with it.

    Args:
        schema: of the annotations.
        tile_ids: of N tiles.
        truth: tile_id -> clause -> right value.
        rates: Per clause the share of wrong values.
        taken_for: Per clause float [N, V], the classifier's probabilities.
        generator_of: tile_id -> the generator of what is invented of it.

    Returns:
        tile_id -> clause -> value.
    """
    columns = {}
    for clause, words in schema.vocabulary.items():
        right = np.asarray([schema.value_index[clause][truth[tile_id][clause]] for tile_id in tile_ids])
        errors = LabelErrorsConfig(kind="image_dependent", share=min(rates[clause], 0.95))
        wrong = with_errors(right, len(words), errors, groups=tile_ids, seed=0, taken_for=taken_for[clause])
        columns[clause] = [words[value] for value in wrong]
    found = {}
    for row, tile_id in enumerate(tile_ids):
        values = {clause: columns[clause][row] for clause in schema.names}
        for block in schema.whole_blocks:
            assert block.invented is not None
            by, absence = block.invented.by, schema.absence
            if values[by] == absence[by]:
                values |= {clause: absence[clause] for clause in block.clauses}
            elif truth[tile_id][by] == absence[by]:
                values |= invent(block, generator_of(tile_id))
            else:
                values |= {
                    clause: truth[tile_id][clause] for clause in block.clauses if values[clause] == absence[clause]
                }
        found[tile_id] = values
    return found


def invent(block: Block, generator: np.random.Generator) -> dict[str, str]:
    """What is annotated of a block that is not there: clause -> value; all draws come from the generator."""
    invented = block.invented
    assert invented is not None
    shares = np.cumsum([kind.share for kind in invented.kinds])
    names = tuple(kind.value for kind in invented.kinds)
    kind = invented.kinds[names.index(pick(names, tuple(shares), generator.random()))]
    values = {invented.by: kind.value}
    for aspect in kind.aspects:
        if aspect.weights:
            cumulative = np.cumsum(list(aspect.weights.values())) / sum(aspect.weights.values())
            drawn = pick(tuple(aspect.weights), tuple(cumulative), generator.random())
        else:
            drawn = aspect.any_of[int(generator.integers(len(aspect.any_of)))]
        said = any(values[clause] == value for clause, value in aspect.unless.items())
        values[aspect.clause] = aspect.instead if said and aspect.instead is not None else drawn
    return values


def pick(options: Sequence[str], cumulative: Sequence[float], draw: float) -> str:
    """The option that a draw in 0..1 falls on.

    Args:
        options: names.
        cumulative: of each the sum of the shares up to it.
        draw: the draw.
    """
    return options[min(int(np.searchsorted(cumulative, draw, side="right")), len(options) - 1)]
