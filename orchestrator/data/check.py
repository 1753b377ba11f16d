"""`knowlip data check`: what is wrong with a corpus or a folder of GeoTIFFs, before a run finds out."""

from pathlib import Path

from rich.console import Console

from corpus.geotiff.read import TileError, read_backscatter
from corpus.ingest.scenes import find_scenes
from corpus.tiles import TILES_FILE, check_tiles, read_tiles


def check_data(path: Path, console: Console) -> int:
    """Print every problem; 0 if there is none, else 1.

    Raises:
        IngestError: the folder is absent or has no GeoTIFF.
    """
    if (path / TILES_FILE).exists():
        problems = [problem.message for problem in check_tiles(path)]
        checked = read_tiles(path).num_rows
    else:
        scenes, refused = find_scenes(path)
        checked = len(scenes) + len(refused)
        problems = [str(error) for error in refused]
        for scene in scenes:
            try:
                read_backscatter(scene.path)
            except TileError as error:
                problems.append(str(error))
    for problem in problems:
        console.print(problem, highlight=False, soft_wrap=True)
    console.print(f"{checked:,} files checked, {len(problems):,} cannot be used", highlight=False)
    return 1 if problems else 0
