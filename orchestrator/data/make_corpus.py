"""A corpus made on disk: tiles, truth where there is one, initial annotations and geographic knowledge."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.ingest.ingest import cut_scenes
from corpus.ingest.record import write_records
from corpus.labelled.labels import read_labels
from corpus.simulate.write import simulate_corpus
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import UNGUARDED
from corpus.tiles import TILES_FILE, read_tiles
from hcot_llm.initial.statements import InitialFile
from hcot_llm.knowledge.knowledge import tile_knowledge
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import write_schema
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.initial import annotate_real, annotate_simulated
from orchestrator.data.labelled import annotate_labelled, write_tiles_and_truth
from orchestrator.data.scenes import contents_table

# Fewer scenes than this are drawn before two processes have started.
_WORTH_PROCESSES = 64

Progress = Callable[[str, int, int], None]
INITIAL_FILE = "seed.parquet"  # initial annotations; the name that corpora on disk have, which are used again
KNOWLEDGE = "knowledge.parquet"  # written last
SCENE_OF_TILE = "scene_of_tile.parquet"  # name of the scene that each tile was cut from
SCENES = "scenes.parquet"  # what was cut; an older corpus has none


def make_simulated(
    config: CorpusConfig,
    schema: AnnotationSchema,
    root: Path,
    run_seed: int,
    initial: InitialFile | None,
    progress: Progress,
) -> None:
    """Simulate scenes and annotate them; what an interrupted call has written is used."""
    corpus_dir = root / "corpus"
    if not (corpus_dir / TILES_FILE).exists():
        simulate_corpus(
            config.simulated,
            root,
            workers=1 if config.simulated.tiles < _WORTH_PROCESSES else 2,
            progress=lambda done, total: progress("simulating scenes", done, total),
        )
    if not (corpus_dir / INITIAL_FILE).exists():
        table = annotate_simulated(config, schema, root, run_seed, initial)
        write_schema(corpus_dir, schema)
        _write(table, corpus_dir / INITIAL_FILE)
    _write_knowledge(corpus_dir, progress)


def make_labelled(
    config: CorpusConfig, schema: AnnotationSchema, root: Path, run_seed: int, progress: Progress
) -> None:
    """Read labelled images, and make some of their labels wrong; what an interrupted call has written is used."""
    corpus_dir = root / "corpus"
    if not (corpus_dir / INITIAL_FILE).exists():
        images = read_labels(config.labelled, schema.vocabulary)
        if not (root / "truth" / "truth.parquet").exists():  # written after the tiles
            write_tiles_and_truth(
                images,
                config.labelled,
                schema,
                root,
                lambda done, total: progress("reading labelled images", done, total),
            )
        table = annotate_labelled(images, config.label_errors, config.initial_confidence, schema, root, run_seed)
        write_schema(corpus_dir, schema)
        _write(table, corpus_dir / INITIAL_FILE)
    _write_knowledge(corpus_dir, progress)


def make_real(
    config: CorpusConfig,
    schema: AnnotationSchema,
    source: Path,
    root: Path,
    initial: InitialFile | None,
    progress: Progress,
) -> None:
    """Cut scenes of a folder into tiles and annotate them; what an interrupted call has written is used."""
    corpus_dir = root / "corpus"
    if not (corpus_dir / SCENES).exists() and not (corpus_dir / KNOWLEDGE).exists():
        # It was killed after the tiles: cut again, or its scenes could never be compared. An older corpus is whole.
        (corpus_dir / TILES_FILE).unlink(missing_ok=True)
    if not (corpus_dir / TILES_FILE).exists():
        report = cut_scenes(
            source,
            corpus_dir,
            config.ingest,
            places_of=_places,
            progress=lambda done, total: progress("cutting scenes", done, total),
        )
        write_records(corpus_dir, report.scenes)
        _write(_columns(("tile_id", "scene"), report.scene_of), corpus_dir / SCENE_OF_TILE)
        _write(contents_table(report.contents), corpus_dir / SCENES)
    if not (corpus_dir / INITIAL_FILE).exists():
        scene_of = dict(zip(*read_parquet(corpus_dir / SCENE_OF_TILE).to_pydict().values(), strict=True))
        table = annotate_real(schema, corpus_dir, scene_of, initial)
        write_schema(corpus_dir, schema)
        _write(table, corpus_dir / INITIAL_FILE)
    _write_knowledge(corpus_dir, progress)


def _places(lons: Sequence[float], lats: Sequence[float]) -> list[tuple[str, str]]:
    return [(knowledge.city, knowledge.country) for knowledge in map(tile_knowledge, lons, lats)]


def _write_knowledge(corpus_dir: Path, progress: Progress) -> None:
    path = corpus_dir / KNOWLEDGE
    if path.exists():
        return
    tiles = read_tiles(corpus_dir)
    lines = []
    for index, (lon, lat) in enumerate(zip(tiles["lon"].to_pylist(), tiles["lat"].to_pylist(), strict=True)):
        lines.append("" if lon is None else tile_knowledge(lon, lat).line())
        progress("looking up geography", index + 1, tiles.num_rows)
    _write(pa.table({"tile_id": tiles["tile_id"], "line": lines}), path)


def _write(table: pa.Table, path: Path) -> None:
    with UNGUARDED.place(path) as partial:
        pq.write_table(table, partial)


def _columns(names: tuple[str, str], content: Mapping[str, str]) -> pa.Table:
    return pa.table({names[0]: pa.array(content, pa.string()), names[1]: pa.array(content.values(), pa.string())})
