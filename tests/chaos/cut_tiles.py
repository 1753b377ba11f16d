"""GeoTIFFs of which some end in the middle, as after a broken download."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from chaos.compare import Comparison, count
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import new_folder, run_with_faults
from corpus.annotations import AnnotationStore
from corpus.ingest.cutting import tile_id_of
from corpus.ingest.ingest import IngestConfig
from corpus.ingest.quarantine import Quarantine
from corpus.simulate.config import SceneConfig
from corpus.simulate.write import simulate_corpus
from corpus.storage.rng import derive_seed
from corpus.tiles import file_sha256
from orchestrator.state.records import read_initial_summary
from orchestrator.state.run_directory import RunDirectory
from support.hcot import CLAUSES

FILES, SHARE = 200, 0.01


@dataclass(frozen=True)
class CutScenes:
    """folder: with all files. cut: names of those that were cut. tile_ids: of the tiles that the others make."""

    folder: Path
    cut: frozenset[str]
    tile_ids: frozenset[str]


def write_cut_scenes(folder: Path, seed: int, files: int = FILES, share: float = SHARE) -> CutScenes:
    """Write `files` scenes of one tile each, and cut off a part of some: how much, and of which, is drawn."""
    simulate_corpus(SceneConfig(tiles=files, cities=16, seed=seed), folder / "simulated")
    scenes = folder / "scenes"
    scenes.mkdir()
    for path in (folder / "simulated" / "corpus" / "tiles").rglob("*.tif"):
        path.rename(scenes / path.name)
    shutil.rmtree(folder / "simulated")
    paths = sorted(scenes.iterdir(), key=lambda path: derive_seed(seed, path.name, "cut or not"))
    cut, whole = paths[: round(files * share)], paths[round(files * share) :]
    side = IngestConfig().tile_px
    tile_ids = frozenset(tile_id_of(file_sha256(path), 0, 0, side, side) for path in whole)
    for path in cut:
        size = path.stat().st_size
        with open(path, "r+b") as file:
            file.truncate(size * (5 + derive_seed(seed, path.name, "where") % 90) // 100)
    return CutScenes(scenes, frozenset(path.name for path in cut), tile_ids)


def run_on_cut_scenes(reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run on such files: each that was cut has to be set aside and named, and no other may be missing."""
    # Beside the run's folder, which is made anew.
    scenes = write_cut_scenes(new_folder(folder.with_name(f"{folder.name}-scenes")), seed)
    data = scenes.folder.with_name("data")
    settings = ["corpus.kind=geotiff", f"corpus.tiles={scenes.folder.resolve()}", f"corpus.data_dir={data.resolve()}"]
    outcome = run_with_faults(reference.config, folder, settings)
    outcome.injected = len(scenes.cut)
    [corpus] = data.glob("*/corpus")
    named = {record.path for record in Quarantine(corpus).read()}
    if named != scenes.cut:
        outcome.complaints.append(f"set aside: {sorted(named)}; cut: {sorted(scenes.cut)}")
    summary = read_initial_summary(outcome.run_dir)
    if summary is None or summary.quarantined != len(scenes.cut):
        outcome.complaints.append(f"initial.json does not count {len(scenes.cut)} files set aside: {summary}")
    outcome.found = compare_with_tiles(outcome.run_dir, scenes.tile_ids, rounds=len(reference.records))
    if not outcome.complaints:
        shutil.rmtree(scenes.folder.parent)
    return outcome


def compare_with_tiles(run_dir: Path, tile_ids: frozenset[str], rounds: int) -> Comparison:
    """Every clause of every tile has to stand once in every version."""
    directory = RunDirectory(run_dir.resolve())
    store = AnnotationStore(directory.annotations)
    wanted = Counter((tile_id, str(clause)) for tile_id in tile_ids for clause in CLAUSES)
    return Comparison(*count(store, directory.run_id, [wanted] * (rounds + 1)), ())
