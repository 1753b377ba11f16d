"""A real model trained for seconds, without Ray and without DeepSpeed, on clean labels of one clause."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from actors.weights import create_weights, load_training_model, publish_weights
from corpus.geotiff.read import model_image
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.prompts.prompts import answer_text, captioner_prompt
from hcot_llm.text.render import render_caption
from model.checkpoint import load_captioner, load_tokenizer, weights_sha256
from model.config import ModelConfig
from model.losses.clause import UNKNOWN
from model.losses.reconstruction import answer_labels
from model.tokenizer import encode_texts
from model.training import Batch, TrainingModel
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.prepare import prepare_corpus
from support.hcot import CLAUSES, HCOT
from support.paths import ROOT

TILES, SIDE = 96, 64
CLAUSE = "building"
# Nothing but the image tells the answer: no place, no kept clause, no feedback.
PROMPT = captioner_prompt(HCOT, {}, [CLAUSE], "", {})
BATCH, EPOCHS, LEARNING_RATE = 16, 20, 3e-3


@dataclass(frozen=True)
class CleanCorpus:
    """images: float32 [N, 2, 64, 64]; annotations: the truth."""

    images: torch.Tensor
    annotations: AnnotationMatrix


@dataclass(frozen=True)
class TrainedCaptioner:
    """Published weights, the untrained ones it started from, and the model in memory."""

    weights_dir: Path
    weights_sha256: str
    untrained_dir: Path
    captioner: object
    tokenizer: object

    @property
    def decoder_dir(self) -> Path:
        return self.weights_dir / "captioner" / "decoder"

    def embeddings(self, images: torch.Tensor, prompts: list[str]) -> list[torch.Tensor]:
        """Prompts as the engine takes them."""
        ids = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        return self.captioner.prompt_embeddings(images, ids)


def make_clean_corpus(folder: Path) -> CleanCorpus:
    """Simulate tiles and annotate them without errors."""
    config = CorpusConfig.model_validate(
        {
            "name": "clean",
            "data_dir": folder,
            "simulated": {"tiles": TILES, "cities": 8},
            "corruption": {"error_scale": 0, "share_invented": 0, "share_missed": 0},
        }
    )
    prepared = prepare_corpus(config, HCOT, run_seed=0)
    annotations = matrix_from_table(HCOT, prepared.initial)
    path = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["path"].to_pylist(), strict=True))
    images = np.stack([model_image(prepared.corpus_dir / path[tile_id], size=SIDE) for tile_id in annotations.tile_ids])
    return CleanCorpus(torch.from_numpy(images).float(), annotations)


def train_captioner(corpus: CleanCorpus, folder: Path) -> None:
    """The default's model on smaller images, all losses, one clause."""
    content = yaml.safe_load((ROOT / "configs" / "model" / "tiny.yaml").read_text())
    for part in ("encoder", "captioner"):
        content[part]["vision"] = content[part]["vision"] | {"image_size_px": SIDE}
    content["objective"]["reconstruction_share"] = 1.0
    content["objective"]["clause_weight"] = 1.0  # the encoder is not looked at here
    create_weights(HCOT, folder / "untrained", ModelConfig.model_validate(content), seed=0)
    model, tokenizer = load_training_model(folder / "untrained")
    generator = np.random.default_rng(0)
    order = np.concatenate([generator.permutation(TILES) for _ in range(EPOCHS)])
    train(model, lambda step: _batch(corpus, order[step * BATCH :][:BATCH], tokenizer, step), EPOCHS * TILES // BATCH)
    publish_weights(HCOT, folder / "trained", model, tokenizer, corpus.images[:4].numpy(), [PROMPT] * 4)


def load_trained(folder: Path) -> TrainedCaptioner:
    """What `train_captioner` has left in `folder`, maybe in another process."""
    weights = folder / "trained"
    return TrainedCaptioner(
        weights,
        weights_sha256(weights),
        folder / "untrained",
        load_captioner(weights).eval(),
        load_tokenizer(weights),
    )


def train(model: TrainingModel, batch_at: Callable[[int], Batch], steps: int) -> None:
    """Plain training on one thread: `batch_at(step)` for each step, all losses, one cycle of the learning rate."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for step in range(steps):
        batch = batch_at(step)
        report = model(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        report.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        model.momentum_update()
        model.enqueue(report.teacher_image, report.teacher_text, batch.tile_ids)
    torch.set_num_threads(threads)


def _batch(corpus: CleanCorpus, rows: np.ndarray, tokenizer, step: int) -> Batch:
    values = [{CLAUSE: corpus.annotations.row_values(row)[CLAUSE]} for row in rows]
    captions = [
        render_caption(HCOT, value, seed=derive_seed(int(row), step)) for row, value in zip(rows, values, strict=True)
    ]
    caption_ids, caption_mask = encode_texts(tokenizer, captions, 64)
    prompts = tokenizer([PROMPT] * len(rows), add_special_tokens=False)["input_ids"]
    answers = tokenizer([answer_text(HCOT, value, [CLAUSE]) for value in values], add_special_tokens=False)["input_ids"]
    input_ids, attention_mask, labels = answer_labels(
        prompts, [[*ids, tokenizer.eos_token_id] for ids in answers], tokenizer.pad_token_id
    )
    targets = torch.full((len(rows), len(CLAUSES)), UNKNOWN)
    targets[:, CLAUSES.index(CLAUSE)] = torch.from_numpy(corpus.annotations.column(CLAUSE)[rows])
    return Batch(
        images=corpus.images[rows],
        tile_ids=torch.as_tensor(rows),
        caption_ids=caption_ids,
        caption_mask=caption_mask,
        caption_keys=torch.tensor([derive_seed(caption) for caption in captions]),
        clause_labels=targets,
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
    )
