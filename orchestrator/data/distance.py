"""`knowlip data distance`: how far the radiometry of a corpus is from that of real scenes."""

import hashlib
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from corpus.ingest.config import IngestConfig
from corpus.ingest.ingest import cut_scenes
from corpus.radiometry.corpus_radiometry import BOTH, MEASURES, CorpusRadiometry, distances, measure_corpus
from corpus.storage.errors import ConfigError
from corpus.tiles import TILES_FILE
from orchestrator.data.prepare import PreparedCorpus


@dataclass(frozen=True)
class RadiometryComparison:
    """What was measured of a corpus and of real scenes, and how far they are apart.

    Attributes:
        distances: polarisation -> name of MEASURES -> distance, see `corpus.radiometry.corpus_radiometry.distances`.
        corpus, real: polarisation -> numbers that describe it, and under BOTH the mean correlation.
        scenes: number of real scenes.
    """

    distances: dict[str, dict[str, float]]
    corpus: dict[str, dict[str, float]]
    real: dict[str, dict[str, float]]
    scenes: int

    def as_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def compare_with_real(
    prepared: PreparedCorpus, real: Path, ingest: IngestConfig, *, window_px: int, half: int | None, most: int = 2000
) -> RadiometryComparison:
    """Measure a corpus and real scenes on windows of the same number of pixels. No annotation is read.

    Args:
        prepared: the corpus.
        real: corpus directory; or folder or list of GeoTIFFs, which are cut into windows in a temporary folder.
        ingest: how such files are read.
        window_px: side of the windows, pixels.
        half: 0 or 1 takes that half of the real scenes, as the hash of their names divides them; None: all.
        most: tiles of either side that are read.

    Raises:
        ConfigError: no polarisation is on both sides, or a corpus directory is to be halved.
        CorpusError: no tile holds a window.
        IngestError: there is nothing at `real`, or too many files cannot be used.
    """
    ours = measure_corpus(prepared.corpus_dir, window_px, most=most)
    if (real / TILES_FILE).exists():
        if half is not None:
            raise ConfigError(
                f"{real} is a corpus directory, whose scenes cannot be halved: give the folder of scenes."
            )
        theirs, scenes = measure_corpus(real, window_px, most=most), 0
    else:
        with tempfile.TemporaryDirectory(prefix="knowlip-distance-") as folder:
            cut = ingest.model_copy(
                update={"tile_px": window_px, "window_px": None, "stride_px": None, "held_out_share": 0.0}
            )
            report = cut_scenes(real, Path(folder), cut)
            chosen = set(report.scene_of.values()) if half is None else half_of(set(report.scene_of.values()), half)
            tiles = {tile for tile, scene in report.scene_of.items() if scene in chosen}
            theirs, scenes = measure_corpus(Path(folder), window_px, tile_ids=tiles, most=most), len(chosen)
    found = distances(ours, theirs)
    if not found:
        raise ConfigError(
            f"{real} has {', '.join(theirs.bands)} and the corpus has {', '.join(ours.bands)}: there is nothing to "
            "compare. Name the bands with corpus.ingest.polarisations, or set corpus.simulated.sensors."
        )
    return RadiometryComparison(found, _summary(ours), _summary(theirs), scenes)


def half_of(names: Collection[str], half: int) -> set[str]:
    """Every second name in the order of their hashes, from the first on (half 0) or from the second on (half 1)."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return set(ordered[half::2])


def print_comparison(compared: RadiometryComparison, console: Console) -> None:
    """Print the numbers of both sides, and the distances, as tables."""
    bands = [name for name in compared.distances if name != BOTH]
    table = Table("", *(title for name in bands for title in (name, f"real {name}")))
    for key in compared.corpus[bands[0]]:
        values = (side[name][key] for name in bands for side in (compared.corpus, compared.real))
        table.add_row(key, *(f"{value:.4g}" for value in values))
    console.print(table)
    if BOTH in compared.distances:
        ours, theirs = (side[BOTH]["correlation"] for side in (compared.corpus, compared.real))
        console.print(f"mean correlation of the polarisations: {ours:.3f}, real {theirs:.3f}", highlight=False)
    table = Table("distance", *compared.distances)
    for measure, words in MEASURES.items():
        cells = [values.get(measure) for values in compared.distances.values()]
        if any(cell is not None for cell in cells):
            table.add_row(words, *("" if cell is None else f"{cell:.3f}" for cell in cells))
    console.print(table)


def _summary(measured: CorpusRadiometry) -> dict[str, dict[str, float]]:
    bands = {name: band.summary() for name, band in measured.bands.items()}
    return bands if measured.mean_correlation is None else {**bands, BOTH: {"correlation": measured.mean_correlation}}
