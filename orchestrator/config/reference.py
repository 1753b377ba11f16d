"""The reference of all configuration keys, generated from where they are declared."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from orchestrator.config.schema import RunConfig


def reference(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(key, default, meaning) of every key, sections opened."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from reference(section, f"{prefix}{name}.")
        else:
            default = field.default
            if field.default_factory is not None:
                default = field.default_factory()
            yield (
                f"{prefix}{name}",
                "(required)" if default is PydanticUndefined else str(default),
                field.description or "",
            )


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
