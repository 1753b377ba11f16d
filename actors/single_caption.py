"""One image captioned in this process, without a cluster."""

from pathlib import Path

import numpy as np

from hcot_llm.engine import Answer, EngineConfig, NativeEngine
from hcot_llm.schema import CLAUSES
from hcot_llm.vllm_engine import configure_process


def caption_image(image: np.ndarray, prompt: str, weights_dir: Path, config: EngineConfig, seed: int) -> Answer:
    """The greedy answer to a prompt that asks for all clauses.

    Args:
        image: [2, H, W] as `corpus.geotiff.model_image` gives it.
    """
    configure_process(config)
    import torch

    from model.checkpoint import load_captioner, load_tokenizer

    captioner, tokenizer = load_captioner(weights_dir), load_tokenizer(weights_dir)
    engine = NativeEngine(weights_dir / "captioner" / "decoder", config)
    ids = tokenizer([prompt], add_special_tokens=False)["input_ids"]
    embeddings = captioner.prompt_embeddings(torch.from_numpy(image.astype(np.float32))[None], ids)
    return engine.generate(embeddings, [CLAUSES], seed)[0][0]
