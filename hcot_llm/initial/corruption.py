"""Initial annotations of simulated scenes: their truth, made as wrong as people are."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from corpus.storage.rng import derive_seed
from hcot_llm.initial.annotations import TileAnnotation, expected_accuracy, scaled, table_of, write
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.confusion import confusion
from hcot_llm.initial.mistaken import invent, mistaken, pick
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.parts import AccuracyByValue


def corrupt(
    schema: AnnotationSchema,
    truth: Mapping[str, Mapping[str, str]],
    config: CorruptionConfig,
    seed: int,
    *,
    place_of: Mapping[str, str] | None = None,
    taken_for: Mapping[str, np.ndarray] | None = None,
) -> pa.Table:
    """Initial annotations of all tiles, INITIAL_SCHEMA: one row per clause, by tile_id and in schema order.

    A tile's annotation depends on the seed, its id and its truth alone (and, where it is given another tile's
    annotation, on that tile's), in whatever order the tiles come; with errors that follow from the place also on that,
    and with errors that follow from the image on all images. The confidence of a row is the probability that it
    is right, from the rates and from whether it is hedged; it knows nothing else of the truth.

    Args:
        schema: of the annotations.
        truth: tile_id -> clause -> right value.
        config: kind and rates of the errors.
        seed: of all draws.
        place_of: tile_id -> whose annotator wrote it; kind place_dependent needs it.
        taken_for: Per clause float [N, V], probabilities of a weak classifier for the N tiles by tile_id; kind
            image_dependent needs it.
    """
    tile_ids = sorted(truth)
    values = _values_of_all(schema, tile_ids, truth, config, seed, place_of, taken_for)
    written = {
        tile_id: _annotate(schema, truth[tile_id], values[tile_id], config, seed, tile_id) for tile_id in tile_ids
    }
    carried = []
    for index, tile_id in enumerate(tile_ids):
        generator = _generator(seed, tile_id)
        source = tile_id
        if generator.random() < config.share_whole_image and len(tile_ids) > 1:
            source = tile_ids[(index + 1 + int(generator.integers(len(tile_ids) - 1))) % len(tile_ids)]
        carried.append(written[source])
    confidence = {
        clause: _confidence(schema, clause, config, _agreement([a.values[clause] for a in carried]))
        for clause in schema.names
    }
    return table_of(schema, zip(tile_ids, carried, strict=True), confidence)


def row_confidence(accuracy: float, config: CorruptionConfig, agreement: float, *, hedged: bool) -> float:
    """Probability that a clause is right, given whether its text is in doubt, 0 to 1.

    Bayes' rule on the rates: of the clauses right for the tile that was looked at, share_hedged_when_right are hedged,
    of the wrong ones share_hedged_when_wrong. Whoever looked at another tile was as sure of himself as anybody, so a
    hedge says nothing of that; such a clause is right if the two tiles happen to share the value. When right and wrong
    are hedged alike the hedge is no evidence, and the confidence is the same with and without.

    Args:
        accuracy: share of right clauses where the right tile was looked at.
        config: rates of the errors and of the hedges.
        agreement: probability that two tiles share a value of this clause.
        hedged: whether the clause's text is in doubt.
    """
    shares = (config.share_hedged_when_right, config.share_hedged_when_wrong)
    right, wrong = (share if hedged else 1.0 - share for share in shares)
    seen = accuracy * right + (1.0 - accuracy) * wrong
    own = accuracy * right / seen if seen > 0 else accuracy  # nothing looks like this, so it does not matter
    return (1.0 - config.share_whole_image) * own + config.share_whole_image * agreement


def _values_of_all(
    schema: AnnotationSchema,
    tile_ids: Sequence[str],
    truth: Mapping[str, Mapping[str, str]],
    config: CorruptionConfig,
    seed: int,
    place_of: Mapping[str, str] | None,
    taken_for: Mapping[str, np.ndarray] | None,
) -> dict[str, dict[str, str]]:
    """What annotators take all tiles for, by the kind of errors; arguments as of `corrupt`."""
    if config.kind == "image_dependent":
        assert taken_for is not None
        rates = {clause: 1 - expected_accuracy(schema, clause, config) for clause in schema.names}
        return mistaken(schema, tile_ids, truth, rates, taken_for, lambda tile_id: _generator(seed, tile_id))
    values = {}
    for tile_id in tile_ids:
        if config.kind == "place_dependent":
            assert place_of is not None
            draws = _DrawsOfPlace(seed, place_of[tile_id])
        else:
            draws = _DrawsOfTile(_generator(seed, tile_id))
        values[tile_id] = _values(schema, truth[tile_id], config, draws)
    return values


def _confidence(
    schema: AnnotationSchema, clause: str, config: CorruptionConfig, agreement: float
) -> tuple[float, float]:
    if config.stated_confidence is not None:
        return config.stated_confidence, config.stated_confidence
    accuracy = expected_accuracy(schema, clause, config)
    return (
        row_confidence(accuracy, config, agreement, hedged=False),
        row_confidence(accuracy, config, agreement, hedged=True),
    )


def _agreement(values: Sequence[str]) -> float:
    """Probability that two tiles say the same, from what they say; about that of their true values."""
    return sum((count / len(values)) ** 2 for count in Counter(values).values())


def _annotate(
    schema: AnnotationSchema,
    truth: Mapping[str, str],
    values: Mapping[str, str],
    config: CorruptionConfig,
    seed: int,
    tile_id: str,
) -> TileAnnotation:
    """What an annotator writes who looks at this tile and takes it for `values`."""
    draw = np.random.default_rng(derive_seed(seed, tile_id, "seed hedges")).random(len(schema))
    hedged = frozenset(
        clause
        for clause, chance in zip(schema.names, draw, strict=True)
        if chance
        < (config.share_hedged_when_right if values[clause] == truth[clause] else config.share_hedged_when_wrong)
    )
    return write(schema, values, hedged, seed, tile_id)


def _generator(seed: int, tile_id: str) -> np.random.Generator:
    # "seed annotation" is a part of the seed, as are "seed hedges" and "seed wording": other words change the draws.
    return np.random.default_rng(derive_seed(seed, tile_id, "seed annotation"))


class _DrawsOfTile:
    """Draws of one tile: all come from one generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        generator.random()  # whether the tile carries another's annotation, drawn in `corrupt`
        self._generator = generator

    def of(self, *_: str) -> np.random.Generator:
        return self._generator


class _DrawsOfPlace:
    """Draws of one place: the same for all tiles of which the same is asked."""

    def __init__(self, seed: int, place: str) -> None:
        self._of_place = (seed, place, "place")

    def of(self, *asked: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(*self._of_place, *asked))


def _values(
    schema: AnnotationSchema, truth: Mapping[str, str], config: CorruptionConfig, draws: _DrawsOfTile | _DrawsOfPlace
) -> dict[str, str]:
    """One tile's wrong annotation: blocks invented or missed as a whole, then each clause for itself."""
    values = dict(truth)
    whole: dict[str, float] = {}
    wholly_wrong: set[str] = set()
    for block in schema.whole_blocks:
        assert block.invented is not None
        missing = truth[block.invented.by] == schema.absence[block.invented.by]
        share = scaled(config.share_invented if missing else config.share_missed, config)
        whole |= dict.fromkeys(block.clauses, share)
        generator = draws.of(block.name, str(missing))
        if generator.random() < share:
            wholly_wrong |= set(block.clauses)
            absent = {clause: schema.absence[clause] for clause in block.clauses}
            values |= invent(block, generator) if missing else absent
    for clause in schema.clauses:
        # Always drawn, so that one clause does not shift the others.
        draw, which = draws.of(clause.name, truth[clause.name]).random(2)
        if clause.name in wholly_wrong:
            continue
        accuracy = clause.accuracy
        if isinstance(accuracy, AccuracyByValue):
            accuracy = accuracy.accuracy[truth[accuracy.by]]
        assert accuracy is not None  # see check_corruption
        error = scaled(1.0 - accuracy, config)
        if clause.name in whole:
            # The wrong wholes are part of the clause's error rate; the rest of the rate is its own.
            error = max(0.0, (error - whole[clause.name]) / (1.0 - whole[clause.name]))
        if draw < error:
            values[clause.name] = pick(
                *_confusion_table(schema, clause.name, truth[clause.name], config.share_random), which
            )
    return values


@functools.lru_cache(maxsize=4096)
def _confusion_table(
    schema: AnnotationSchema, clause: str, value: str, share_random: float
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    options = confusion(schema, clause, value)
    shares = (1.0 - share_random) * np.asarray(list(options.values())) + share_random / len(options)
    return tuple(options), tuple(np.cumsum(shares))
