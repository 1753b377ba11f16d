"""The reference of all configuration keys, generated from where they are declared."""

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from orchestrator.config.keys import keys
from orchestrator.config.schema import RunConfig


def reference(model: type[BaseModel] = RunConfig) -> list[tuple[str, str, str]]:
    """List (key, default, meaning) of every key that takes a value."""
    return [(key.name, key.default, key.meaning) for key in keys(model) if not key.section]


def print_reference(console: Console) -> None:
    """The reference as a table."""
    table = Table("key", "default", "meaning", box=None, header_style="bold")
    for row in reference():
        table.add_row(*row)
    console.print(table)


def markdown_reference() -> str:
    """The reference as docs/configuration.md holds it; a test keeps the two equal."""
    lines = [
        "# Configuration",
        "",
        "Generated from the pydantic models by `python -m orchestrator.config.reference`; do not edit by hand.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in reference()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown_reference(), end="")
