"""Prompts of the six HCoT levels, from the template files and the schema; the files are versioned by one hash.

Two forms: the compact one that the native captioner is trained on (few tokens, closed vocabulary), and the
long one in plain English for instruction-tuned models. Both follow the chain: what earlier levels said is
context for the later.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import jinja2

from hcot_llm.aggregation.consistency import Contradiction
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import render_clause

# As xgrammar writes JSON without free whitespace, which is json.dumps' default.
ANSWER_SEPARATORS: Final = (", ", ": ")
_TEMPLATES: Final = Path(__file__).parent / "templates"


def answer_text(schema: AnnotationSchema, values: Mapping[str, str], asked: Sequence[str]) -> str:
    """The answer to the asked clauses, byte for byte as structured output generates it."""
    return json.dumps({clause: values[clause] for clause in schema.ordered(asked)}, separators=ANSWER_SEPARATORS)


def captioner_prompt(
    schema: AnnotationSchema,
    kept: Mapping[str, str],
    asked: Sequence[str],
    knowledge_line: str,
    feedback: Mapping[str, str],
    levels: bool = True,
) -> str:
    """The native captioner's prompt: kept clauses level by level, feedback, the asked clauses.

    levels: with False the hierarchy is gone (ablation): no headers, no knowledge, clauses in schema order.
    Raises SchemaError for an unknown clause or value, when a clause is both kept and asked, or none is asked.
    """
    wanted = schema.ordered(asked)
    if not wanted:
        raise SchemaError("A prompt has to ask for at least one clause.")
    if both := [clause for clause in wanted if clause in kept]:
        raise SchemaError(f"Clause '{both[0]}' is both kept and asked: the answer would stand in the prompt.")
    for clause, value in kept.items():
        schema.check_value(clause, value)
    return " ".join(
        _template("captioner.j2")
        .render(
            levels=levels,
            knowledge=knowledge_line,
            asked=wanted,
            kept=list(schema.in_order(kept).items()),
            kept_by_level=[
                (level.word, [(clause, kept[clause]) for clause in schema.at_level(level.level) if clause in kept])
                for level in schema.levels
            ],
            feedback=[(clause, feedback[clause]) for clause in wanted if feedback.get(clause)],
        )
        .split()
    )


def chat_prompt(
    schema: AnnotationSchema,
    level: int,
    *,
    asked: Sequence[str] | None = None,
    kept: Mapping[str, str] | None = None,
    knowledge: str = "",
    feedback: Mapping[str, str] | None = None,
    evidence: Mapping[str, object] | None = None,
    gsd_m: float | None = None,
    description: str = "",
    contradictions: Sequence[Contradiction] = (),
    picture: bool = False,
) -> str:
    """One level's prompt in plain English, for an instruction-tuned model; levels 0 to 5.

    Args:
        schema: of the annotations.
        level: 0 to 5.
        asked: clauses to answer; None means the level's own (level 5: all). Level 0 asks for a sentence, not
            for clauses.
        kept: what earlier levels said; asked clauses in it are left out, except at level 5, which corrects
            them.
        knowledge: sentences about the place (Knowledge.sentences()).
        feedback: clause -> likely values.
        evidence: name -> measurement; a text-only model gets it instead of the image.
        gsd_m: ground distance between pixels, in metres.
        description: the answer of level 0.
        contradictions: what level 5 has to resolve, from hcot_llm/aggregation/consistency.py.
        picture: the model is shown the tile beside the prompt.

    Raises SchemaError for a level that the schema does not have, or unknown clauses and values.
    """
    if level not in (0, *(each.level for each in schema.levels), 5):
        raise SchemaError(f"HCoT has levels 0 to 5, and of level {level} the schema {schema.label} has no clause.")
    wanted = schema.ordered(asked) if asked is not None else schema.at_level(level)
    if level > 0 and not wanted:
        raise SchemaError(f"Level {level} has to ask for at least one clause.")
    said = [
        render_clause(schema, clause, value, variant=0)
        for clause, value in schema.in_order(kept or {}).items()
        if level == 5 or clause not in wanted
    ]
    about = next((each for each in schema.levels if each.level == level), None)
    text = _template(f"level{level}.j2" if about is None else "level.j2").render(
        level=about,
        asked=[(clause, schema.vocabulary[clause]) for clause in wanted],
        kept=[*([description] if description else []), *said],
        knowledge=knowledge or "Nothing.",
        feedback=[(c, (feedback or {})[c]) for c in wanted if (feedback or {}).get(c)],
        evidence=dict(evidence or {}),
        gsd_m=gsd_m,
        contradictions=list(contradictions),
        picture=picture,
    )
    return text.strip() + "\n"


@functools.cache
def prompt_sha256(folder: Path = _TEMPLATES) -> str:
    """SHA-256 over all template files (names and contents), hexadecimal: the version of the prompts."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.j2")):
        content = path.read_bytes()
        digest.update(f"{path.name}\x1f{len(content)}\x1f".encode())
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


@functools.cache
def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)
