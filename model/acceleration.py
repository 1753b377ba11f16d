"""Ways to train a model in less memory or time that change no result but by rounding."""

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from model.training import TrainingModel


def recompute_activations(model: TrainingModel) -> int:
    """Have transformer layers keep their input alone in the forward pass, and compute themselves again in the backward.

    Batch normalisation stands outside of these layers, so its statistics see every tile once. Dropout draws the same.

    Returns:
        Number of layers.
    """
    layers = [
        layer
        for trained in (model.encoder, model.captioner)
        for layer in trained.modules()
        if isinstance(layer, GradientCheckpointingLayer)
    ]
    for layer in layers:
        layer.gradient_checkpointing = True
        # How transformers' own switch sets it, for which our models would have to be its own.
        layer.__dict__["_gradient_checkpointing_func"] = partial(checkpoint, use_reentrant=False)
    return len(layers)


def compile_towers(model: TrainingModel) -> list[nn.Module]:
    """Have torch compile the vision towers and the transformer layers of text encoder and decoder, in place.

    They are compiled one by one, so that what is drawn between them, the hard negatives, stays as it is. Parameters
    keep their names. Compiling happens in the first steps.

    Returns:
        The modules that are compiled.
    """
    vision = {id(tower): tower for tower in (model.encoder.vision, model.captioner.vision, model.teacher.vision)}
    compiled: list[nn.Module] = [
        *vision.values(),
        *model.encoder.text.layers,
        *model.teacher.text.layers,
        *model.captioner.decoder.model.layers,
    ]
    for module in compiled:
        module.compile()
    return compiled
