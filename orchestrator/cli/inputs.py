"""Commands on what a run is given: corpora, annotation schemas, configurations, free text."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.cli.arguments import AsJson, Config, Settings, Tiles, console, load


def plan(
    path: Config,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say what each round of a run would do, and which processes it needs at least; nothing is started."""
    from orchestrator.report.plan import plan_as_json, print_plan

    loaded = load(path, None, settings)
    if as_json:
        print(json.dumps(plan_as_json(loaded), indent=2))
    else:
        print_plan(loaded, console)


def data_make(config: Config, tiles: Tiles = None, settings: Settings = None) -> None:
    """Make the corpus a configuration names, without running the loop."""
    from orchestrator.open_corpus import make_data

    make_data(load(config, tiles, settings), console)


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
    config = load(path, tiles, settings)
    raise typer.Exit(check_scenes_of(config.corpus, console, explain=explain, picture=picture, as_json=as_json))


def data_score(
    config: Config,
    weights: Annotated[
        Path, typer.Option("--weights", metavar="DIR", help="Weights, for instance runs/latest/weights/round-0003.")
    ],
    reference: Annotated[Path, typer.Option("--reference", metavar="CSV", help="Reference annotations.")],
    tiles: Tiles = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Score what weights say of tiles that nothing was trained on against reference annotations."""
    from orchestrator.open_corpus import make_data
    from orchestrator.report.reference import score_weights
    from orchestrator.report.reference_table import print_reference_report

    loaded = load(config, tiles, settings)
    scored = score_weights(loaded, make_data(loaded, Console(stderr=True)), weights, reference)
    if as_json:
        print(json.dumps(scored.as_json(), indent=2))
    else:
        print_reference_report(scored, console)


def data_distance(
    config: Config,
    real: Annotated[
        Path,
        typer.Option("--real", metavar="DIR", help="Real scenes: a folder or list of GeoTIFFs, or a corpus directory."),
    ],
    window: Annotated[
        int, typer.Option("--window", metavar="PIXELS", min=24, help="Side of the windows that are compared.")
    ] = 96,
    half: Annotated[
        int | None,
        typer.Option("--half", metavar="0|1", min=0, max=1, help="Only that half of the scenes, by their names' hash."),
    ] = None,
    tiles: Tiles = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far the radiometry of a corpus is from that of real scenes: histogram, autocorrelation, looks."""
    from orchestrator.data.distance import compare_with_real, print_comparison
    from orchestrator.open_corpus import make_data

    loaded = load(config, tiles, settings)
    prepared = make_data(loaded, Console(stderr=True))
    compared = compare_with_real(prepared, real, loaded.corpus.ingest, window_px=window, half=half)
    if as_json:
        print(json.dumps(compared.as_json(), indent=2))
    else:
        print_comparison(compared, console)


def schema_check(
    path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="An annotation schema, see configs/schema/.")],
) -> None:
    """Say in words what is wrong with an annotation schema, or print what it has; exit status 0 or 1."""
    from orchestrator.config.load import given_or_shipped
    from orchestrator.report.schema_check import check

    raise typer.Exit(check(given_or_shipped(path), console))


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
        print(dump_yaml(load(path, None, settings).model_dump(mode="json")), end="")


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
