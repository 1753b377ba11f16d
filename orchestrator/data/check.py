"""`knowlip data check`: what an ingest decides on each scene, before a run does it; or what is wrong with a corpus."""

import json
import sys
from pathlib import Path

from rich.console import Console

from corpus.geotiff.masks import NOT_APPLIED
from corpus.ingest.config import IngestConfig
from corpus.ingest.ingest import inspect_scenes
from corpus.ingest.inspection import Inspection
from corpus.ingest.record import SceneRecord
from corpus.integrity import check_tiles
from corpus.storage.errors import ConfigError
from corpus.tiles import TILES_FILE, read_tiles
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.contact_sheet import contact_sheet


def check_scenes_of(
    corpus: CorpusConfig,
    console: Console,
    *,
    explain: str | None = None,
    picture: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print what a run with this configuration does with its scenes; 0 if it uses all that is backscatter, else 1.

    Args:
        corpus: the section of the configuration.
        console: Console to print to.
        explain: a file of the source, of which alone the whole reasoning is printed.
        picture: File of the contact sheet; default: check.png in the configuration's data directory,
            none where JSON is printed.
        as_json: print JSON.

    Raises:
        ConfigError: the configuration names no scenes, or no scene is that of `explain`.
        IngestError: there is nothing at the source.
    """
    if corpus.tiles is None:
        raise ConfigError(
            "There is nothing to check: give a folder or a list of GeoTIFFs with --tiles, or set corpus.tiles."
        )
    if picture is None and not as_json and explain is None:
        picture = corpus.data_dir / "check.png"
    return _check_source(corpus.tiles, corpus.ingest, console, explain, picture, as_json)


def check_data(
    path: Path,
    console: Console,
    *,
    explain: str | None = None,
    picture: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print every problem of a corpus, or what an ingest with default settings does with a folder; 0 without a problem.

    Raises:
        IngestError: the folder is absent or has no GeoTIFF.
    """
    if not (path / TILES_FILE).exists():
        return _check_source(path, IngestConfig(), console, explain, picture, as_json)
    problems = [problem.message for problem in check_tiles(path)]
    for problem in problems:
        console.print(problem, highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"{read_tiles(path).num_rows:,} files checked, {len(problems):,} cannot be used",
        highlight=False,
        soft_wrap=True,
    )
    return 1 if problems else 0


def _check_source(
    source: Path, ingest: IngestConfig, console: Console, explain: str | None, picture: Path | None, as_json: bool
) -> int:
    found = inspect_scenes(source, ingest)
    problem = found.problem(ingest)
    refused = [record for record in found.records if record.status == "refused"]
    if as_json:
        checked = {
            "scenes": [record.as_checked() for record in found.records],
            "refused": len(refused),
            "tiles": sum(record.tiles for record in found.records),
        }
        sys.stdout.write(json.dumps(checked, indent=2) + "\n")
    elif explain is not None:
        _print(console, *_explanation(found, explain))
    else:
        for record in found.records:
            _print(console, _line(record))
        unusable = len(found.refused)
        _print(console, found.summary(), f"{found.files:,} files checked, {unusable:,} cannot be used")
        if problem:
            _print(console, f"A run would end here: {problem}")
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(found, ingest).save(picture)
        if not as_json:
            _print(console, f"contact sheet {picture}")
    return 1 if refused or problem else 0


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _line(record: SceneRecord) -> str:
    """One scene in one line."""
    name = " ".join(record.file.split())
    if record.status != "ok":
        return f"{record.status:16} {' '.join(record.reasoning[0].split())}"
    bands = ", ".join(
        f"{each} {record.unit.get(each, '')} median {record.median_db.get(each, float('nan')):.1f} dB"
        f" std {record.std_db.get(each, float('nan')):.1f}"
        for each in record.polarisations
    )
    rest = f"{record.tiles} tiles, {record.used_share:.0%} used, {record.acquired or 'time unknown'}, {record.platform}"
    said = "".join(f"; {each}" for each in _noteworthy(record))
    return f"{record.status:16} {name}  {bands}; {rest}{said}"


def _noteworthy(record: SceneRecord) -> list[str]:
    said = [f"no data {name}: {', '.join(f'{value:g}' for value in values)}" for name, values in record.no_data.items()]
    for band, why in record.bands_left_out.items():
        reason = f": {why.split('; ')[-1]}" if NOT_APPLIED in why else ""
        said.append(f"left out {band.split(', band ')[-1]}{reason}")
    said += [f"masked by {mask.split(', band ')[-1]}" for mask in record.masks]
    said += [f"with {file}" for file in record.files[1:]]
    if record.windows_refused:
        said.append(f"{record.windows_refused} windows without a picture")
    if record.tiles_left_out:
        said.append(f"{record.tiles_left_out} tiles too near to held-out ones")
    return said


def _explanation(found: Inspection, file: str) -> list[str]:
    """Every sentence of the decision on a file, named as below the source, or by its name alone."""
    names = {file, Path(file).name}
    for record in found.records:
        if names & {*record.files, *(Path(each).name for each in record.files)}:
            lines = [f"{record.file}: {record.status}", *(f"  {each}" for each in record.reasoning)]
            if record.windows:
                lines.append(
                    f"  {record.windows} windows, {record.windows_refused} without a picture, {record.tiles_left_out} "
                    f"too near to held-out ones: {record.tiles} tiles, {record.used_share:.0%} of what has a value"
                )
            return lines
    known = ", ".join(record.file for record in found.records[:5])
    raise ConfigError(f"No scene of {found.source} has the file {file}. There are: {known}.")
