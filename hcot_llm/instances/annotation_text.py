"""A whole annotation as natural language and back: clauses, hedges, the tile's size, boxes and relations."""

from pydantic import ValidationError

from hcot_llm.instances.wording import box_sentences, read_relation, read_sentence, relation_sentence, shape_sentence
from hcot_llm.schema.clauses import Annotation, Clause, SchemaError, first_error
from hcot_llm.text.render import (
    UnknownSentenceError,
    choose_variant,
    hedge,
    is_hedged,
    parse_clause,
    render_clause,
    split_sentences,
)


def render_annotation(annotation: Annotation, *, seed: int) -> str:
    """Everything an annotation says in sentences; the same annotation and seed give the same text.

    Clauses are worded as `render_caption` words them, so that boxes and relations only add to it. Free text that an
    annotation was read from is not repeated.

    Raises SchemaError when there is nothing to say.
    """
    sentences = []
    for clause, value in annotation.values.items():
        text = render_clause(clause, value, variant=choose_variant(seed, clause))
        sentences.append(hedge(text) if clause in annotation.hedged else text)
    if annotation.tile_shape is not None:
        sentences.append(shape_sentence(annotation.tile_shape, choose_variant(seed, "tile shape")))
    for index, box in enumerate(annotation.boxes):
        sentences += box_sentences(index, box, choose_variant(seed, "box", index))
    for index, relation in enumerate(annotation.relations):
        sentences.append(relation_sentence(relation, choose_variant(seed, "relation", index)))
    if not sentences:
        raise SchemaError("The annotation has no value, box or relation to say.")
    return " ".join(sentences)


def parse_annotation(text: str) -> Annotation:
    """What a text of `render_annotation` says.

    Raises UnknownSentenceError for a sentence that is not ours, SchemaError when a thing is said twice, a target is
    described before its box, or what is said breaks the schema.
    """
    values: dict[Clause, str] = {}
    hedged: list[Clause] = []
    shape: tuple[int, int] | None = None
    boxes: list[dict] = []
    relations: list[dict] = []
    for sentence in split_sentences(text):
        found = read_sentence(sentence)
        if found is None:
            clause, value = parse_clause(sentence)
            if clause in values:
                raise SchemaError(f"The text says clause '{clause}' twice: {values[clause]} and {value}.")
            values[clause] = value
            hedged += [clause] if is_hedged(sentence) else []
            continue
        kind, fields = found
        if kind == "relation":
            relations.append(read_relation(fields))
        elif kind == "shape":
            if shape is not None:
                raise SchemaError(f"The text says the size of the tile twice, the second time in {sentence!r}.")
            shape = int(fields["rows"]), int(fields["cols"])
        else:
            _add_to_boxes(boxes, kind, fields, sentence)
    try:
        return Annotation(values=values, boxes=boxes, relations=relations, tile_shape=shape, hedged=hedged)
    except ValidationError as error:
        raise SchemaError(f"The text breaks the schema: {first_error(error)}") from error


def _add_to_boxes(boxes: list[dict], kind: str, fields: dict[str, str], sentence: str) -> None:
    number = int(fields["number"])
    if kind == "box":
        if number != len(boxes) + 1:
            raise SchemaError(f"Target {len(boxes) + 1} is the next to be placed, not {number}: {sentence!r}.")
        boxes.append(
            {
                "category": fields["category"],
                "row_start": int(fields["top"]),
                "row_stop": int(fields["bottom"]) + 1,
                "col_start": int(fields["left"]),
                "col_stop": int(fields["right"]) + 1,
            }
        )
        return
    key, unit = ("length_m", "metres") if kind == "length" else ("heading_deg", "degrees")
    if not 1 <= number <= len(boxes):
        raise SchemaError(f"Target {number} has not been placed before {sentence!r}.")
    if key in boxes[number - 1]:
        raise SchemaError(f"The {kind} of target {number} is said twice, the second time in {sentence!r}.")
    try:
        boxes[number - 1][key] = float(fields[unit])
    except ValueError as error:
        raise UnknownSentenceError(f"{fields[unit]!r} is no number in {sentence!r}.") from error
