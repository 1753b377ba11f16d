"""Initial annotations without a file: the truth of simulated scenes made as wrong as people are, or geography."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.storage.rng import derive_seed
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.confusion import confusion
from hcot_llm.knowledge.knowledge import MAP_VALUES, map_values, tile_knowledge
from hcot_llm.schema.annotation_schema import AccuracyByValue, AnnotationSchema, Block
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import hedge, render_clause

INITIAL_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("clause", pa.string()),
        ("value", pa.string()),
        ("text", pa.string()),
        ("confidence", pa.float32()),
    ]
)


@dataclass(frozen=True)
class _TileAnnotation:
    """What an annotator wrote on one tile, all clauses in schema order."""

    values: dict[str, str]
    texts: dict[str, str]
    hedged: frozenset[str]


def truth_values(schema: AnnotationSchema, facts: Mapping[str, object]) -> dict[str, str]:
    """The true value of each clause of a simulated scene.

    Args:
        schema: The schema of the clauses.
        facts: A row of truth.parquet; keys that are no clause are ignored.

    Raises:
        SchemaError: A clause is missing, or has a value that is not in its vocabulary.
    """
    if missing := [clause for clause in schema.names if clause not in facts]:
        raise SchemaError(f"The facts of tile {facts.get('tile_id', '?')} lack: {', '.join(missing)}.")
    values = {clause: str(facts[clause]) for clause in schema.names}
    for clause, value in values.items():
        schema.check_value(clause, value)
    return values


def expected_accuracy(schema: AnnotationSchema, clause: str, config: CorruptionConfig | None = None) -> float:
    """Expected share of right initial annotations of a clause, over tiles with and without what it describes.

    Args:
        schema: The schema of the clause.
        clause: Name of the clause.
        config: Corruption that scales the schema's error rate; None takes the rate as it is.

    Returns:
        The share in 0..1.

    Raises:
        SchemaError: The schema does not give the clause an accuracy.
    """
    accuracy = schema.clause(clause).accuracy
    if accuracy is None:
        raise SchemaError(f"Clause '{clause}' has no accuracy in the schema {schema.label}: give it one, from 0 to 1.")
    if isinstance(accuracy, AccuracyByValue):
        rate = sum(share * accuracy.accuracy[value] for value, share in _shares(schema, accuracy.by).items())
    else:
        rate = accuracy
    return 1.0 - _scaled(1.0 - rate, config) if config else rate


def check_corruption(schema: AnnotationSchema, facts: Mapping[str, Sequence[str]]) -> None:
    """See, before work starts, that simulated scenes can be annotated.

    Args:
        schema: Schema of the annotations.
        facts: Fact of a simulated scene -> the values that it can have.

    Raises:
        SchemaError: names the clauses of which it knows nothing, a value outside the vocabulary, or the clause
            without an accuracy.
    """
    if unknown := [clause for clause in schema.names if clause not in facts]:
        raise SchemaError(
            f"Simulated scenes have no fact for {', '.join(map(repr, unknown))} of the schema {schema.label}; "
            f"they have: {', '.join(facts)}. Take other clauses, or give initial annotations with "
            "corpus.initial."
        )
    for clause in schema.names:
        if missing := [value for value in facts[clause] if value not in schema.vocabulary[clause]]:
            raise SchemaError(
                f"Simulated scenes can have {clause} {missing[0]}, which the schema {schema.label} does not know: give "
                f"the clause the values {', '.join(facts[clause])}, or others besides."
            )
        expected_accuracy(schema, clause)


def _shares(schema: AnnotationSchema, clause: str) -> Mapping[str, float]:
    """Assumed shares of tiles by the value of a clause; all alike where the schema does not say."""
    for block in schema.whole_blocks:
        if block.invented is not None and block.invented.by == clause:
            return block.invented.shares
    values = schema.vocabulary[clause]
    return dict.fromkeys(values, 1 / len(values))


def corrupt(
    schema: AnnotationSchema, truth: Mapping[str, Mapping[str, str]], config: CorruptionConfig, seed: int
) -> pa.Table:
    """Initial annotations of all tiles, INITIAL_SCHEMA: one row per clause, by tile_id and in schema order.

    A tile's annotation depends on the seed, its id and its truth alone (and, where it is given another tile's
    annotation, on that tile's), in whatever order the tiles come. The confidence of a row is the probability that it
    is right, from the rates and from whether it is hedged; it knows nothing else of the truth.
    """
    tile_ids = sorted(truth)
    written = {tile_id: _annotate(schema, truth[tile_id], config, seed, tile_id) for tile_id in tile_ids}
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
    return _table(schema, zip(tile_ids, carried, strict=True), confidence)


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


def geography_values(schema: AnnotationSchema, lon: float, lat: float) -> dict[str, str]:
    """What is annotated at a position of which nothing but maps is known, see `check_geography`.

    Clauses without geography are left out.
    """
    said = map_values(tile_knowledge(lon, lat))
    return {
        clause.name: said[clause.name] if clause.geography.value is None else clause.geography.value
        for clause in schema.clauses
        if clause.geography is not None
    }


def check_geography(schema: AnnotationSchema) -> None:
    """Check, before work starts, that geographic knowledge gives every clause a value.

    Raises:
        SchemaError: Some clauses get none; the message names them.
    """
    without = [clause.name for clause in schema.clauses if clause.geography is None]
    if without:
        raise SchemaError(
            f"The schema {schema.label} has no geography for {', '.join(map(repr, without))}, so nobody knows how to "
            "annotate real tiles at first: give initial annotations with corpus.initial."
        )
    check_maps(schema)


def check_maps(schema: AnnotationSchema) -> None:
    """See that what maps say of the clauses that ask them fits the schema. Raises SchemaError where it does not."""
    for clause in schema.clauses:
        if clause.geography is None or clause.geography.value is not None:
            continue
        if clause.name not in MAP_VALUES:
            raise SchemaError(
                f"Maps say nothing of '{clause.name}'; they say: {', '.join(MAP_VALUES)}. "
                "Give the clause's geography a value."
            )
        if missing := [value for value in MAP_VALUES[clause.name] if value not in clause.values]:
            raise SchemaError(
                f"Maps can say {clause.name} {missing[0]}, which the schema {schema.label} does not know."
            )


def geography_annotations(schema: AnnotationSchema, tiles: pa.Table) -> pa.Table:
    """Initial annotations from geographic knowledge alone, for a table of tiles with tile_id, lon and lat.

    Clauses without geography have no rows; `check_geography` sees that there are none.

    Raises:
        KnowledgeError: The geographic data is not installed.
    """
    positions = zip(*(tiles[name].to_pylist() for name in ("tile_id", "lon", "lat")), strict=True)
    values = {tile_id: geography_values(schema, lon, lat) for tile_id, lon, lat in positions}
    sure = {clause.name: clause.geography.confidence for clause in schema.clauses if clause.geography is not None}
    return stated_annotations(schema, values, sure, 0)


def stated_annotations(
    schema: AnnotationSchema,
    values: Mapping[str, Mapping[str, str]],
    confidence: Mapping[str, float],
    seed: int,
) -> pa.Table:
    """Given values as annotations, INITIAL_SCHEMA, worded as any are.

    Args:
        schema: of the annotations.
        values: tile_id -> clause -> value.
        confidence: Per clause what its annotations state, 0 to 1.
        seed: of the wording.
    """
    rows = [(tile_id, _write(schema, values[tile_id], frozenset(), seed, tile_id)) for tile_id in sorted(values)]
    return _table(schema, rows, {clause: (each, each) for clause, each in confidence.items()})


def _table(
    schema: AnnotationSchema,
    rows: Iterable[tuple[str, _TileAnnotation]],
    confidence: Mapping[str, tuple[float, float]],
) -> pa.Table:
    """The rows as a table; `confidence` has per clause that of a plain text and that of a hedged one."""
    entries = [
        (
            tile_id,
            clause,
            annotation.values[clause],
            annotation.texts[clause],
            confidence[clause][clause in annotation.hedged],
        )
        for tile_id, annotation in rows
        for clause in schema.names
        if clause in annotation.values
    ]
    columns = list(zip(*entries, strict=True)) or [[]] * len(INITIAL_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, INITIAL_SCHEMA, strict=True)]
    return pa.table(arrays, schema=INITIAL_SCHEMA)


def _confidence(
    schema: AnnotationSchema, clause: str, config: CorruptionConfig, agreement: float
) -> tuple[float, float]:
    accuracy = expected_accuracy(schema, clause, config)
    return (
        row_confidence(accuracy, config, agreement, hedged=False),
        row_confidence(accuracy, config, agreement, hedged=True),
    )


def _agreement(values: Sequence[str]) -> float:
    """Probability that two tiles say the same, from what they say; about that of their true values."""
    return sum((count / len(values)) ** 2 for count in Counter(values).values())


def _annotate(
    schema: AnnotationSchema, truth: Mapping[str, str], config: CorruptionConfig, seed: int, tile_id: str
) -> _TileAnnotation:
    """What an annotator who looks at this tile writes."""
    generator = _generator(seed, tile_id)
    generator.random()  # whether the tile carries another's annotation, drawn in `corrupt`
    values = _values(schema, truth, config, generator)
    draw = np.random.default_rng(derive_seed(seed, tile_id, "seed hedges")).random(len(schema))
    hedged = frozenset(
        clause
        for clause, chance in zip(schema.names, draw, strict=True)
        if chance
        < (config.share_hedged_when_right if values[clause] == truth[clause] else config.share_hedged_when_wrong)
    )
    return _write(schema, values, hedged, seed, tile_id)


def _write(
    schema: AnnotationSchema, values: Mapping[str, str], hedged: frozenset[str], seed: int, tile_id: str
) -> _TileAnnotation:
    generator = np.random.default_rng(derive_seed(seed, tile_id, "seed wording"))
    texts = {}
    for clause in schema.names:
        variant = int(generator.integers(1000))
        generator.random()  # keeps the wording of earlier corpora, which drew hedges here
        if clause not in values:
            continue
        text = render_clause(schema, clause, values[clause], variant=variant)
        texts[clause] = hedge(text) if clause in hedged else text
    return _TileAnnotation(dict(values), texts, hedged)


def _generator(seed: int, tile_id: str) -> np.random.Generator:
    # "seed annotation" is a part of the seed, as are "seed hedges" and "seed wording": other words change the draws.
    return np.random.default_rng(derive_seed(seed, tile_id, "seed annotation"))


def _values(
    schema: AnnotationSchema, truth: Mapping[str, str], config: CorruptionConfig, generator: np.random.Generator
) -> dict[str, str]:
    """One tile's wrong annotation: blocks invented or missed as a whole, then each clause for itself."""
    values = dict(truth)
    whole: dict[str, float] = {}
    wholly_wrong: set[str] = set()
    for block in schema.whole_blocks:
        assert block.invented is not None
        missing = truth[block.invented.by] == schema.absence[block.invented.by]
        share = _scaled(config.share_invented if missing else config.share_missed, config)
        whole |= dict.fromkeys(block.clauses, share)
        if generator.random() < share:
            wholly_wrong |= set(block.clauses)
            absent = {clause: schema.absence[clause] for clause in block.clauses}
            values |= _invent(block, generator) if missing else absent
    for clause in schema.clauses:
        draw, pick = generator.random(2)  # always drawn, so that one clause does not shift the others
        if clause.name in wholly_wrong:
            continue
        accuracy = clause.accuracy
        if isinstance(accuracy, AccuracyByValue):
            accuracy = accuracy.accuracy[truth[accuracy.by]]
        assert accuracy is not None  # see check_corruption
        error = _scaled(1.0 - accuracy, config)
        if clause.name in whole:
            # The wrong wholes are part of the clause's error rate; the rest of the rate is its own.
            error = max(0.0, (error - whole[clause.name]) / (1.0 - whole[clause.name]))
        if draw < error:
            values[clause.name] = _pick(
                *_confusion_table(schema, clause.name, truth[clause.name], config.share_random), pick
            )
    return values


def _invent(block: Block, generator: np.random.Generator) -> dict[str, str]:
    """What is annotated of a block that is not there."""
    invented = block.invented
    assert invented is not None
    shares = np.cumsum([kind.share for kind in invented.kinds])
    names = tuple(kind.value for kind in invented.kinds)
    kind = invented.kinds[names.index(_pick(names, tuple(shares), generator.random()))]
    values = {invented.by: kind.value}
    for aspect in kind.aspects:
        if aspect.weights:
            cumulative = np.cumsum(list(aspect.weights.values())) / sum(aspect.weights.values())
            drawn = _pick(tuple(aspect.weights), tuple(cumulative), generator.random())
        else:
            drawn = aspect.any_of[int(generator.integers(len(aspect.any_of)))]
        said = any(values[clause] == value for clause, value in aspect.unless.items())
        values[aspect.clause] = aspect.instead if said and aspect.instead is not None else drawn
    return values


@functools.lru_cache(maxsize=4096)
def _confusion_table(
    schema: AnnotationSchema, clause: str, value: str, share_random: float
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    options = confusion(schema, clause, value)
    shares = (1.0 - share_random) * np.asarray(list(options.values())) + share_random / len(options)
    return tuple(options), tuple(np.cumsum(shares))


def _pick(options: Sequence[str], cumulative: Sequence[float], draw: float) -> str:
    return options[min(int(np.searchsorted(cumulative, draw, side="right")), len(options) - 1)]


def _scaled(error: float, config: CorruptionConfig) -> float:
    return min(error * config.error_scale, 0.95)
