"""Hypothesis strategies for whole annotations, boxes and relations included."""

from hypothesis import strategies as st

from hcot_llm.schema.clauses import CLAUSES, VOCABULARY, Annotation, Clause, count_of
from hcot_llm.schema.instances import ALL_TARGETS, CATEGORIES, CONTAINMENT, PREDICATES, REGIONS, Box, Relation

finite = {"allow_nan": False, "allow_infinity": False}


def values(min_size: int = 0) -> st.SearchStrategy[dict[Clause, str]]:
    return st.lists(st.sampled_from(CLAUSES), min_size=min_size, unique=True).flatmap(
        lambda clauses: st.fixed_dictionaries({clause: st.sampled_from(VOCABULARY[clause]) for clause in clauses})
    )


@st.composite
def boxes(draw, shape: tuple[int, int]) -> Box:
    top, left = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
    return Box(
        category=draw(st.sampled_from(CATEGORIES)),
        row_start=top,
        row_stop=draw(st.integers(top + 1, shape[0])),
        col_start=left,
        col_stop=draw(st.integers(left + 1, shape[1])),
        length_m=draw(st.none() | st.floats(0, 1000, exclude_min=True, **finite)),
        heading_deg=draw(st.none() | st.floats(0, 360, exclude_max=True, **finite)),
    )


@st.composite
def relations(draw, count: int) -> Relation:
    subject = draw(st.sampled_from([ALL_TARGETS, *range(count)]))
    predicate = draw(st.sampled_from(PREDICATES))
    others = [] if subject == ALL_TARGETS else [index for index in range(count) if index != subject]
    objects = CONTAINMENT.get(predicate) or (*REGIONS, *others)
    return Relation(subject=subject, predicate=predicate, object=draw(st.sampled_from(objects)))


@st.composite
def annotations(draw) -> Annotation:
    """Valid annotations of all kinds, save for free text, and never empty."""
    shape = draw(st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
    found = tuple(draw(st.lists(boxes(shape), max_size=12))) if shape else ()
    said = draw(values(min_size=0 if shape else 1))
    if found and Clause.TARGET_COUNT in said:
        said[Clause.TARGET_COUNT] = count_of(len(found))
    return Annotation(
        values=said,
        boxes=found,
        tile_shape=shape,
        relations=tuple(draw(st.lists(relations(len(found)), max_size=6, unique=True))),
        hedged=draw(st.lists(st.sampled_from(list(said)), unique=True)) if said else (),
    )
