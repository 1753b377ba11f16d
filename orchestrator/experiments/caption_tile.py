"""One GeoTIFF in, its HCoT annotation out, with the weights of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from actors.captioner.single import SingleCaptioner
from corpus.geotiff.read import model_image, tile_position
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.engines.answer import Answer
from hcot_llm.knowledge.knowledge import Knowledge, tile_knowledge
from hcot_llm.prompts.corrections import Answered, plan_corrections
from hcot_llm.prompts.prompts import captioner_prompt
from hcot_llm.text.render import render_clause
from orchestrator.config.schema import RunConfig
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError


def caption_tile(tile: Path, run_dir: Path) -> dict:
    """Annotate one tile with the weights of a run's last round.

    As in a run, clauses that contradict one another are queried again (captioner.corrections).

    Args:
        tile: GeoTIFF of the tile.
        run_dir: Directory of the run.

    Returns:
        Position, knowledge, for each clause its value, text, level and confidence, and the messages of the remaining
        contradictions.

    Raises:
        TileError: The tile cannot be used.
        RunDirectoryError: The run has no weights yet.
    """
    directory, config = RunDirectory.open(run_dir)
    position = tile_position(tile)
    size = config.model.captioner.vision.image_size_px
    image = model_image(tile, size=size)
    weights = sorted((directory.path / "weights").glob("round-*"))
    if len(weights) < 2:
        raise RunDirectoryError(f"{run_dir} has no trained weights yet. Wait for its first round, or name another run.")
    schema, knowledge = config.annotation_schema, tile_knowledge(position.lon, position.lat)
    engine = config.captioner.decoder_engine.model_copy(
        update={"fault_share": 0}
    )  # faults are injected into runs alone
    captioner = SingleCaptioner(image, weights[-1], engine)
    answer = captioner.ask(_prompt(knowledge, {}, schema.names, config), schema.names, config.seed)
    if answer.error is not None:
        raise RunDirectoryError(
            f"The captioner of {weights[-1]} gave no valid annotation of {tile} ({answer.error}). "
            "Train it longer, or name another run with --run."
        )
    for _ in range(config.captioner.corrections):
        answer = _corrected(answer, captioner, knowledge, position.gsd_m, config)
    clauses = [
        {
            "clause": clause,
            "level": schema.level[clause],
            "value": answer.values[clause],
            "text": render_clause(schema, clause, answer.values[clause], variant=0),
            "confidence": round(float(answer.distributions[clause].max()), 4),
        }
        for clause in schema.names
    ]
    return {
        "tile": str(tile),
        "lon": position.lon,
        "lat": position.lat,
        "crs": position.crs,
        "knowledge": knowledge.model_dump(mode="json"),
        "weights": weights[-1].name,
        "clauses": clauses,
        "contradictions": [found.message for found in contradictions(schema, answer.values, gsd_m=position.gsd_m)],
    }


def _prompt(knowledge: Knowledge, context: Mapping[str, str], queried: Sequence[str], config: RunConfig) -> str:
    return captioner_prompt(
        config.annotation_schema, context, queried, knowledge.line(), {}, config.captioner.asks_by_levels
    )


def _corrected(
    answer: Answer, captioner: SingleCaptioner, knowledge: Knowledge, gsd_m: float, config: RunConfig
) -> Answer:
    """The answer after a level-5 correction, where that leaves fewer contradictions; else the answer itself."""
    planned = plan_corrections(
        config.annotation_schema, [Answered(0, {}, answer.values, config.seed, gsd_m)], candidate=0
    )
    if not planned:
        return answer
    [again] = planned
    correction = captioner.ask(_prompt(knowledge, dict(again.said), again.queried, config), again.queried, again.seed)
    values = answer.values | correction.values
    if len(contradictions(config.annotation_schema, values, gsd_m=gsd_m)) >= len(
        contradictions(config.annotation_schema, answer.values, gsd_m=gsd_m)
    ):
        return answer
    return replace(answer, values=values, distributions=answer.distributions | correction.distributions)


def print_caption(annotation: dict, console: Console) -> None:
    """The annotation as a table."""
    console.print(
        f"{annotation['tile']}  {annotation['lon']:.4f} E {annotation['lat']:.4f} N  {annotation['crs']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("level", "clause", "value", "confidence", "text", box=None, header_style="bold")
    for clause in annotation["clauses"]:
        table.add_row(
            str(clause["level"]), clause["clause"], clause["value"], f"{clause['confidence']:.2f}", clause["text"]
        )
    console.print(table)
    for message in annotation["contradictions"]:
        console.print(f"Contradictory: {message}", highlight=False)
