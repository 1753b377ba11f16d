"""Commands that measure the product and its method."""

import json
from pathlib import Path
from typing import Annotated

import typer

from corpus.storage.errors import InputError
from orchestrator.cli.arguments import Config, Settings, Tiles, console, load, progress_console, run_directory


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
            parser=run_directory,
        ),
    ] = None,
) -> None:
    """Measure ratios within one run: the captioner through Ray Serve against the bare engine, and where time goes."""
    from orchestrator.experiments.throughput import measure_throughput

    measure_throughput(config, run_dir, console)


def scale(
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="1000,4000", help="Numbers of tiles, each measured in its own process.")
    ] = "1000,4000,16000,64000",
    out: Annotated[Path, typer.Option("--out", metavar="D", help="Where results go; sizes there are kept.")] = Path(
        "runs/scale"
    ),
) -> None:
    """Measure how time and memory of a round's data path grow with the corpus, and derive a plan for 1.2M tiles."""
    from orchestrator.experiments.scale import measure_scale

    measure_scale(_numbers(sizes, "--sizes 1000,4000") or [], out, console)


def bench() -> None:
    """The old name of throughput."""
    raise InputError("`knowlip bench` is called `knowlip throughput` now; its arguments stay the same.")


def ablate(
    path: Annotated[Path, typer.Argument(metavar="CONFIG", help="An ablation: base, seeds and rows.")] = Path(
        "configs/ablation.yaml"
    ),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="D", help="Where runs and table go; default runs/<ablation>.")
    ] = None,
    rows: Annotated[str | None, typer.Option("--rows", metavar="A,B", help="Run only these rows.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="0,1", help="Run only these seeds.")] = None,
    conditions: Annotated[
        str | None, typer.Option("--conditions", metavar="A,B", help="Run only under these conditions.")
    ] = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the finished rows as JSON.")] = False,
) -> None:
    """Run the rows of an ablation over seeds and write one table; given again, it goes on where it was interrupted."""
    from orchestrator.experiments.ablation import cells_below, run_ablation
    from orchestrator.experiments.config import load_ablation
    from orchestrator.experiments.rows import rows_as_json

    ablation = load_ablation(path, settings or [])
    written = run_ablation(ablation, out, _rows(rows), _numbers(seeds), progress_console(as_json), _names(conditions))
    if as_json:
        print(json.dumps(rows_as_json(cells_below(ablation, written)), indent=2))


def pretrain(
    path: Config,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that the vision tower is written to.")],
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="sar_jepa, mae or moco_v3; settings are benchmark.recipes.")
    ] = "sar_jepa",
    passes: Annotated[int, typer.Option("--passes", metavar="N", min=1, help="Passes over the training tiles.")] = 50,
    tiles: Tiles = None,
    settings: Settings = None,
) -> None:
    """Train the encoder's vision tower on images alone; a run starts from it by model.encoder.vision.pretrained."""
    from orchestrator.experiments.pretrain_tower import pretrain_tower

    path_of_tower = pretrain_tower(load(path, tiles, settings), recipe, passes, out, console)
    console.print(
        f"{path_of_tower}: start a run from it with --set model.encoder.vision.pretrained={out}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def benchmark(
    path: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A configuration with a section benchmark.")
    ] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", metavar="A,B", help="Run only these tasks.")] = None,
    methods: Annotated[str | None, typer.Option("--methods", metavar="A,B", help="Run only these methods.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Seeds of each setting that draws.")] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="RUN_DIR", help="Method `ours` has this run's last weights.", parser=run_directory
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="FOLDER_OR_NAME", help="Method `encoder`: Hugging Face folder or timm name."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="D", help="Where the table goes; default runs/<name>-benchmark.")
    ] = None,
    settings: Settings = None,
    listed: Annotated[bool, typer.Option("--list", help="List tasks, data sets and methods; nothing is run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cells as JSON.")] = False,
) -> None:
    """Judge encoders on labelled tasks beside simple baselines; given again, it goes on where it was interrupted."""
    from orchestrator.experiments.benchmark import run_benchmark
    from orchestrator.report.benchmark import listing, print_listing

    overrides = _benchmark_settings(tasks, methods, seeds, encoder, settings)
    config = load(path or Path("configs/benchmark.yaml"), None, overrides)
    if listed:
        if as_json:
            print(json.dumps(listing(config.benchmark), indent=2))
        else:
            print_listing(config.benchmark, console)
        return
    cells = run_benchmark(config, out, run_dir, progress_console(as_json))
    if as_json:
        print(json.dumps([cell.model_dump(mode="json") for cell in cells], indent=2))


def _benchmark_settings(
    tasks: str | None, methods: str | None, seeds: int | None, encoder: str | None, settings: list[str] | None
) -> list[str]:
    """Options as overrides of keys, which are then checked like those of a file."""
    given = {
        "tasks": _names(tasks),
        "methods": _names(methods),
        "seeds": seeds,
        "encoder": encoder,
    }
    return [
        *(settings or []),
        *(f"benchmark.{key}={json.dumps(value)}" for key, value in given.items() if value is not None),
    ]


def _rows(text: str | None) -> list[str] | None:
    names = _names(text)
    if names == []:
        raise typer.BadParameter(f"--rows {text!r} names no row: leave the option out for all of them.")
    return names


def _numbers(text: str | None, example: str = "--seeds 0,1") -> list[int] | None:
    names = _names(text)
    if names is not None and (not names or not all(name.isdecimal() for name in names)):
        raise typer.BadParameter(f"{text}: write numbers, for instance {example}.")
    return None if names is None else [int(name) for name in dict.fromkeys(names)]


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
