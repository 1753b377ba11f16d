"""Seed annotations: the truth of simulated scenes made as wrong as people are, or geography alone."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.storage.models import FrozenModel
from corpus.storage.rng import derive_seed
from hcot_llm.initial.error_rates import (
    CATEGORY_SHARE,
    INVENTED,
    LANDFORM_ACCURACY,
    TARGET_ACCURACY,
    confusion,
    weights,
)
from hcot_llm.knowledge.knowledge import prior_values, tile_knowledge
from hcot_llm.schema.clauses import (
    ABSENT,
    CLAUSES,
    NO_TARGETS,
    TARGET_CLAUSES,
    VOCABULARY,
    Clause,
    SchemaError,
    check_value,
)
from hcot_llm.text.render import hedge, render_clause

SEED_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("clause", pa.string()),
        ("value", pa.string()),
        ("text", pa.string()),
        ("confidence", pa.float32()),
    ]
)

# Rough expectation of how far a map alone gets, used as confidence only; no reference was consulted for it.
GEOGRAPHY_CONFIDENCE: dict[Clause, float] = {
    Clause.TERRAIN: 0.65,
    Clause.FUNCTIONALITY: 0.55,
    Clause.DISTRIBUTION: 0.45,
    Clause.LAYOUT: 0.55,
    Clause.BOUNDARY: 0.45,
    Clause.BUILDING: 0.55,
    Clause.ROAD: 0.55,
    Clause.WATER: 0.70,
    **dict.fromkeys(TARGET_CLAUSES, 0.85),
}


class CorruptionConfig(FrozenModel):
    """How wrong the seed annotations of simulated scenes are; the rates stand in confusions.py."""

    error_scale: float = Field(1.0, ge=0, le=2, description="factor on every error rate; 0 gives the truth")
    share_random: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the wrong clauses whose value is any other with equal probability; the rest are values "
        "that are easily taken for the right one",
    )
    share_invented: float = Field(
        0.08, ge=0, le=0.15, description="share of empty tiles given targets that are not there"
    )
    share_missed: float = Field(0.06, ge=0, le=0.15, description="share of tiles with targets annotated as empty")
    share_whole_image: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of tiles that carry the annotation of another tile: all its clauses, errors and hedges",
    )
    share_hedged_when_right: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the clauses right for the annotated tile whose text is in doubt ('Possibly: ...')",
    )
    share_hedged_when_wrong: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the wrong ones whose text is in doubt; the larger against the share of the right "
        "ones, the more a hedge says",
    )


@dataclass(frozen=True)
class _TileAnnotation:
    """What an annotator wrote on one tile, all clauses in schema order."""

    values: dict[Clause, str]
    texts: dict[Clause, str]
    hedged: frozenset[Clause]


def truth_values(facts: Mapping[str, object]) -> dict[Clause, str]:
    """The 16 clauses from a scene's facts (a row of truth.parquet); other keys are left alone.

    Raises SchemaError when a clause is missing or has a value the vocabulary does not know.
    """
    if missing := [str(clause) for clause in CLAUSES if clause not in facts]:
        raise SchemaError(f"The facts of tile {facts.get('tile_id', '?')} lack: {', '.join(missing)}.")
    return {clause: check_value(clause, str(facts[clause]))[1] for clause in CLAUSES}


def expected_accuracy(clause: Clause, config: CorruptionConfig | None = None) -> float:
    """Share of right values expected in this clause, over tiles with and without targets."""
    if clause in LANDFORM_ACCURACY:
        rate = LANDFORM_ACCURACY[clause]
    else:
        rate = sum(share * TARGET_ACCURACY[category][clause] for category, share in CATEGORY_SHARE.items())
    return 1.0 - _scaled(1.0 - rate, config) if config else rate


def corrupt(truth: Mapping[str, Mapping[Clause, str]], config: CorruptionConfig, seed: int) -> pa.Table:
    """Seed annotations of all tiles, SEED_SCHEMA: one row per clause, by tile_id and in schema order.

    A tile's annotation depends on the seed, its id and its truth alone (and, where it is given another tile's
    annotation, on that tile's), in whatever order the tiles come. The confidence of a row is the probability that it
    is right, from the rates and from whether it is hedged; it knows nothing else of the truth.
    """
    tile_ids = sorted(truth)
    written = {tile_id: _annotate(truth[tile_id], config, seed, tile_id) for tile_id in tile_ids}
    carried = []
    for index, tile_id in enumerate(tile_ids):
        generator = _generator(seed, tile_id)
        source = tile_id
        if generator.random() < config.share_whole_image and len(tile_ids) > 1:
            source = tile_ids[(index + 1 + int(generator.integers(len(tile_ids) - 1))) % len(tile_ids)]
        carried.append(written[source])
    confidence = {
        clause: _confidence(clause, config, _agreement([a.values[clause] for a in carried])) for clause in CLAUSES
    }
    return _table(zip(tile_ids, carried, strict=True), confidence)


def row_confidence(accuracy: float, config: CorruptionConfig, agreement: float, *, hedged: bool) -> float:
    """Probability that a clause is right, given whether its text is in doubt, 0 to 1.

    Bayes' rule on the rates: of the clauses right for the tile that was looked at, share_hedged_when_right are hedged,
    of the wrong ones share_hedged_when_wrong. Whoever looked at another tile was as sure of himself as anybody, so a
    hedge says nothing of that; such a clause is right if the two tiles happen to share the value. When right and wrong
    are hedged alike the hedge is no evidence, and the confidence is the same with and without.

    Args:
        accuracy: share of right clauses where the right tile was looked at.
        agreement: probability that two tiles share a value of this clause.
    """
    shares = (config.share_hedged_when_right, config.share_hedged_when_wrong)
    right, wrong = (share if hedged else 1.0 - share for share in shares)
    seen = accuracy * right + (1.0 - accuracy) * wrong
    own = accuracy * right / seen if seen > 0 else accuracy  # nothing looks like this, so it does not matter
    return (1.0 - config.share_whole_image) * own + config.share_whole_image * agreement


def geography_seed(tiles: pa.Table) -> pa.Table:
    """Seed annotations from geographic knowledge alone, for a table of tiles with tile_id, lon and lat.

    Raises hcot_llm.knowledge.knowledge.KnowledgeError when the geographic data is not installed.
    """
    positions = zip(*(tiles[name].to_pylist() for name in ("tile_id", "lon", "lat")), strict=True)
    rows = [
        (tile_id, _write(prior_values(tile_knowledge(lon, lat)), frozenset(), 0, tile_id))
        for tile_id, lon, lat in sorted(positions)
    ]
    return _table(rows, {clause: (sure, sure) for clause, sure in GEOGRAPHY_CONFIDENCE.items()})


def _table(rows: Iterable[tuple[str, _TileAnnotation]], confidence: Mapping[Clause, tuple[float, float]]) -> pa.Table:
    """confidence: clause -> that of a plain text and that of a hedged one."""
    entries = [
        (
            tile_id,
            str(clause),
            annotation.values[clause],
            annotation.texts[clause],
            confidence[clause][clause in annotation.hedged],
        )
        for tile_id, annotation in rows
        for clause in CLAUSES
    ]
    columns = list(zip(*entries, strict=True)) or [[]] * len(SEED_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SEED_SCHEMA, strict=True)]
    return pa.table(arrays, schema=SEED_SCHEMA)


def _confidence(clause: Clause, config: CorruptionConfig, agreement: float) -> tuple[float, float]:
    accuracy = expected_accuracy(clause, config)
    return tuple(row_confidence(accuracy, config, agreement, hedged=hedged) for hedged in (False, True))


def _agreement(values: Sequence[str]) -> float:
    """Probability that two tiles say the same, from what they say; about that of their true values."""
    return sum((count / len(values)) ** 2 for count in Counter(values).values())


def _annotate(truth: Mapping[Clause, str], config: CorruptionConfig, seed: int, tile_id: str) -> _TileAnnotation:
    """What an annotator who looks at this tile writes."""
    generator = _generator(seed, tile_id)
    generator.random()  # whether the tile carries another's annotation, drawn in `corrupt`
    values = _values(truth, config, generator)
    draw = np.random.default_rng(derive_seed(seed, tile_id, "seed hedges")).random(len(CLAUSES))
    hedged = frozenset(
        clause
        for clause, chance in zip(CLAUSES, draw, strict=True)
        if chance
        < (config.share_hedged_when_right if values[clause] == truth[clause] else config.share_hedged_when_wrong)
    )
    return _write(values, hedged, seed, tile_id)


def _write(values: Mapping[Clause, str], hedged: frozenset[Clause], seed: int, tile_id: str) -> _TileAnnotation:
    generator = np.random.default_rng(derive_seed(seed, tile_id, "seed wording"))
    texts = {}
    for clause in CLAUSES:
        text = render_clause(clause, values[clause], variant=int(generator.integers(1000)))
        generator.random()  # keeps the wording of earlier corpora, which drew hedges here
        texts[clause] = hedge(text) if clause in hedged else text
    return _TileAnnotation(dict(values), texts, hedged)


def _generator(seed: int, tile_id: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, tile_id, "seed annotation"))


def _values(truth: Mapping[Clause, str], config: CorruptionConfig, generator: np.random.Generator) -> dict[Clause, str]:
    """One tile's wrong annotation: the targets invented or missed as a whole, then each clause for itself."""
    category = truth[Clause.TARGET_CATEGORY]
    whole = _scaled(config.share_invented if category == ABSENT else config.share_missed, config)
    values = dict(truth)
    wholly_wrong = generator.random() < whole
    if wholly_wrong:
        values |= _invent(generator) if category == ABSENT else NO_TARGETS
    for clause in CLAUSES:
        draw, pick = generator.random(2)  # always drawn, so that one clause does not shift the others
        if clause in LANDFORM_ACCURACY:
            error = _scaled(1.0 - LANDFORM_ACCURACY[clause], config)
        elif wholly_wrong:
            continue
        else:
            # The wrong wholes are part of the clause's error rate; the rest of the rate is its own.
            error = _scaled(1.0 - TARGET_ACCURACY[category][clause], config)
            error = max(0.0, (error - whole) / (1.0 - whole))
        if draw < error:
            values[clause] = _pick(*_confusion_table(clause, truth[clause], config.share_random), pick)
    return values


def _invent(generator: np.random.Generator) -> dict[Clause, str]:
    category = "ship" if generator.random() < 0.65 else "aircraft"
    values = {Clause.TARGET_CATEGORY: category}
    for clause, text in INVENTED[category].items():
        options = weights(text)
        cumulative = np.cumsum(list(options.values())) / sum(options.values())
        values[clause] = _pick(tuple(options), tuple(cumulative), generator.random())
    values[Clause.TARGET_LOCATION] = VOCABULARY[Clause.TARGET_LOCATION][1 + int(generator.integers(9))]
    several = ("cluster", "scattered")[int(generator.integers(2))]
    values[Clause.TARGET_DISTRIBUTION] = "single" if values[Clause.TARGET_COUNT] == "1" else several
    return values


@functools.cache
def _confusion_table(clause: Clause, value: str, share_random: float) -> tuple[tuple[str, ...], tuple[float, ...]]:
    options = confusion(clause, value)
    shares = (1.0 - share_random) * np.asarray(list(options.values())) + share_random / len(options)
    return tuple(options), tuple(np.cumsum(shares))


def _pick(options: Sequence[str], cumulative: Sequence[float], draw: float) -> str:
    return options[min(int(np.searchsorted(cumulative, draw, side="right")), len(options) - 1)]


def _scaled(error: float, config: CorruptionConfig) -> float:
    return min(error * config.error_scale, 0.95)
