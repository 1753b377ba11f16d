"""How tables look that the command line prints."""

from rich.table import Table


def share_text(value: float | None) -> str:
    """0.9345, or unknown."""
    return "unknown" if value is None else f"{value:.4f}"


def titled_table(title: str, first: str = "", *others: str) -> Table:
    """A table without lines below a title.

    Args:
        title: of the table.
        first: heading of the first column, of words; '': the caller adds the columns.
        others: headings of further columns, of numbers.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    if first:
        table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
