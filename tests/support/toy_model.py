"""A model of toy size and the texts it is tried with."""

from model.config import ModelConfig

VALUES = [["It is plain.", "It is hilly."], ["No ship.", "One ship.", "Two ships."]]
NAMES = ["terrain", "target count"]
CAPTIONS = ["It is plain. No ship.", "It is hilly. Two ships.", "It is plain. One ship."]


def toy(**changes) -> ModelConfig:
    vision = {
        "image_size_px": 32,
        "stem_channels": [8, 8],
        "stem_strides": [4, 2],
        "stem_blocks": [0, 0],
        "width": 16,
        "depth": 1,
        "heads": 2,
        "intermediate": 16,
    }
    text = {"vocab_size": 320, "width": 16, "heads": 2, "intermediate": 16, "max_tokens": 32}
    base = {
        "encoder": {"vision": vision, "text": text, "embed_dim": 16, "clause_heads": 2},
        "captioner": {
            "vision": vision,
            "prefix_tokens": 4,
            "vocab_size": 320,
            "width": 32,
            "depth": 1,
            "heads": 1,
            "key_value_heads": 1,
            "intermediate": 32,
            "max_tokens": 64,
        },
        "objective": {"queue_size": 8, "soft_target_warmup_steps": 2},
    }
    return ModelConfig.model_validate(base | changes)
