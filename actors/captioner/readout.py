"""What the captioner's image tokens say of each clause, in the place of what its answer's tokens say.

The decoder has to find out, while it learns to write JSON, which image token a clause is asked of; on a small corpus it
answers much worse than a linear readout of these tokens, which is trained beside it on the same targets. The readout
sees the image alone: it does not know the prompt's context and hints, nor what was answered before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from actors.data.dihedral import as_seen_unturned, turn
from hcot_llm.engines.answer import Answer
from hcot_llm.schema.annotation_schema import AnnotationSchema


def slot_distributions(
    schema: AnnotationSchema, captioner: Any, images: np.ndarray, views: int, batch_tiles: int
) -> dict[str, np.ndarray]:
    """The distribution over the values of every clause, averaged over symmetries of the images.

    Args:
        schema: The schema of the clauses.
        captioner: A `SarCaptioner` with a readout, on the device that it computes on.
        images: float [N, channels, S, S].
        views: Number of symmetries, 1 to 8.
        batch_tiles: Images that pass the vision tower at once.

    Returns:
        Per clause float32 [N, V].
    """
    import torch

    device = next(captioner.parameters()).device
    total = [np.zeros((len(images), len(words)), np.float32) for words in schema.vocabulary.values()]
    for symmetry in range(views):
        turned = turn(images, symmetry)
        for start in range(0, len(images), batch_tiles):
            part = torch.from_numpy(np.ascontiguousarray(turned[start : start + batch_tiles])).to(device).float()
            with torch.no_grad():
                read = captioner.read_slots(part)
            for clause, each, log_probabilities in zip(schema.names, total, read, strict=True):
                seen = as_seen_unturned(schema, clause, log_probabilities.exp().cpu().numpy(), symmetry)
                each[start : start + batch_tiles] += seen / np.float32(views)
    return dict(zip(schema.names, total, strict=True))


def as_read_out(answers: Sequence[Sequence[Answer]], read: Mapping[str, np.ndarray] | None) -> list[list[Answer]]:
    """The answers with what was read out in the place of the distributions of their tokens.

    Args:
        answers: Per prompt its candidates.
        read: Per clause float [N, V], of the N prompts' tiles; every clause counts, also those that were not queried.
            None: the prompts are asked again, and what is read of their tiles came with the first answers.
    """
    said = [{} if read is None else {clause: each[row] for clause, each in read.items()} for row in range(len(answers))]
    return [
        [replace(first, distributions=distributions), *others]
        for (first, *others), distributions in zip(answers, said, strict=True)
    ]
