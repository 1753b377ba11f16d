"""Answers as JSON: the JSON schema that engines hold them to, and the parser."""

import json
from collections.abc import Sequence
from typing import Any, Final

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import AnswerError, SchemaError
from hcot_llm.schema.repetition import repeated_unit

LONGEST_ANSWER: Final = 2000
"""Characters of an answer that are read at most; with long answers in the schema, four times the longest valid one."""


def answer_json_schema(schema: AnnotationSchema, clauses: Sequence[str]) -> dict:
    """JSON schema of an answer: one closed enumeration per clause, in schema order.

    Args:
        schema: The schema of the clauses.
        clauses: The queried clauses.

    Raises:
        SchemaError: No clause is queried, or one is unknown.
    """
    queried = list(schema.ordered(clauses))
    if not queried:
        raise SchemaError("An answer has to be asked for at least one clause.")
    return {
        "type": "object",
        "properties": {clause: {"type": "string", "enum": list(schema.vocabulary[clause])} for clause in queried},
        "required": queried,
        "additionalProperties": False,
    }


def parse_answer(schema: AnnotationSchema, text: str, clauses: Sequence[str]) -> dict[str, str]:
    """Read the values of the queried clauses.

    Args:
        schema: The schema of the clauses.
        text: The JSON of the answer.
        clauses: The queried clauses.

    Returns:
        Clause -> value, in schema order.

    Raises:
        AnswerError: The answer cannot be used; its `reason` names the kind.
    """
    answer = read_object(text, max(LONGEST_ANSWER, 4 * schema.longest_answer))
    queried = schema.ordered(clauses)
    if extra := sorted(set(answer) - set(queried)):
        raise AnswerError("out_of_vocabulary", f"these clauses were not asked: {', '.join(extra)[:100]}.")
    for clause in queried:
        if clause not in answer:
            raise AnswerError("missing_clause", f"clause '{clause}' was asked and is not in the answer.")
        if not isinstance(answer[clause], str):
            raise AnswerError(
                "wrong_type", f"the value of '{clause}' is a {type(answer[clause]).__name__}, not a string."
            )
        if answer[clause] not in schema.vocabulary[clause]:
            raise AnswerError("out_of_vocabulary", f"{answer[clause][:100]!r} is no value of '{clause}'.")
    return {clause: answer[clause] for clause in queried}


def read_object(text: str, longest: int) -> dict[str, Any]:
    """Read the JSON object of an answer.

    Args:
        text: The answer.
        longest: Number of characters that are read at most.

    Raises:
        AnswerError: The text is no JSON object, or longer than that.
    """
    stripped = text.strip()
    if not stripped:
        raise AnswerError("empty", "the answer has no text.")
    try:
        answer = _load(stripped, longest)
    except AnswerError as error:
        # Of the text as it came: an answer may run out of tokens in line breaks.
        if (unit := repeated_unit(text)) is not None:
            raise AnswerError("repetition", f"the answer ends in {unit[:40]!r} over and over.") from error
        raise
    if not isinstance(answer, dict):
        raise AnswerError("wrong_type", f"a JSON object is expected, the answer is a {type(answer).__name__}.")
    if not answer:
        raise AnswerError("empty", "the answer is an empty object.")
    return answer


def _load(text: str, longest: int) -> Any:
    if len(text) > longest:
        raise AnswerError("over_long", f"the answer has {len(text)} characters, at most {longest} are read.")
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except AnswerError:
        raise
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise AnswerError("over_long", f"text follows the JSON at character {error.pos}.") from error
        if text.startswith("{") and not text.endswith("}"):
            raise AnswerError("cut", f"the JSON ends unfinished after {len(text)} characters.") from error
        raise AnswerError("not_json", f"{error.msg} at character {error.pos}.") from error
    except ValueError as error:  # Python refuses whole numbers of thousands of digits
        raise AnswerError("not_json", "a number has too many digits.") from error
    except RecursionError as error:
        raise AnswerError("not_json", "the JSON is nested too deeply.") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise AnswerError("wrong_type", "a name is given twice in one object.")
    return result


def _no_constants(name: str) -> Any:
    raise AnswerError("not_json", f"{name} is not JSON.")
