"""The command line `knowlip`. Commands check their input, call one function and print; errors are one paragraph.

What a command needs is imported inside it: help and errors of usage do not wait for torch and Ray.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from corpus.storage.errors import InputError, Interrupted, UserError
from orchestrator.cli import experiments, inputs, jobs, results, review, runs, schedules
from orchestrator.cli.arguments import console

_ANYWHERE = {"-v", "-vv", "--verbose", "-q", "--quiet", "--log-json"}
_ANYWHERE_WITH_VALUE = "--log-file"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Trains a SAR image-text model and repairs its training text while doing so.",
)


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log what the run does to standard error; -vv: more.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and JSON.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log to standard error as JSON, one object a line.")
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", metavar="FILE", help="Append the log, from INFO on, to this file as well."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda asked: _print_version(asked), help="Print it.")
    ] = False,
) -> None:
    """Options of every command; they may stand before or after its name."""
    from actors.logs import JsonLines, PlainLines, file_log, log_to_standard_error

    formatter = JsonLines() if log_json else PlainLines()
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    log_to_standard_error(formatter, level)
    console.quiet = quiet
    if log_file is not None:
        try:
            context.with_resource(file_log(log_file, formatter, min(level, logging.INFO), typer.Exit))
        except OSError as error:
            raise InputError(
                f"--log-file {log_file} cannot be written: {error.strerror}. Name another file."
            ) from error


def _print_version(asked: bool) -> None:
    if asked:
        import importlib.metadata

        print(f"knowlip {importlib.metadata.version('knowlip')}")
        raise typer.Exit


# In the order of the help.
for command in (
    *(runs.run, runs.resume, runs.status, runs.logs, runs.fetch),
    *(results.report, results.history, results.diff, results.gallery, review.review, results.caption, results.export),
    *(inputs.hcot, inputs.config, inputs.plan, schedules.simulate, schedules.compare, schedules.tune),
    *(experiments.throughput, experiments.scale, experiments.ablate, experiments.benchmark, experiments.pretrain),
):
    app.command()(command)
app.command()(jobs.submit)
app.command("list")(jobs.list_jobs)
app.command()(jobs.stop)
app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(experiments.bench)

data_app = typer.Typer(no_args_is_help=True, help="Make and check corpora.")
data_app.command("make")(inputs.data_make)
data_app.command("check")(inputs.data_check)
data_app.command("score")(inputs.data_score)
data_app.command("distance")(inputs.data_distance)
app.add_typer(data_app, name="data")

schema_app = typer.Typer(no_args_is_help=True, help="Check annotation schemas.")
schema_app.command("check")(inputs.schema_check)
app.add_typer(schema_app, name="schema")


def main() -> None:
    """Entry point: an expected error becomes one paragraph on stderr and its own exit status."""
    from orchestrator.cluster.environment import prepare_environment

    prepare_environment()
    arguments = sys.argv[1:]
    if not _retries_nothing(arguments):
        from orchestrator.cluster.retry_notice import announce_retries

        announce_retries(Console(stderr=True))
    sys.argv[1:] = _general_first(arguments)
    try:
        app()
    except Interrupted as end:
        sys.exit(end.exit_status)
    except UserError as error:
        Console(stderr=True).print(Text.assemble(("Error:", "bold red"), f" {error}"), highlight=False, soft_wrap=True)
        sys.exit(error.exit_status)


def _retries_nothing(arguments: list[str]) -> bool:
    """Whether a command asks no other machine, and so often that the library which tries again is not imported."""
    return "--version" in arguments or ("status" in arguments and not any("://" in each for each in arguments))


def _general_first(arguments: list[str]) -> list[str]:
    """The options of every command before the command, where the parser takes them."""
    general, others = [], []
    rest = iter(arguments)
    for each in rest:
        if each == _ANYWHERE_WITH_VALUE and (value := next(rest, None)) is not None:
            general += [each, value]
        elif each in _ANYWHERE or each.startswith(f"{_ANYWHERE_WITH_VALUE}="):
            general.append(each)
        else:
            others.append(each)
    return general + others
