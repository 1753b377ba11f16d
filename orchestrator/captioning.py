"""One GeoTIFF in, its HCoT annotation out, with the weights of a run."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from actors.single_caption import caption_image
from corpus.geotiff import model_image, tile_position
from hcot_llm.knowledge import tile_knowledge
from hcot_llm.prompts import captioner_prompt
from hcot_llm.render import render_clause
from hcot_llm.schema import CLAUSES, LEVEL
from orchestrator.run_directory import RunDirectory, RunDirectoryError


def caption_tile(tile: Path, run_dir: Path) -> dict:
    """The annotation of one tile: position, knowledge, and for each clause value, text, level and confidence.

    Raises:
        TileError: the tile cannot be used. RunDirectoryError: the run has no weights yet.
    """
    directory, config = RunDirectory.open(run_dir)
    position = tile_position(tile)
    size = config.model.captioner.vision.image_size_px
    image = model_image(tile, size=size)
    weights = sorted((directory.path / "weights").glob("round-*"))
    if len(weights) < 2:
        raise RunDirectoryError(f"{run_dir} has no trained weights yet. Wait for its first round, or name another run.")
    knowledge = tile_knowledge(position.lon, position.lat)
    prompt = captioner_prompt({}, CLAUSES, knowledge.line(), {}, config.captioner.levels_in_prompt)
    engine = config.captioner.engine.model_copy(update={"poison_share": 0})  # faults are injected into runs alone
    answer = caption_image(image, prompt, weights[-1], engine, config.seed)
    if answer.error is not None:
        raise RunDirectoryError(f"The captioner of {weights[-1]} gave no valid annotation of {tile} ({answer.error}). "
                                "Train it longer, or name another run with --run.")
    clauses = [{"clause": str(clause), "level": LEVEL[clause], "value": answer.values[clause],
                "text": render_clause(clause, answer.values[clause], variant=0),
                "confidence": round(float(answer.distributions[clause].max()), 4)} for clause in CLAUSES]
    return {"tile": str(tile), "lon": position.lon, "lat": position.lat, "crs": position.crs,
            "knowledge": knowledge.model_dump(mode="json"), "weights": weights[-1].name, "clauses": clauses}


def print_caption(annotation: dict, console: Console) -> None:
    """The annotation as a table."""
    console.print(f"{annotation['tile']}  {annotation['lon']:.4f} E {annotation['lat']:.4f} N  {annotation['crs']}",
                  highlight=False, soft_wrap=True)
    table = Table("level", "clause", "value", "confidence", "text", box=None, header_style="bold")
    for clause in annotation["clauses"]:
        table.add_row(str(clause["level"]), clause["clause"], clause["value"], f"{clause['confidence']:.2f}",
                      clause["text"])
    console.print(table)
