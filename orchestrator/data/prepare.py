"""Makes sure that the corpus a run names exists: tiles, initial annotations, knowledge. Not part of the loop.

Making a simulated corpus writes its truth, and corrupting the truth into initial annotations reads it. Both happen
here, before the loop. In the loop the evaluation alone opens the truth's directory.
"""

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import pyarrow as pa

from corpus.ingest.inspection import summary_of
from corpus.ingest.quarantine import Quarantine, QuarantineRecord
from corpus.ingest.record import read_records
from corpus.integrity import check_tiles
from corpus.storage.arrow import compute as pc
from corpus.storage.errors import ConfigError
from corpus.storage.parquet import read_parquet
from corpus.tiles import CorpusError, file_sha256, read_tiles
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import check_same, read_schema
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.initial import check_annotations, summary_in
from orchestrator.data.make_corpus import (
    INITIAL_FILE,
    KNOWLEDGE,
    SCENES,
    Progress,
    make_labelled,
    make_real,
    make_simulated,
)
from orchestrator.data.scenes import SceneState, list_scenes, listing, with_contents


@dataclass(frozen=True)
class PreparedCorpus:
    """A corpus on disk.

    Attributes:
        corpus_dir: Folder of the tiles.
        truth_dir: Folder of the truth, which is for evaluation only; None where there is no truth.
        tiles: The usable tiles, see `corpus.tiles`.
        initial: Initial annotations of these tiles, see `INITIAL_SCHEMA`.
        knowledge: tile_id -> line of geographic knowledge.
        quarantined: Number of input files and tiles set aside.
        simulated: Whether the scenes are simulated.
        scenes: Name -> state of each scene that a real corpus was cut from; empty where that is not known.
    """

    corpus_dir: Path
    truth_dir: Path | None
    tiles: pa.Table
    initial: pa.Table
    knowledge: dict[str, str]
    quarantined: int
    simulated: bool
    scenes: dict[str, SceneState] = field(default_factory=dict)

    @property
    def scenes_summary(self) -> str:
        """What is used of the scenes and what is not, in words; '' of a simulated corpus, or an older one."""
        records = read_records(self.corpus_dir)
        return summary_of(records, self.tiles["split"].to_pylist().count("held_out")) if records else ""

    @property
    def initial_summary(self) -> str:
        """How many of the initial annotations come from a file, in words; '' where none do."""
        return summary_in(self.corpus_dir)

    @property
    def gsd_m(self) -> dict[str, float]:
        """Metres per pixel of each tile."""
        return dict(zip(self.tiles["tile_id"].to_pylist(), self.tiles["gsd_m"].to_pylist(), strict=True))


def prepare_corpus(
    config: CorpusConfig,
    schema: AnnotationSchema,
    *,
    run_seed: int,
    progress: Progress = lambda *_: None,
    scenes: Mapping[str, SceneState] | None = None,
) -> PreparedCorpus:
    """Make what is missing of the configured corpus and open it.

    Args:
        config: The corpus.
        schema: The schema of the annotations.
        run_seed: Seed of the run.
        progress: Called with what is made, the number of parts done and of all.
        scenes: Scenes that a run was started on. Its corpus is then found again, also where they were copied anew or
            are no longer there. None: the scenes as they are now.

    Raises:
        ConfigError: Kind geotiff without a folder of tiles.
        IngestError: There are no tiles, none is usable, or too many are bad.
        CorpusError: Too many tiles have changed since the corpus was made.
    """
    initial = check_annotations(config, schema)
    said = [schema.digest, "" if initial is None else initial.digest]
    if config.kind == "simulated":
        digest = _digest(config.simulated.digest(), config.corruption, run_seed, *said)
        root = config.data_dir / f"{config.name}-{digest}"
        with _alone(root):
            make_simulated(config, schema, root, run_seed, initial, progress)
        truth, scenes = root / "truth", {}
    elif config.kind == "labelled":
        labelled = config.labelled.resolved()  # a run that is resumed has its paths absolute
        content = file_sha256(labelled.labels) if labelled.labels is not None and labelled.labels.is_file() else ""
        digest = _digest(labelled, config.label_errors, run_seed, content, config.initial_confidence, *said)
        root = config.data_dir / f"{config.name}-{digest}"
        with _alone(root):
            make_labelled(config, schema, root, run_seed, progress)
        truth, scenes = root / "truth", {}
    else:
        if config.tiles is None:
            raise ConfigError(
                "corpus.kind is geotiff, but no tiles were named. Give a folder or a list of GeoTIFFs "
                "with --tiles, or set corpus.tiles."
            )
        source = config.tiles.resolve()
        scenes = scenes or list_scenes(source, config.ingest)
        root = config.data_dir / f"{config.name}-{_digest(config.ingest, str(source), listing(scenes), *said)}"
        with _alone(root):
            make_real(config, schema, source, root, initial, progress)
        truth = None
    prepared = open_corpus(
        root / "corpus",
        truth,
        schema,
        simulated=config.kind == "simulated",
        max_quarantined_share=config.ingest.max_quarantined_share,
    )
    return replace(prepared, scenes=_with_contents(scenes, root / "corpus" / SCENES))


def open_corpus(
    corpus_dir: Path, truth_dir: Path | None, schema: AnnotationSchema, *, simulated: bool, max_quarantined_share: float
) -> PreparedCorpus:
    """Open a corpus that `prepare_corpus` made; tiles that are missing or were changed since are set aside.

    Raises:
        CorpusError: more than `max_quarantined_share` of the tiles cannot be used.
    """
    check_same(
        f"The initial annotations of the corpus {corpus_dir}",
        read_schema(corpus_dir),
        schema,
        "Run with that schema, or have the corpus made anew by another corpus.name.",
    )
    tiles = read_tiles(corpus_dir)
    problems = check_tiles(corpus_dir, touched_only=True)
    if problems:
        Quarantine(corpus_dir).append(
            QuarantineRecord(path=problem.path, reason=problem.reason, hint=problem.message) for problem in problems
        )
    bad = {problem.tile_id for problem in problems}
    if len(bad) > max_quarantined_share * tiles.num_rows:
        raise CorpusError(
            f"{len(bad)} of the {tiles.num_rows} tiles of {corpus_dir} cannot be used, more than the share of "
            f"{max_quarantined_share:.0%} that corpus.ingest.max_quarantined_share accepts. The first: "
            f"{problems[0].message} All stand in quarantine.jsonl there. Make the corpus again by removing its folder."
        )
    # A tile that was put back since it was set aside still stands in the list.
    quarantined = Quarantine(corpus_dir).refused() - set(tiles["path"].to_pylist()) | {
        problem.path for problem in problems
    }
    good = tiles.filter(pc.invert(pc.is_in(tiles["tile_id"], pa.array(sorted(bad), pa.string()))))
    initial = read_parquet(corpus_dir / INITIAL_FILE)
    knowledge = read_parquet(corpus_dir / KNOWLEDGE)
    return PreparedCorpus(
        corpus_dir.resolve(),
        truth_dir.resolve() if truth_dir is not None and truth_dir.exists() else None,
        good,
        initial.filter(pc.is_in(initial["tile_id"], good["tile_id"])),
        dict(zip(knowledge["tile_id"].to_pylist(), knowledge["line"].to_pylist(), strict=True)),
        len(quarantined),
        simulated,
    )


def open_again(
    corpus_dir: Path, config: CorpusConfig, schema: AnnotationSchema, scenes: Mapping[str, SceneState]
) -> PreparedCorpus:
    """Open a corpus that came with its run from elsewhere, whatever of its sources is left here.

    Args:
        corpus_dir: Where it lies now; the truth lies beside it.
        config: The corpus as the run has it.
        schema: The schema of the annotations.
        scenes: Scenes that it was cut from.

    Raises:
        CorpusError: too many of its tiles cannot be used.
    """
    prepared = open_corpus(
        corpus_dir,
        None if config.kind == "geotiff" else corpus_dir.parent / "truth",
        schema,
        simulated=config.kind == "simulated",
        max_quarantined_share=config.ingest.max_quarantined_share,
    )
    return replace(prepared, scenes=dict(scenes))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time makes a corpus, and removes what a killed one has left; another one waits, and finds it.

    A corpus that is whole may lie where nothing can be written.
    """
    if (root / "corpus" / KNOWLEDGE).exists():
        yield
        return
    with _lock_file(root) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that prepares this corpus, {root}", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in root.parent.glob(f"{root.name}.unfinished-*"):
            shutil.rmtree(left)
        yield


def _lock_file(root: Path) -> IO[str]:
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        return open(root.with_name(f".{root.name}.lock"), "a")
    except OSError as error:
        raise ConfigError(
            f"The corpus cannot be made in {root.parent} ({error.strerror or error}). Name another folder with "
            "corpus.data_dir."
        ) from error


def _with_contents(scenes: Mapping[str, SceneState], path: Path) -> dict[str, SceneState]:
    return with_contents(scenes, read_parquet(path)) if path.exists() else {}


def _digest(*parts) -> str:
    content = [part.model_dump(mode="json") if hasattr(part, "model_dump") else part for part in parts]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
