"""What an ingest decided on one scene, and why: a line of scenes.jsonl, and what `knowlip data check` says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from corpus.storage.disk import writing
from corpus.storage.models import FrozenModel
from corpus.tiles import CorpusError

SCENES_FILE = "scenes.jsonl"
_CHECKED = (
    "file",
    "status",
    "reason",
    "polarisations",
    "unit",
    "median_db",
    "std_db",
    "tiles",
    "used_share",
    "acquired",
    "platform",
)


class SceneRecord(FrozenModel):
    """One scene: a file, or the files of its polarisations."""

    file: str = Field(description="of the first polarisation, as it is named below the source")
    files: tuple[str, ...] = Field(description="of all polarisations")
    status: Literal["ok", "refused", "not_backscatter"]
    code: str = Field(
        default="", description="of the reason, where the scene is not used: see corpus.geotiff.reasons.Reason"
    )
    reason: str = Field(description="the decision in one or two sentences; where the scene is not used, what to do")
    reasoning: tuple[str, ...] = Field(default=(), description="every sentence of the decision")
    polarisations: tuple[str, ...] = ()
    unit: dict[str, Literal["db", "amplitude", "power"]] = Field(
        default_factory=dict, description="polarisation -> unit of the stored values"
    )
    no_data: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="polarisation -> values that stand for none, found though not declared"
    )
    bands_left_out: dict[str, str] = Field(default_factory=dict, description="band -> why it is not used")
    masks: tuple[str, ...] = Field(
        default=(), description="bands, and files beside the scene's, that were applied as masks"
    )
    median_db: dict[str, float] = Field(
        default_factory=dict, description="polarisation -> of sigma nought, up to a constant if not calibrated"
    )
    std_db: dict[str, float] = Field(default_factory=dict, description="polarisation -> standard deviation")
    calibrated: bool | None = Field(
        default=None,
        description="whether the decibels are sigma nought; if not, the models see them against the median over the "
        "scenes of one acquisition (docs/input.md); null in older corpora",
    )
    crs: str = ""
    gsd_m: tuple[float, float] | None = Field(
        default=None, description="metres on the ground from column to column, row to row"
    )
    window: tuple[int, int] | None = Field(default=None, description="rows and columns of a window, scene pixels")
    windows: int = Field(default=0, description="that were looked at")
    windows_refused: int = Field(default=0, description="without a picture")
    tiles_left_out: int = Field(default=0, description="too near to a held-out tile")
    tiles: int = 0
    used_share: float = Field(
        default=0.0, description="of the scene's pixels with a value, the share that lies in tiles"
    )
    acquired: str = ""
    platform: str = "unknown"
    licence: str = Field(
        default="", description="as a STAC item beside the file or a tag of it says; '' if neither does"
    )

    def as_checked(self) -> dict[str, Any]:
        """The record as `knowlip data check --json` prints it."""
        content = self.model_dump(mode="json")
        return {key: content[key] for key in _CHECKED}


def write_records(corpus_dir: Path, records: Iterable[SceneRecord]) -> None:
    """Write scenes.jsonl of a corpus, one record a line, whole or not at all."""
    path = Path(corpus_dir) / SCENES_FILE
    partial = path.with_suffix(".partial")
    with writing("the list of scenes", path):
        partial.write_text(
            "".join(json.dumps(each.model_dump(mode="json")) + "\n" for each in records), encoding="utf-8"
        )
        partial.replace(path)


def read_records(corpus_dir: Path) -> list[SceneRecord]:
    """The records of a corpus, [] where it has none: it is simulated, or older.

    Raises:
        CorpusError: a line is damaged.
    """
    path = Path(corpus_dir) / SCENES_FILE
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(SceneRecord.model_validate_json(line))
        except ValidationError as error:
            raise CorpusError(
                f"{path}, line {number} is not the record of a scene: {error}. Remove the file."
            ) from error
    return records
