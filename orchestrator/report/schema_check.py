"""`knowlip schema check`: what is wrong with an annotation schema, or what it has."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from corpus.simulate.truth import FACT_VALUES
from hcot_llm.aggregation.consistent_states import check_cost
from hcot_llm.initial.annotations import check_corruption, check_geography
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from hcot_llm.schema.files import check_schema


def check(path: Path, console: Console) -> int:
    """Print every problem, or a table of clauses and what the schema can be used for; 0 without problems, else 1."""
    problems, schema = check_schema(path)
    if schema is not None:
        try:
            check_cost(schema)
        except SchemaError as error:
            problems = [str(error)]
    if schema is None or problems:
        for line in (f"{path} cannot be used, {len(problems)} problem(s):", *(f"  {each}" for each in problems)):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return 1
    _print(schema, console)
    return 0


def _print(schema: AnnotationSchema, console: Console) -> None:
    table = Table("level", "clause", "kind", "group", "values", box=None, header_style="bold")
    for clause in schema.clauses:
        table.add_row(str(clause.level), clause.name, clause.kind, clause.group, ", ".join(clause.values))
    console.print(table)
    values = sum(len(clause.values) for clause in schema.clauses)
    console.print(
        f"Schema {schema.label}: {len(schema)} clauses with {values} values, {len(schema.sentences)} sentences, "
        f"{len(schema.blocks)} blocks, {len(schema.rules)} rules.",
        highlight=False,
        soft_wrap=True,
    )
    for what, check_use in (
        ("Simulated scenes", lambda: check_corruption(schema, FACT_VALUES)),
        ("Real tiles", lambda: check_geography(schema)),
    ):
        try:
            check_use()
        except SchemaError as error:
            console.print(f"{what} need a table: {error}", highlight=False, soft_wrap=True, markup=False)
        else:
            console.print(f"{what} can be annotated at first without a table.", highlight=False, soft_wrap=True)
