"""The encoder of a run, frozen or fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.baselines.text_tower import clause_distributions
from benchmark.baselines.vision_tower import OpenedTower
from benchmark.suite.base import MethodInputs, MethodMissing
from corpus.geotiff.backscatter import Backscatter


class OwnEncoder:
    """Method `ours`."""

    about = "the encoder of --run or benchmark.weights: its finest map, its tokens' mean and maximum, its summary"

    def open(self, inputs: MethodInputs) -> OpenedEncoder:
        """Load it.

        Raises:
            MethodMissing: no weights were named, or they are not there.
            WeightsError: the folder holds what is never read.
        """
        if inputs.weights_dir is None:
            raise MethodMissing("no weights: name a run with --run RUN_DIR, or set benchmark.weights")
        return OpenedEncoder(inputs.weights_dir)


class Untrained:
    """Method `ours_untrained`: what the architecture alone brings."""

    about = "control: the same architecture with random weights"

    def open(self, inputs: MethodInputs) -> OpenedEncoder:
        """Make it. Errors as `OwnEncoder.open`."""
        import torch

        from model.encoder import SarEncoder

        opened = OwnEncoder().open(inputs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            sizes = opened.encoder.config.typed()
            opened.encoder = SarEncoder.from_sizes(sizes, opened.encoder.config.slots).eval()
        opened.vision = opened.encoder.vision
        return opened


@dataclass(frozen=True)
class OfRound:
    """The encoder of an early round of the run.

    Attributes:
        number: of the round; 0: what the run started from.
        about: one sentence.
    """

    number: int
    about: str

    def open(self, inputs: MethodInputs) -> OpenedEncoder:
        """Load it.

        Raises:
            MethodMissing: no run was named, or it has deleted these weights.
        """
        path = inputs.rounds.get(self.number)
        if path is None:
            raise MethodMissing("no run: name one with --run RUN_DIR")
        if not path.is_dir():
            raise MethodMissing(
                f"weights not found at {path}: old rounds are deleted unless the run has retention.delete false"
            )
        return OpenedEncoder(path)


class OpenedEncoder(OpenedTower):
    """An encoder of a run: its tower, and what its text half and its clause head know."""

    def __init__(self, weights_dir: Path) -> None:
        from transformers.utils.logging import disable_progress_bar

        from model.checkpoint import load_encoder

        disable_progress_bar()
        self.weights_dir = weights_dir
        try:
            self.encoder = load_encoder(weights_dir)
        except FileNotFoundError as error:
            raise MethodMissing(f"weights not found at {weights_dir}: {error}") from error
        super().__init__(self.encoder.vision)

    def embed_pairs(self, images: Sequence[Backscatter], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of images and of captions, as training drew them together."""
        from model.score import Scorer

        scorer = Scorer(self.encoder, self._tokenizer())
        return scorer.image_embeddings(self.tokens(images)).numpy(), scorer.text_embeddings(texts).numpy()

    def read_clauses(self, images: Sequence[Backscatter], values: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """The clause head's distributions."""
        from hcot_llm.schema.files import read_schema

        schema = read_schema(self.weights_dir)
        return clause_distributions(self, self.encoder, self._tokenizer(), schema, images, values)

    def _tokenizer(self) -> Any:
        from model.checkpoint import load_tokenizer

        try:
            return load_tokenizer(self.weights_dir)
        except FileNotFoundError as error:
            raise MethodMissing(f"no tokenizer in {self.weights_dir}: {error}") from error
