"""One image captioned in this process, without a cluster."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hcot_llm.engines.answer import Answer
from hcot_llm.engines.native import EngineConfig, NativeEngine
from hcot_llm.engines.vllm import configure_process
from hcot_llm.schema.files import read_schema


class SingleCaptioner:
    """The native captioner before one image.

    Args:
        image: [2, H, W] as `corpus.geotiff.read.model_images` gives them.
    """

    def __init__(self, image: np.ndarray, weights_dir: Path, config: EngineConfig) -> None:
        # Here vLLM's remarks on this machine would stand above the annotation.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
        configure_process(config)
        from model.checkpoint import load_captioner, load_tokenizer

        self._captioner, self._tokenizer = load_captioner(weights_dir), load_tokenizer(weights_dir)
        self._engine = NativeEngine(weights_dir / "captioner" / "decoder", config, read_schema(weights_dir))
        self.look_at(image)

    def look_at(self, image: np.ndarray) -> None:
        """Have the next questions be about another image [2, H, W]."""
        import torch

        self._image = torch.from_numpy(image.astype(np.float32))[None]

    def ask(self, prompt: str, clauses: Sequence[str], seed: int) -> Answer:
        """The greedy answer to a prompt that asks for these clauses."""
        ids = self._tokenizer([prompt], add_special_tokens=False)["input_ids"]
        return self._engine.generate(self._captioner.prompt_embeddings(self._image, ids), [tuple(clauses)], seed)[0][0]
