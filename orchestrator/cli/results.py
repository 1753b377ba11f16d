"""Commands that look at what a run came to, and hand it on."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.arguments import AsJson, RunDir, console, run_directory


def report(
    run_dir: RunDir = Path("runs/latest"),
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="CSV", help="Compare the annotations with reference annotations."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a run came to: rounds, accuracies, memory, quarantined tiles; or how it does against a reference."""
    from orchestrator.report.reference import compare_with_reference
    from orchestrator.report.reference_table import print_reference_report
    from orchestrator.report.summary import print_report
    from orchestrator.report.summary import report as make_report

    if reference is not None:
        compared = compare_with_reference(run_dir, reference)
        if as_json:
            print(json.dumps(compared.as_json(), indent=2))
        else:
            print_reference_report(compared, console)
    elif as_json:
        print(json.dumps(make_report(run_dir), indent=2))
    else:
        print_report(run_dir, console)


def history(
    run_dir: RunDir,
    tile: Annotated[
        str, typer.Argument(metavar="TILE", help="The id of a tile, as tiles.parquet of the corpus has it.")
    ],
    clause: Annotated[str | None, typer.Argument(metavar="[CLAUSE]", help="One clause: who said what of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say who said what of a tile in which round, how probable it was, and why it changed or stayed."""
    from orchestrator.report.history import history_as_json, print_history

    if as_json:
        print(json.dumps(history_as_json(run_dir, tile, clause), indent=2))
    else:
        print_history(run_dir, tile, clause, console)


def diff(
    run_dir: RunDir,
    first: Annotated[int, typer.Argument(metavar="R1", min=0, help="A round; 0: the initial annotations.")],
    second: Annotated[int, typer.Argument(metavar="R2", min=0, help="Another round.")],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="PNG", help="Where to write the map; default: the run's figures."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table and a map.")
    ] = False,
) -> None:
    """Say what changed between two rounds, by clause, and draw where."""
    from orchestrator.report.difference import compare_rounds, print_difference
    from orchestrator.report.story import read_story

    story = read_story(run_dir)
    found = compare_rounds(story, first, second)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        print_difference(story, found, picture, console)


def gallery(
    run_dir: RunDir = Path("runs/latest"),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="HTML", help="The file; default gallery.html of the run directory.")
    ] = None,
    tiles: Annotated[
        int, typer.Option("--tiles", min=1, help="Tiles with picture and history, most changed first.")
    ] = 150,
) -> None:
    """Write one HTML page of a run: map, tiles before and after, filters, histories. It needs no network."""
    from orchestrator.report.page import write_gallery

    path = write_gallery(run_dir, out, tiles)
    console.print(f"gallery {path.resolve()}", highlight=False, soft_wrap=True, markup=False)


def caption(
    tile: Annotated[Path, typer.Argument(metavar="TILE.tif", help="One georeferenced GeoTIFF.")],
    run_dir: Annotated[
        Path, typer.Option("--run", metavar="RUN_DIR", help="Run whose weights to use.", parser=run_directory)
    ] = Path("runs/latest"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the HCoT annotation of one GeoTIFF with the newest weights of a run."""
    from orchestrator.experiments.caption_tile import caption_tile, print_caption

    with _standard_output_to_error():
        annotation = caption_tile(tile, run_dir)
    if as_json:
        print(json.dumps(annotation, indent=2))
    else:
        print_caption(annotation, console)


def export(
    run_dir: RunDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is empty or does not exist.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="stac, huggingface, coco, trainingdml, croissant or torchgeo; model: the model instead.",
        ),
    ],
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="This version of the annotations; default the last.")
    ] = None,
    round_: Annotated[
        int | None, typer.Option("--round", metavar="R", help="As round R left them; 0: as the run began.")
    ] = None,
    champion: Annotated[
        bool, typer.Option("--champion", help="As the best round left them, by a measure that reads no truth.")
    ] = False,
    licence: Annotated[
        str,
        typer.Option(
            "--licence",
            metavar="TEXT",
            help="Of imagery of which neither its platform nor a STAC item tells: an SPDX identifier, a URL or words.",
        ),
    ] = "",
    plugins: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="MODULE", help="A module that registers a format of its own. Repeatable."),
    ] = None,
) -> None:
    """Write the repaired corpus, or its model, in the format of another tool (docs/export.md)."""
    from orchestrator.report.export import export_run

    export_run(run_dir, out, format_, console, version, round_, champion, licence, plugins or [])


@contextmanager
def _standard_output_to_error() -> Iterator[None]:
    """What libraries print while they load goes to standard error, so that standard output holds the result alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
