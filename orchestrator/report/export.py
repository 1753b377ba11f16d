"""`knowlip export`: a version of a run's corpus, or its model, in the format of another tool."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from corpus.plugins import load_plugins
from export.registry import EXPORTERS
from export.write import check_out, write_export
from orchestrator.data.exported import open_source


def export_run(
    run_dir: Path,
    out: Path,
    format_: str,
    console: Console,
    version: int | None,
    round_: int | None,
    champion: bool,
    licence: str,
    plugins: Sequence[str],
) -> None:
    """Export, and say what was written and how it is read. Everything that can be refused is, before work starts.

    Args:
        run_dir: the run.
        out: a folder that is empty or absent.
        format_: name of the format.
        console: where the progress and the result are printed.
        version: see `orchestrator.data.exported.open_source`, as of the next two.
        round_: a round.
        champion: whether the best round is exported.
        licence: of imagery of which nothing else tells; "" for nothing.
        plugins: modules that register formats.

    Raises:
        UserError: It cannot be made; the message says what, where and what to do.
    """
    load_plugins(plugins)
    exporter = EXPORTERS.find(format_)
    check_out(out)
    source = open_source(run_dir, version=version, round_=round_, best=champion, licence=licence)
    columns = (TextColumn("exporting tiles"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(source))
        write_export(format_, exporter, source, out, lambda done, total: bar.update(task, completed=done, total=total))
    shares = ", ".join(f"{count:,} {split}" for split, count in source.splits.items())
    console.print(
        f"{out}: round {source.round} of {source.run_id}, version {source.version}, as {format_}: {len(source):,} "
        f"tiles ({shares}). Read it with {exporter.reads}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if unknown := sum(tiles for found, tiles in source.licences().items() if not found.known):
        console.print(
            f"The licence of the imagery of {unknown:,} tiles is not known. Say it with --licence before you give the "
            "folder to others.",
            highlight=False,
            soft_wrap=True,
        )
