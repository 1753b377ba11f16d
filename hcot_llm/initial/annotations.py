"""Initial annotations without a file: what their rows are, how right they are expected to be, and geography's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.storage.rng import derive_seed
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.knowledge.knowledge import MAP_VALUES, map_values, tile_knowledge
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from hcot_llm.schema.parts import AccuracyByValue
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
class TileAnnotation:
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
    return 1.0 - scaled(1.0 - rate, config) if config else rate


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
    rows = [(tile_id, write(schema, values[tile_id], frozenset(), seed, tile_id)) for tile_id in sorted(values)]
    return table_of(schema, rows, {clause: (each, each) for clause, each in confidence.items()})


def table_of(
    schema: AnnotationSchema,
    rows: Iterable[tuple[str, TileAnnotation]],
    confidence: Mapping[str, tuple[float, float]],
) -> pa.Table:
    """The rows as a table, INITIAL_SCHEMA.

    Args:
        schema: of the annotations.
        rows: (tile_id, its annotation).
        confidence: Per clause that of a plain text, and that of a hedged one.
    """
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


def write(
    schema: AnnotationSchema, values: Mapping[str, str], hedged: frozenset[str], seed: int, tile_id: str
) -> TileAnnotation:
    """Word an annotation.

    Args:
        schema: of the annotation.
        values: clause -> value; clauses that lack one have no text.
        hedged: Clauses whose text is in doubt.
        seed: of the wording.
        tile_id: the tile, on which the wording depends too.
    """
    generator = np.random.default_rng(derive_seed(seed, tile_id, "seed wording"))
    texts = {}
    for clause in schema.names:
        variant = int(generator.integers(1000))
        generator.random()  # keeps the wording of earlier corpora, which drew hedges here
        if clause not in values:
            continue
        text = render_clause(schema, clause, values[clause], variant=variant)
        texts[clause] = hedge(text) if clause in hedged else text
    return TileAnnotation(dict(values), texts, hedged)


def scaled(error: float, config: CorruptionConfig) -> float:
    """An error rate times `error_scale`, 0.95 at most."""
    return min(error * config.error_scale, 0.95)
