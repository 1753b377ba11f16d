"""Files of a weights directory that are read without torch."""

import json
from pathlib import Path

MODEL_CONFIG = "model.yaml"
PRETRAINED = "pretrained.json"
"""Which towers of untrained weights started from other weights: key of the section -> SHA-256 of that file."""


def pretrained_of(directory: Path) -> dict[str, str]:
    """What `actors.weights.create_weights` noted of other weights; {} where all is untrained."""
    path = directory / PRETRAINED
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
