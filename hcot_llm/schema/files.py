"""Schemas on disk: the packaged default, a user's file, and the copy that lies beside weights and corpora."""

import functools
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from corpus.storage.yaml import load_yaml
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError, SchemaMismatch

DEFAULT: Final = Path(__file__).parent / "hcot.yaml"
SCHEMA_FILE: Final = "schema.json"
"""Beside model.yaml in a directory of weights, and in a corpus: the whole schema."""


@functools.cache
def default_schema() -> AnnotationSchema:
    """The schema that comes with the package, hcot.yaml."""
    return load_schema(DEFAULT)


def load_schema(path: Path) -> AnnotationSchema:
    """Read a schema.

    Raises:
        SchemaError: no such file, no YAML, or a schema that cannot be used; one line for each problem.
    """
    problems, schema = check_schema(path)
    if schema is None:
        raise SchemaError(f"The annotation schema {path} cannot be used:\n  " + "\n  ".join(problems))
    return schema


def check_schema(path: Path) -> tuple[list[str], AnnotationSchema | None]:
    """What is wrong with a file, in words, and the schema where nothing is."""
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        return [f"it cannot be read: {error.strerror or error}."], None
    except UnicodeDecodeError as error:
        return [f"it is no text in UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."], None
    except yaml.YAMLError as error:
        return [f"it is not YAML: {_without_picture(error)}."], None
    if not isinstance(content, dict):
        said = "it is empty" if content is None else f"it holds a {_KINDS.get(type(content), 'single value')}"
        return [f"{said}, but a schema has the keys {', '.join(AnnotationSchema.model_fields)}."], None
    try:
        return [], AnnotationSchema.model_validate(content)
    except ValidationError as error:
        return problems_of(error, content), None


def problems_of(error: ValidationError, content: object = None) -> list[str]:
    """One sentence for each problem of a schema file.

    Clauses, rules and blocks are called by their names; what has no name is counted from 1.

    Args:
        error: The error of the model that read the content.
        content: The content of the file, from which the names are taken.
    """
    found = []
    for problem in error.errors():
        message = _in_words(problem)
        if place := _place(problem["loc"], content):
            found.append(f"{place}: {message}.")
        else:
            found += message.splitlines()
    return found


_KINDS: Final = {list: "list", dict: "mapping", bool: "truth value", int: "number", float: "number", type(None): "null"}


def _in_words(problem: ErrorDetails) -> str:
    """What is wrong in the words of a YAML file; pydantic speaks of Python's types."""
    got = problem["input"]
    if problem["type"] == "missing":
        return "it is missing"
    if problem["type"] == "extra_forbidden":
        return "no such key; configs/schema/hcot.yaml shows those that there are"
    if problem["type"] == "string_type" and isinstance(got, (bool, int, float)):
        return f"{str(got).lower()} is read as a {_KINDS[type(got)]}; put it in quotes"
    if wanted := _WANTED.get(problem["type"]):
        return f"it has to be a {wanted}, not a {_KINDS.get(type(got), 'single value')}"
    return problem["msg"].removeprefix("Value error, ")


_WANTED: Final = {"tuple_type": "list", "dict_type": "mapping", "model_type": "mapping", "string_type": "word or text"}


def _without_picture(error: yaml.YAMLError) -> str:
    """A YAML error on one line: what, and where. PyYAML draws the place over several lines."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    mark, begun = error.problem_mark, error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if error.context and begun is not None:
        where += f" ({error.context} that begins in line {begun.line + 1})"
    return where


def _place(parts: tuple[int | str, ...], content: object) -> str:
    words = []
    for part in parts:
        try:
            content = content[part]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]  # plain YAML; what has no such part ends it
        except (KeyError, IndexError, TypeError):
            content = None
        name = content.get("name") if isinstance(part, int) and isinstance(content, dict) else None
        if name is not None:
            words.append(f"'{name}'")
        else:
            words.append(str(part + 1) if isinstance(part, int) else part)
    return ".".join(words)


def write_schema(folder: Path, schema: AnnotationSchema) -> None:
    """Write SCHEMA_FILE into a folder of weights or of a corpus."""
    (folder / SCHEMA_FILE).write_text(schema.content + "\n", encoding="utf-8")


def read_schema(folder: Path) -> AnnotationSchema:
    """The schema of a folder of weights or of a corpus.

    Raises:
        SchemaMismatch: it has none, as of an earlier version, or one that cannot be read.
    """
    path = folder / SCHEMA_FILE
    try:
        return AnnotationSchema.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise SchemaMismatch(
            f"{folder} has no {SCHEMA_FILE}: it was written before annotation schemas were data. Make it again with "
            "this version, or use knowlip 0.1.0 for it."
        ) from error
    except (ValidationError, OSError) as error:
        raise SchemaMismatch(f"{path} cannot be read: {str(error).splitlines()[0]}. Restore it from a copy.") from error


def check_same(what: str, theirs: AnnotationSchema, ours: AnnotationSchema, remedy: str) -> None:
    """See that weights or a corpus are of this run's schema.

    Args:
        what: names them at the beginning of a sentence.
        theirs: their schema.
        ours: the run's.
        remedy: the sentence that says what to do.

    Raises:
        SchemaMismatch: they are of another one; both are named.
    """
    if theirs.digest != ours.digest:
        raise SchemaMismatch(
            f"{what} are of the annotation schema {theirs.label}, this run is of {ours.label}. {remedy}"
        )
