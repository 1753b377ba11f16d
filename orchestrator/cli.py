"""The command line `knowlip`. Commands check their input, call one function and print; errors are one paragraph."""

import importlib.metadata
import json
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from corpus.storage.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Trains a SAR image-text model and repairs its training text while doing so.",
)
data_app = typer.Typer(no_args_is_help=True, help="Make and check corpora.")
app.add_typer(data_app, name="data")
schema_app = typer.Typer(no_args_is_help=True, help="Check annotation schemas.")
app.add_typer(schema_app, name="schema")
console = Console(markup=False, emoji=False)  # names are printed as they are, brackets and colons too

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a configuration key, for instance --set rounds=5. Repeatable."
    ),
]
Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, for instance configs/default.yaml.")
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory, for instance runs/latest.")]
Tiles = Annotated[Path | None, typer.Option("--tiles", metavar="DIR", help="Folder or list of GeoTIFFs to run on.")]


_ANYWHERE = {"-v", "-vv", "--verbose", "-q", "--quiet", "--log-json"}


@app.callback()
def options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log what the run does to standard error; -vv: more.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and JSON.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log to standard error as JSON, one object a line.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda asked: _print_version(asked), help="Print it.")
    ] = False,
) -> None:
    """Options of every command; they may stand before or after its name."""
    from actors.logs import JsonLines, PlainLines, log_to_standard_error

    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    log_to_standard_error(JsonLines() if log_json else PlainLines(), level)
    console.quiet = quiet


def _print_version(asked: bool) -> None:
    if asked:
        print(f"knowlip {importlib.metadata.version('knowlip')}")
        raise typer.Exit


@app.command()
def run(
    config: Config,
    tiles: Tiles = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="D", help="Where to write; default runs/<config>-<UTC time>.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Run the closed loop: train, publish, score, relabel, accept, refresh, evaluate, round by round."""
    from orchestrator.start import start_run

    start_run(_load(config, tiles, settings), run_dir, console)


@app.command()
def resume(run_dir: RunDir) -> None:
    """Continue a run after its last recorded round."""
    from orchestrator.start import resume_run

    resume_run(run_dir, console)


@app.command()
def status(run_dir: RunDir) -> None:
    """Say how far a run has come and where its results lie."""
    from orchestrator.report.summary import print_status

    print_status(run_dir, console)


@app.command()
def logs(
    run_dir: RunDir = Path("runs/latest"),
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    logger: Annotated[
        str, typer.Option("--logger", metavar="NAME", help="Only this part, for instance actors.trainer.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Print what the processes of a run logged, driver and actors, in order of time."""
    from orchestrator.monitoring.logs import follow_logs, format_line, read_logs
    from orchestrator.state.run_directory import RunDirectory

    RunDirectory.open(run_dir)
    if level.upper() not in (known := logging.getLevelNamesMapping()):
        raise typer.BadParameter(f"--level {level}: it is one of DEBUG, INFO, WARNING, ERROR.")
    read = follow_logs if follow else read_logs
    for line in read(run_dir, known[level.upper()], logger):
        print(format_line(line, as_json), flush=follow)


@app.command()
def report(
    run_dir: RunDir = Path("runs/latest"),
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="CSV", help="Compare the annotations with reference annotations."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Print what a run came to: rounds, accuracies, memory, quarantined tiles; or how it does against a reference."""
    from orchestrator.report.reference import compare_with_reference, print_reference_report
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


@app.command()
def history(
    run_dir: RunDir,
    tile: Annotated[
        str, typer.Argument(metavar="TILE", help="The id of a tile, as tiles.parquet of the corpus has it.")
    ],
    clause: Annotated[str | None, typer.Argument(metavar="[CLAUSE]", help="One clause: who said what of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Say who said what of a tile in which round, how probable it was, and why it changed or stayed."""
    from orchestrator.report.history import history_as_json, print_history

    if as_json:
        print(json.dumps(history_as_json(run_dir, tile, clause), indent=2))
    else:
        print_history(run_dir, tile, clause, console)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def caption(
    tile: Annotated[Path, typer.Argument(metavar="TILE.tif", help="One georeferenced GeoTIFF.")],
    run_dir: Annotated[Path, typer.Option("--run", metavar="RUN_DIR", help="Run whose weights to use.")] = Path(
        "runs/latest"
    ),
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


@app.command()
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


@app.command()
def hcot(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE.json", help="A JSON list of records with the eight landform texts of FUSAR-KLIP."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Read free-text annotations into the schema and say, per clause, how many state a value."""
    from orchestrator.report.free_text import print_shares, read_shares, shares_as_json

    shares = read_shares(path)
    if as_json:
        print(json.dumps(shares_as_json(path, shares), indent=2))
    else:
        print_shares(path, shares, console)


@app.command()
def config(
    path: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Show this configuration, defaults filled in.")
    ] = None,
    settings: Settings = None,
) -> None:
    """List every configuration key with its default and meaning, or show one configuration in full."""
    from corpus.storage.yaml import dump_yaml
    from orchestrator.config.reference import print_reference

    if path is None:
        print_reference(console)
    else:
        print(dump_yaml(_load(path, None, settings).model_dump(mode="json")), end="")


@app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench() -> None:
    """The old name of throughput."""
    raise UserError("`knowlip bench` is called `knowlip throughput` now; its arguments stay the same.")


@app.command()
def throughput(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration to measure with.")] = Path(
        "configs/default.yaml"
    ),
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN_DIR",
            help="Measure the captioner with this run's weights and print this run's numbers.",
        ),
    ] = None,
) -> None:
    """Measure ratios within one run: the captioner through Ray Serve against the bare engine, and where time goes."""
    from orchestrator.experiments.throughput import measure_throughput

    measure_throughput(config, run_dir, console)


@app.command()
def ablate(
    path: Annotated[Path, typer.Argument(metavar="CONFIG", help="An ablation: base, seeds and rows.")] = Path(
        "configs/ablation.yaml"
    ),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="D", help="Where runs and table go; default runs/<ablation>.")
    ] = None,
    rows: Annotated[str | None, typer.Option("--rows", metavar="A,B", help="Run only these rows.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="0,1", help="Run only these seeds.")] = None,
    settings: Settings = None,
) -> None:
    """Run the rows of an ablation over seeds and write one table; given again, it goes on where it was interrupted."""
    from orchestrator.experiments.ablation import run_ablation
    from orchestrator.experiments.config import load_ablation

    run_ablation(load_ablation(path, settings or []), out, _rows(rows), _numbers(seeds), console)


@data_app.command("make")
def data_make(config: Config, tiles: Tiles = None, settings: Settings = None) -> None:
    """Make the corpus a configuration names, without running the loop."""
    from orchestrator.start import make_data

    make_data(_load(config, tiles, settings), console)


@data_app.command("check")
def data_check(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|DIR",
            help="A configuration, with --tiles; or a corpus directory or folder of GeoTIFFs alone.",
        ),
    ],
    tiles: Tiles = None,
    settings: Settings = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="FILE", help="The whole reasoning on one file.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Where to write the contact sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what an ingest does with each scene, as a run would do it; or check the tiles of a corpus."""
    from orchestrator.data.check import check_data, check_scenes_of

    if tiles is None and not settings and path.suffix.lower() not in (".yaml", ".yml"):
        raise typer.Exit(check_data(path, console, explain=explain, picture=picture, as_json=as_json))
    config = _load(path, tiles, settings)
    raise typer.Exit(check_scenes_of(config.corpus, console, explain=explain, picture=picture, as_json=as_json))


@data_app.command("score")
def data_score(
    config: Config,
    weights: Annotated[
        Path, typer.Option("--weights", metavar="DIR", help="Weights, for instance runs/latest/weights/round-0003.")
    ],
    reference: Annotated[Path, typer.Option("--reference", metavar="CSV", help="Reference annotations.")],
    tiles: Tiles = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Score what weights say of tiles that nothing was trained on against reference annotations."""
    from orchestrator.report.reference import print_reference_report, score_weights
    from orchestrator.start import make_data

    loaded = _load(config, tiles, settings)
    scored = score_weights(loaded, make_data(loaded, Console(stderr=True)), weights, reference)
    if as_json:
        print(json.dumps(scored.as_json(), indent=2))
    else:
        print_reference_report(scored, console)


@schema_app.command("check")
def schema_check(
    path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="An annotation schema, see configs/schema/.")],
) -> None:
    """Say in words what is wrong with an annotation schema, or print what it has; exit status 0 or 1."""
    from orchestrator.report.schema_check import check

    raise typer.Exit(check(path, console))


@contextmanager
def _standard_output_to_error():
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


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _rows(text: str | None) -> list[str] | None:
    names = _names(text)
    if names == []:
        raise typer.BadParameter(f"--rows {text!r} names no row: leave the option out for all of them.")
    return names


def _numbers(text: str | None) -> list[int] | None:
    names = _names(text)
    if names is not None and (not names or not all(name.isdecimal() for name in names)):
        raise typer.BadParameter(f"{text}: write seeds as numbers, for instance --seeds 0,1.")
    return None if names is None else [int(name) for name in dict.fromkeys(names)]


def _load(path: Path, tiles: Path | None, settings: list[str] | None):
    from orchestrator.config.load import load_config

    overrides = list(settings or [])
    if tiles is not None:
        overrides += ["corpus.kind=geotiff", f"corpus.tiles={json.dumps(str(tiles))}"]
    return load_config(path, overrides)


def main() -> None:
    """Entry point: expected errors become one paragraph on stderr and exit status 1."""
    from orchestrator.cluster.environment import prepare_environment
    from orchestrator.cluster.retry_notice import announce_retries

    prepare_environment()
    announce_retries(Console(stderr=True))
    arguments = sys.argv[1:]
    sys.argv[1:] = [each for each in arguments if each in _ANYWHERE] + [
        each for each in arguments if each not in _ANYWHERE
    ]
    try:
        app()
    except UserError as error:
        Console(stderr=True).print(Text.assemble(("Error:", "bold red"), f" {error}"), highlight=False, soft_wrap=True)
        sys.exit(1)
