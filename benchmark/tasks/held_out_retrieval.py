"""Whether the encoder finds the true caption of an image that it never saw, and the image of a caption."""

from pathlib import Path

import numpy as np

from benchmark.base import EvaluationInputs, Need, TaskResult
from hcot_llm.text.render import render_caption


class HeldOutRetrieval:
    """Mean recall at 1, 5 and 10 of image-to-text and text-to-image retrieval among the held-out tiles."""

    needs = frozenset({Need.TRUTH, Need.HELD_OUT})
    metrics = ("held_out_mean_recall",)

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Rank the captions that the truth renders to against the tiles' image embeddings."""
        from benchmark.metrics.retrieval import retrieval

        held_out = inputs.held_out
        truth = {row["tile_id"]: row for row in inputs.truth.to_pylist()}
        captions = [
            render_caption(inputs.schema, {clause: truth[tile_id][clause] for clause in inputs.schema.names}, seed=0)
            for tile_id in held_out.tile_ids
        ]
        report = retrieval(held_out.image_embeddings, _text_embeddings(held_out.weights_dir, captions), captions)
        return TaskResult({"held_out_mean_recall": report.mean_recall})


def _text_embeddings(weights_dir: Path, texts: list[str]) -> np.ndarray:
    """Float32 [texts, E] of the encoder in `weights_dir`."""
    import torch

    from model.checkpoint import load_encoder, load_tokenizer
    from model.score import Scorer

    torch.set_num_threads(1)
    return Scorer(load_encoder(weights_dir), load_tokenizer(weights_dir)).text_embeddings(texts).numpy()
