"""`knowlip gallery`: a run's annotations as one HTML page that needs nothing else: map, pictures, histories."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment

from corpus.geotiff.read import read_backscatter
from corpus.geotiff.reasons import TileError
from corpus.storage.lock import lease_lock
from corpus.storage.writer import UNGUARDED
from corpus.tiles import CorpusError, tile_path
from orchestrator.report.picture import jpeg
from orchestrator.report.places import land_outlines, sites_of
from orchestrator.report.reasons import SOURCES
from orchestrator.report.story import Step, Story, read_story
from orchestrator.state.records import read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory

PAGE: Final = "gallery.html"
DEFAULT_TILES: Final = 150
_TEMPLATE: Final = "gallery.html.j2"
_FIRST_LETTER: Final = 0x100  # letters from here on need no escape in JSON or HTML


def write_gallery(run_dir: Path, out: Path | None = None, tiles: int = DEFAULT_TILES) -> Path:
    """Write the page of a run and return where it lies.

    Args:
        run_dir: of the run, finished or not.
        out: the HTML file; None: gallery.html of the run directory.
        tiles: how many are shown with picture and history, those that changed most; the map has all of them.

    Raises:
        RunDirectoryError: there is no run.
        UnknownInRun: its first round has not begun.
    """
    story = read_story(run_dir)
    page = render(page_data(story, tiles))
    if out is not None:
        UNGUARDED.write_text(out, page, "the gallery")
        return out
    path = story.directory.path / PAGE
    with lease_lock(story.directory.path):
        UNGUARDED.write_text(path, page, "the gallery")
    return path


def write_run_gallery(directory: RunDirectory) -> Path:
    """Write the page of a run whose lease this process holds; errors as of `Writer.write_text`."""
    path = directory.path / PAGE
    directory.writer.write_text(path, render(page_data(read_story(directory.path), DEFAULT_TILES)), "the gallery")
    return path


def render(data: Mapping[str, Any]) -> str:
    """The page as text, with its data inside."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":  # nothing in the data may end the script that it lies in
        text = text.replace(character, f"\\u{ord(character):04x}")
    source = files("orchestrator.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(source).render(name=data["name"], data_json=text)


def page_data(story: Story, tiles: int) -> dict[str, Any]:
    """All that the page shows, as plain values; probabilities in percent."""
    first, last, schema = story.states[0], story.states[-1], story.schema
    changed = (first.values != last.values).sum(axis=1)
    order = np.lexsort((last.confidence.mean(axis=1), -changed))
    shown = [last.tile_ids[row] for row in order[:tiles]]
    corpus, number = story.corpus, last.row_of
    sites = [] if corpus is None else sites_of(corpus.tiles, number)
    about = {} if corpus is None else {row["tile_id"]: row for row in corpus.tiles.to_pylist()}
    return {
        "name": story.directory.path.name,
        "schema": schema.name,
        "rounds": story.rounds,
        "tiles": len(last),
        "clauses": [
            {"name": clause.name, "group": clause.group, "values": list(clause.values)} for clause in schema.clauses
        ],
        "sources": list(SOURCES),
        "accuracy": _accuracy(story),
        "land": [np.round(ring, 1).ravel().tolist() for ring in land_outlines()] if len(sites) > 1 else [],
        "sites": [
            {
                "name": site.name,
                "lon": round(site.lon, 3),
                "lat": round(site.lat, 3),
                "tiles": [
                    [number[tile], np.round(outline, 3).ravel().tolist()] for tile, outline in site.outlines.items()
                ],
            }
            for site in sites
        ],
        "values": [_letters(state.values) for state in story.states],
        "shown": [_tile(story, tile, about.get(tile)) for tile in shown],
    }


def _tile(story: Story, tile: str, about: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = about or {}
    return {
        "id": tile,
        "number": story.states[-1].row_of[tile],
        "split": story.splits.get(tile, ""),
        "city": facts.get("city", ""),
        "country": facts.get("country", ""),
        "sensor": f"{facts['platform']} {facts['band']}" if facts else "",
        "acquired": str(facts.get("acquired", ""))[:10],
        "gsd": round(facts["gsd_m"], 2) if facts else None,
        "width": facts.get("width"),
        "lon": _degrees(facts.get("lon")),
        "lat": _degrees(facts.get("lat")),
        "pictures": [] if about is None or story.corpus is None else _pictures(story.corpus.folder, about),
        "steps": [[_step(story, step) for step in story.steps(tile, clause)] for clause in story.schema.names],
    }


def _degrees(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _step(story: Story, step: Step) -> list[Any]:
    """[value, percent, source, why, [[source, value, percent, weight], ...]] with values and sources as texts."""
    sayings = [
        [SOURCES.index(each.source), each.value, _whole(each.probability), each.weight and round(each.weight, 2)]
        for each in step.sayings
    ]
    return [step.value, _whole(step.confidence), step.source, step.why, sayings]


def _pictures(corpus_dir: Path, about: Mapping[str, Any]) -> list[list[Any]]:
    """[polarisation, data URI, black and white in decibels] of the first two bands, the co-polarised one first."""
    try:
        tile = read_backscatter(tile_path(corpus_dir, about["path"]))
    except (TileError, CorpusError, OSError):  # moved or damaged since: the page shows that it has no picture
        return []
    order = [tile.co_polarised, *(band for band in range(len(tile.array)) if band != tile.co_polarised)]
    found = []
    for band in order[:2]:
        decibels = tile.array[band]
        known = decibels[np.isfinite(decibels)]
        limits = [0, 0] if known.size == 0 else np.round(np.percentile(known, [1, 99.5])).astype(int).tolist()
        uri = f"data:image/jpeg;base64,{base64.b64encode(jpeg(decibels)).decode()}"
        found.append([tile.polarisations[band], uri, *limits])
    return found


def _accuracy(story: Story) -> list[float | None]:
    """Annotation accuracy at the start and after every round, as recorded; None without truth."""
    summary = read_initial_summary(story.directory.path)
    first = None if summary is None else summary.annotation_accuracy
    rounds: Sequence[float | None] = [
        record.metrics.get("annotation_accuracy") for record in read_records(story.directory.path)
    ]
    return [None if value is None else round(value, 4) for value in (first, *rounds)]


def _whole(probability: float) -> int | None:
    return None if np.isnan(probability) else round(100 * probability)


def _letters(values: np.ndarray) -> str:
    """Indices int [tiles, clauses] as one letter each, tile by tile: the map needs all tiles of every round."""
    return "".join(chr(_FIRST_LETTER + value) for value in values.ravel().tolist())
