"""Weights on disk: where a run starts from, and what a round publishes."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml
from transformers.utils.logging import disable_progress_bar

from actors.captioner.probe import Probe, compute_probe, save_probe
from actors.weight_files import MODEL_CONFIG, PRETRAINED
from corpus.storage.writer import UNGUARDED, Writer
from hcot_llm.prompts.tokenizer_texts import tokenizer_texts, tokenizer_words
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import read_schema, write_schema
from hcot_llm.text.render import clause_sentences
from model.captioner import SarCaptioner
from model.checkpoint import load_captioner, load_encoder, load_tokenizer, save_model, weights_sha256
from model.clause_text import ClauseText
from model.config import ModelConfig
from model.known_tiles import KnownTiles
from model.pretrained import start_from
from model.tokenizer import train_tokenizer
from model.training import MomentumTeacher, TrainingModel
from model.weights_check import check_weights


def slot_texts(schema: AnnotationSchema, tokenizer) -> ClauseText:
    """The sentence of every value of every clause, which the encoder compares tiles with."""
    return ClauseText.from_texts(tokenizer, *clause_sentences(schema))


def create_weights(
    schema: AnnotationSchema, directory: Path, config: ModelConfig, seed: int, writer: Writer = UNGUARDED
) -> str:
    """Write untrained weights, and a tokenizer trained on our own texts. After an error the directory is as before.

    Args:
        schema: The schema of the annotations.
        directory: Folder to write.
        config: Sizes of the models.
        seed: Seed of the weights.
        writer: Writer that holds the run's lease.

    Returns:
        SHA-256 of the weights, 64 hexadecimal digits.

    Raises:
        DiskFull: The weights do not fit on the disk.
        LeaseLost: Another driver has taken over.
        PretrainedError: A tower is to start from weights that are not there, or are of another size.
    """
    tokenizer = train_tokenizer(tokenizer_texts(schema), config.captioner.vocab_size, tokenizer_words(schema))
    sizes = config.without_pretrained()
    torch.manual_seed(seed)
    model = TrainingModel.create(sizes, slot_texts(schema, tokenizer), tokenizer)
    pretrained = start_towers(model, config)
    return _write(schema, directory, model, tokenizer, sizes, None, writer, pretrained=pretrained)


def start_towers(model: TrainingModel, config: ModelConfig) -> dict[str, str]:
    """Start the towers that `config` says from other weights.

    Returns:
        Key of the section -> SHA-256 of the file. Empty where no tower does.

    Raises:
        PretrainedError: as `start_from`.
    """
    found: dict[str, str] = {}
    for part, tower, vision in (
        ("encoder", model.encoder.vision, config.encoder.vision),
        ("captioner", model.captioner.vision, config.captioner.vision),
    ):
        if vision.pretrained is not None:
            found[f"{part}.vision"] = start_from(tower, vision, f"model.{part}.vision")
    if found:
        model.teacher = MomentumTeacher(model.encoder)  # it begins as the encoder does
    return found


def copy_weights(source: Path, target: Path, writer: Writer = UNGUARDED) -> str:
    """Start from the weights of an earlier run; returns their hash.

    Raises:
        FileNotFoundError: there are none.
        WeightsError: they are not safe to read.
        LeaseLost: another driver has taken over.
        DiskFull: they do not fit on the disk.
    """
    check_weights(source)
    digest = weights_sha256(source)
    with _place(target, writer) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
    return digest


def load_training_model(directory: Path) -> tuple[TrainingModel, object]:
    """Encoder, captioner, momentum teacher and queue, starting from a weights directory; and its tokenizer."""
    config = ModelConfig.from_yaml(directory / MODEL_CONFIG)
    tokenizer = load_tokenizer(directory)
    encoder = load_encoder(directory).train()
    captioner = load_captioner(directory).train()
    if config.share_vision:
        captioner.vision = encoder.vision
    return TrainingModel(encoder, captioner, slot_texts(read_schema(directory), tokenizer), config), tokenizer


def publish_weights(
    schema: AnnotationSchema,
    directory: Path,
    model: TrainingModel,
    tokenizer,
    images,
    prompts: list[str],
    writer: Writer = UNGUARDED,
    known: KnownTiles | None = None,
) -> str:
    """Write a round's weights with a probe of the captioner as it is in memory; returns the weights' hash.

    Args:
        schema: Schema of the annotations.
        directory: Folder to write.
        model: encoder and captioner, as trained.
        tokenizer: Tokenizer of the prompts.
        images: float32 array [N, 2, H, W] of the probe.
        prompts: N texts of the probe.
        writer: Writer of the run; it refuses to write when another driver has taken over.
        known: What the model was trained on.

    Raises:
        DiskFull: they do not fit on the disk. The directory is what it was.
        LeaseLost: another driver has taken over. The directory is what it was.
    """
    captioner: SarCaptioner = model.captioner
    token_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    device = next(captioner.parameters()).device
    was_training = captioner.training
    captioner.eval()
    probe = compute_probe(
        captioner.decoder, captioner.prompt_embeddings(torch.as_tensor(images, device=device), token_ids)
    )
    captioner.train(was_training)
    config = ModelConfig.model_validate(
        {
            "encoder": model.encoder.config.sizes,
            "captioner": captioner.config.sizes,
            "objective": model.objective.model_dump(mode="json"),
            "share_vision": model.shared_vision,
        }
    )
    return _write(schema, directory, model, tokenizer, config, probe, writer, known)


def _write(
    schema: AnnotationSchema,
    directory: Path,
    model: TrainingModel,
    tokenizer,
    config: ModelConfig,
    probe: Probe | None,
    writer: Writer,
    known: KnownTiles | None = None,
    pretrained: Mapping[str, str] | None = None,
) -> str:
    disable_progress_bar()
    with _place(directory, writer) as partial:
        save_model(partial, model.encoder, model.captioner, tokenizer)
        (partial / MODEL_CONFIG).write_text(yaml.safe_dump(config.model_dump(mode="json")))
        write_schema(partial, schema)
        if probe is not None:
            save_probe(partial, probe)
        if known is not None:
            known.save(partial)
        if pretrained:
            (partial / PRETRAINED).write_text(json.dumps(pretrained, sort_keys=True), encoding="utf-8")
        return weights_sha256(partial)


@contextmanager
def _place(directory: Path, writer: Writer) -> Iterator[Path]:
    """Give an empty folder that becomes `directory`, see `Writer.place`; what earlier writers of it left is removed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    writer.remove_unfinished(directory.parent, f"{directory.name}.")
    with writer.place(directory, "the weights") as partial:
        partial.mkdir()
        yield partial
