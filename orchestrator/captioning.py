"""One GeoTIFF in, its HCoT annotation out, with the weights of a run."""

import logging
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from corpus.geotiff import model_image, tile_position
from hcot_llm.engine import NativeEngine, configure_process
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
    configure_process(config.captioner.engine)
    logging.getLogger("vllm").setLevel(logging.ERROR)
    import torch

    from model.checkpoint import load_captioner, load_tokenizer

    captioner, tokenizer = load_captioner(weights[-1]), load_tokenizer(weights[-1])
    engine = NativeEngine(weights[-1] / "captioner" / "decoder", config.captioner.engine)
    prompt = captioner_prompt({}, CLAUSES, knowledge.line(), {}, config.captioner.levels_in_prompt)
    ids = tokenizer([prompt], add_special_tokens=False)["input_ids"]
    embeddings = captioner.prompt_embeddings(torch.from_numpy(image.astype(np.float32))[None], ids)
    answer = engine.generate(embeddings, [CLAUSES], [config.seed])[0][0]
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
