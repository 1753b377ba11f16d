"""The command that asks people and takes in what they decided."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.arguments import RunDir, console


def review(
    run_dir: RunDir,
    export: Annotated[
        str | None, typer.Option("--export", metavar="FORMAT", help="Write questions: label-studio, cvat or csv.")
    ] = None,
    filter_: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Ask only these: 'clause=road, confidence<0.6, changed'.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most tiles to ask about.")] = 50,
    controls: Annotated[
        float, typer.Option("--controls", min=0, max=1, help="Planted questions of known answer, as a share.")
    ] = 0.1,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="An empty folder for the export.")] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take in what people decided.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Format of the imported file; default by name.")
    ] = None,
    person: Annotated[
        list[str] | None,
        typer.Option(
            "--person", metavar="NAME", help="Who answered: NAME, NAME:KIND or IN_FILE=NAME:KIND. Repeatable."
        ),
    ] = None,
    disagreements: Annotated[
        str, typer.Option("--disagreements", help="Where people disagree: refuse, weigh or leave.")
    ] = "refuse",
    earlier: Annotated[
        bool, typer.Option("--earlier", help="Take answers about an earlier version of the annotations, too.")
    ] = False,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="WHAT", help="Take back: an import's number, or 'tile=..., clause=...'."),
    ] = None,
    gain: Annotated[
        int | None, typer.Option("--gain", min=4, help="Measure on simulated scenes what so many decisions gain.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask people about the most useful clauses, take in or take back what they decided, or say what stands."""
    from orchestrator.review.command import ReviewCommand

    chosen = [
        name
        for name, given in (("--export", export), ("--import", import_), ("--undo", undo), ("--gain", gain))
        if given
    ]
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} are different things to do: give one of them.")
    command = ReviewCommand(run_dir, console, as_json)
    if export is not None:
        command.export(export, out, filter_, limit, controls)
    elif import_ is not None:
        command.take_in(import_, format_, person or [], disagreements, earlier)
    elif undo is not None:
        command.undo(undo)
    elif gain is not None:
        from orchestrator.experiments.review_gain import gain_as_json, print_gain

        if as_json:
            print(json.dumps(gain_as_json(run_dir, gain), indent=2))
        else:
            print_gain(run_dir, gain, console)
    else:
        command.status()
