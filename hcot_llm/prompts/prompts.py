"""Prompts of the six HCoT levels, from the template files and the schema; one hash is the version of the files.

There are two forms: the compact one that the native captioner is trained on (few tokens, closed vocabulary), and the
long one in plain English for instruction-tuned models. In both, the answers of earlier levels are context for later
ones.
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


def answer_text(schema: AnnotationSchema, values: Mapping[str, str], queried: Sequence[str]) -> str:
    """The answer to the queried clauses, byte for byte as structured output generates it.

    Args:
        schema: The schema of the clauses.
        values: Clause -> value, of the queried clauses at least.
        queried: Clauses to answer.
    """
    return json.dumps({clause: values[clause] for clause in schema.ordered(queried)}, separators=ANSWER_SEPARATORS)


def captioner_prompt(
    schema: AnnotationSchema,
    context: Mapping[str, str],
    queried: Sequence[str],
    knowledge_line: str,
    feedback: Mapping[str, str],
    levels: bool = True,
) -> str:
    """The native captioner's prompt: context clauses level by level, feedback, queried clauses.

    Args:
        schema: The schema of the clauses.
        context: Clause -> value of the clauses that are not queried.
        queried: Clauses to answer.
        knowledge_line: Words about the place.
        feedback: Clause -> likely values; only those of queried clauses are shown.
        levels: False leaves the hierarchy out (ablation): no headers, no knowledge, context in schema order.

    Raises:
        SchemaError: A clause or value is unknown, a clause is both context and queried, or no clause is queried.
    """
    wanted = schema.ordered(queried)
    if not wanted:
        raise SchemaError("A prompt has to ask for at least one clause.")
    if both := [clause for clause in wanted if clause in context]:
        raise SchemaError(f"Clause '{both[0]}' is both context and queried: the answer would stand in the prompt.")
    for clause, value in context.items():
        schema.check_value(clause, value)
    return " ".join(
        _template("captioner.j2")
        .render(
            levels=levels,
            knowledge=knowledge_line,
            queried=wanted,
            context=list(schema.in_order(context).items()),
            context_by_level=[
                (
                    level.word,
                    [(clause, context[clause]) for clause in schema.at_level(level.level) if clause in context],
                )
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
    queried: Sequence[str] | None = None,
    context: Mapping[str, str] | None = None,
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
        schema: The schema of the annotations.
        level: Number of the level, 0 to 5.
        queried: Clauses to answer; None means the level's own (level 5: all). Level 0 asks for a sentence and not for
            clauses.
        context: Clause -> value that earlier levels answered. Queried clauses in it are left out, except at level 5,
            which corrects them.
        knowledge: Sentences about the place (Knowledge.sentences()).
        feedback: Clause -> likely values.
        evidence: Name -> measurement; a text-only model gets it instead of the image.
        gsd_m: Ground sample distance in metres per pixel.
        description: The answer of level 0.
        contradictions: Contradictions that level 5 has to resolve, from hcot_llm/aggregation/consistency.py.
        picture: Whether the model is shown the tile beside the prompt.

    Raises:
        SchemaError: The schema does not have the level, no clause is queried, or a clause or value is unknown.
    """
    if level not in (0, *(each.level for each in schema.levels), 5):
        raise SchemaError(f"HCoT has levels 0 to 5, and of level {level} the schema {schema.label} has no clause.")
    wanted = schema.ordered(queried) if queried is not None else schema.at_level(level)
    if level > 0 and not wanted:
        raise SchemaError(f"Level {level} has to ask for at least one clause.")
    said = [
        render_clause(schema, clause, value, variant=0)
        for clause, value in schema.in_order(context or {}).items()
        if level == 5 or clause not in wanted
    ]
    about = next((each for each in schema.levels if each.level == level), None)
    text = _template(f"level{level}.j2" if about is None else "level.j2").render(
        level=about,
        queried=[(clause, schema.vocabulary[clause]) for clause in wanted],
        context=[*([description] if description else []), *said],
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
    """The version of the prompts: SHA-256 over the names and contents of all template files.

    Args:
        folder: Folder of the templates.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.j2")):
        content = path.read_bytes()
        digest.update(f"{path.name}\x1f{len(content)}\x1f".encode())
        digest.update(content)
    return digest.hexdigest()


def prompt_texts(folder: Path = _TEMPLATES) -> dict[str, str]:
    """Name of each template file that `prompt_sha256` is about -> its text."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.j2"))}


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
