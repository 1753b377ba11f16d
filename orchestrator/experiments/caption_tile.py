"""One GeoTIFF in, its HCoT annotation out, with the weights of a run.

A raster of a larger extent than the weights were trained at is cut into tiles of that extent, each with an annotation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from actors.scorer.stored_models import read_images
from corpus.geotiff.contrast import EVERY_PRODUCT, factors_to_match, with_contrast
from corpus.geotiff.read import model_images, tile_position, window_positions
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.aggregation.joint import weigh_said
from hcot_llm.knowledge.knowledge import tile_knowledge
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_clause
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError

VIEWS = 8
"""Turned and mirrored views of a tile over which distributions are averaged."""
NOT_KNOWN = "the weights do not say what they were trained on, so nothing tells whether a tile is foreign to them"


@dataclass(frozen=True)
class Familiarity:
    """How a captioner's word on tiles is to be taken.

    Attributes:
        known: The weights' training tiles, see `model.known_tiles.KnownTiles`; None: the weights do not say.
        distance: float64 [N], 1 at the limit beyond which a tile is foreign; None without `known`.
    """

    known: Any
    distance: np.ndarray | None

    def of(self, tile: int) -> float | None:
        """Distance of a tile."""
        return None if self.distance is None else float(self.distance[tile])

    def tempered(self, distributions: Mapping[str, np.ndarray], schema: AnnotationSchema, tile: int) -> dict:
        """Distributions over the values of clauses with no more confidence than the distance of the tile leaves."""
        if self.distance is None:
            return dict(distributions)
        distance = self.distance[[tile]]
        return {
            clause: self.known.tempered(of[None], schema.column[clause], distance)[0]
            for clause, of in distributions.items()
        }


def caption_tile(tile: Path, run_dir: Path) -> dict:
    """Annotate a GeoTIFF with the weights of a run's last round.

    Encoder and captioner are read as in a run, see `read_images`, and clauses are weighed under the schema's rules.

    Args:
        tile: the GeoTIFF.
        run_dir: Directory of the run.

    Returns:
        Position and knowledge of the whole; for each clause its value, text, level and confidence, of several tiles
        those of the mean of their distributions; the messages of the remaining contradictions; whether any tile is
        foreign to the weights; and `tiles`, each with the same and its distance.

    Raises:
        TileError: The tile cannot be used.
        RunDirectoryError: The run has no weights yet.
    """
    directory, config = RunDirectory.open(run_dir)
    whole = tile_position(tile)
    weights = sorted((directory.path / "weights").glob("round-*"))
    from model.known_tiles import KnownTiles

    known = KnownTiles.load(weights[-1]) if weights else None
    seen = model_images(
        tile,
        gsd_m=whole.gsd_m,
        size=config.model.captioner.vision.image_size_px,
        sampling=None if known is None else known.input.sampling,
        most=None,
    )
    if len(weights) < 2:  # asked after the pixels: a tile that cannot be used is refused whatever the run has come to
        raise RunDirectoryError(f"{run_dir} has no trained weights yet. Wait for its first round, or name another run.")
    contrast = (1.0, 1.0) if known is None else factors_to_match(known.input.contrast[EVERY_PRODUCT], seen.images)
    images = with_contrast(seen.images, contrast)
    read = read_images(weights[-1], known, images, VIEWS)
    familiarity, schema = Familiarity(known, read.distance), config.annotation_schema
    together = weighed(schema, read.distributions, known)
    tiles, distributions = [], []
    for number, position in enumerate(window_positions(tile, seen.windows)):
        of_tile = {clause: each[number] for clause, each in together.items()}
        distributions.append(familiarity.tempered(of_tile, schema, number))
        place = {"window": seen.windows[number].model_dump(), "lon": position.lon, "lat": position.lat}
        said = _said(schema, most_probable(schema, of_tile), distributions[-1], seen.gsd_m)
        tiles.append({**place, **_familiar(familiarity.of(number)), **said})
    return {
        "tile": str(tile),
        "lon": whole.lon,
        "lat": whole.lat,
        "crs": whole.crs,
        "knowledge": tile_knowledge(whole.lon, whole.lat).model_dump(mode="json"),
        "weights": weights[-1].name,
        "gsd_m": seen.gsd_m,
        "radiometry": seen.level.value,
        "contrast": [round(factor, 3) for factor in contrast],
        "foreign": None if known is None else any(each["foreign"] for each in tiles),
        **_summary(schema, tiles, distributions, seen.gsd_m),
        "tiles": tiles,
    }


def weighed(schema: AnnotationSchema, distributions: Mapping[str, np.ndarray], known: Any) -> dict[str, np.ndarray]:
    """Distributions over the values of clauses, given all clauses of the tile and the rules of the schema.

    Args:
        schema: The schema.
        distributions: Per clause float [N, V], of the clause alone.
        known: See `Familiarity`; how frequent values were in training.

    Returns:
        Per clause float64 [N, V].
    """
    usual = [np.full(len(words), 1 / len(words)) for words in schema.vocabulary.values()]
    said = [distributions[clause] for clause in schema.names]
    found = weigh_said(schema, said, usual if known is None else known.priors)
    return dict(zip(schema.names, found.values, strict=True))


def most_probable(schema: AnnotationSchema, distributions: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The most probable value of each clause; distributions: per clause float [V]."""
    return {clause: schema.vocabulary[clause][int(distributions[clause].argmax())] for clause in schema.names}


def _familiar(distance: float | None) -> dict:
    """Whether a tile is foreign, and its distance."""
    if distance is None:
        return {"foreign": None, "distance": None}
    return {"foreign": distance > 1, "distance": round(distance, 3)}


def _said(
    schema: AnnotationSchema, values: Mapping[str, str], distributions: Mapping[str, np.ndarray], gsd_m: float
) -> dict:
    """Clauses with the confidence in their values, and what contradicts itself in them."""
    clauses = [
        {
            "clause": clause,
            "level": schema.level[clause],
            "value": values[clause],
            "text": render_clause(schema, clause, values[clause], variant=0),
            "confidence": round(float(distributions[clause][schema.value_index[clause][values[clause]]]), 4),
        }
        for clause in schema.names
    ]
    return {
        "clauses": clauses,
        "contradictions": [found.message for found in contradictions(schema, values, gsd_m=gsd_m)],
    }


def _summary(
    schema: AnnotationSchema, tiles: Sequence[dict], distributions: Sequence[Mapping[str, np.ndarray]], gsd_m: float
) -> dict:
    """What is said of the whole: of a single tile the same; of several the most probable values by their mean."""
    if len(tiles) == 1:
        return {name: tiles[0][name] for name in ("clauses", "contradictions")}
    mean = {clause: np.mean([each[clause] for each in distributions], axis=0) for clause in schema.names}
    return _said(schema, most_probable(schema, mean), mean, gsd_m)


def print_caption(annotation: dict, console: Console) -> None:
    """The annotation as a table."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(f"{annotation['tile']}  {annotation['lon']:.4f} E {annotation['lat']:.4f} N  {annotation['crs']}")
    tiles = annotation["tiles"]
    if len(tiles) > 1:
        say(f"Cut into {len(tiles)} tiles of the extent that the weights were trained at; below is their mean.")
    table = Table("level", "clause", "value", "confidence", "text", box=None, header_style="bold")
    for clause in annotation["clauses"]:
        table.add_row(
            str(clause["level"]), clause["clause"], clause["value"], f"{clause['confidence']:.2f}", clause["text"]
        )
    console.print(table)
    for message in annotation["contradictions"]:
        say(f"Contradictory: {message}")
    if annotation["foreign"] is None:
        say(f"Note: {NOT_KNOWN}.")
    elif annotation["foreign"]:
        foreign = [tile["distance"] for tile in tiles if tile["foreign"]]
        many = f"{len(foreign)} of {len(tiles)} tiles are" if len(tiles) > 1 else "This tile is"
        say(
            f"{many} foreign: unlike what these weights were trained on (distance up to {max(foreign):.1f} times that "
            "of a training tile in a thousand). The confidence is lowered towards how frequent each value was in "
            "training; do not rely on the values."
        )
