"""What several commands share: the console, their arguments, and the configuration that these give."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from corpus.registry import UnknownMember
from corpus.storage.errors import InputError
from corpus.storage.objects import StoreUri, StoreUriError, is_uri
from corpus.storage.redaction import without_user
from corpus.storage.stores import STORES

if TYPE_CHECKING:
    from orchestrator.config.schema import RunConfig

console = Console(markup=False, emoji=False)  # names are printed as they are, brackets and colons too

ASKING = "asking the cluster"
"""Shown at once: the libraries that ask take seconds to load."""

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a configuration key, for instance --set rounds=5. Repeatable."
    ),
]
Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, for instance configs/default.yaml.")
]


def run_directory(text: str | Path) -> Path:
    """A run directory of the command line.

    Raises:
        InputError: It is a URI, which this command does not read.
    """
    if is_uri(str(text)):
        raise InputError(
            f"This command reads run directories, and {without_user(str(text))} is a store: `knowlip fetch URI DIR` "
            "copies the run to a folder that it reads."
        )
    return Path(text)


def run_place(text: str | Path) -> Path | StoreUri:
    """A run directory of the command line, or the URI of a stored run.

    Raises:
        InputError: It is a URI that names no place in a store, or a kind of store that there is not.
    """
    if not is_uri(str(text)):
        return Path(text)
    try:
        uri = StoreUri.parse(str(text))
        STORES.find(uri.scheme)
        return uri
    except (StoreUriError, UnknownMember) as error:
        raise InputError(str(error)) from None  # the parser would print the value of a ValueError, password and all


RunDir = Annotated[
    Path,
    typer.Argument(metavar="RUN_DIR", help="A run directory, for instance runs/latest.", parser=run_directory),
]
RunPlace = Annotated[
    Any,
    typer.Argument(
        metavar="RUN_DIR", help="A run directory, for instance runs/latest, or s3://BUCKET/PREFIX.", parser=run_place
    ),
]
WorkingFolder = Annotated[
    Path | None,
    typer.Option("--run-dir", metavar="D", help="Working folder of a stored run; default runs/<prefix>-<digest>."),
]
Tiles = Annotated[Path | None, typer.Option("--tiles", metavar="DIR", help="Folder or list of GeoTIFFs to run on.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def progress_console(as_json: bool) -> Console:
    """Where progress is printed: beside one JSON object on standard output it goes to standard error."""
    return Console(stderr=True, markup=False, emoji=False, quiet=console.quiet) if as_json else console


def load(path: Path, tiles: Path | None, settings: list[str] | None) -> "RunConfig":
    """Read a configuration with what the command line sets on top.

    Args:
        path: the YAML file.
        tiles: value of --tiles, which makes the corpus one of GeoTIFFs.
        settings: values of --set, as key=value.

    Raises:
        UserError: the configuration cannot be used.
    """
    from orchestrator.config.load import load_config

    overrides = list(settings or [])
    if tiles is not None:
        overrides += ["corpus.kind=geotiff", f"corpus.tiles={json.dumps(str(tiles))}"]
    return load_config(path, overrides)
