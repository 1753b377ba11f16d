"""From training rows to the tensors of one micro-batch."""

import torch

from actors.trainer.batches import TrainingRow, build_micro_batch
from actors.trainer.config import TrainConfig
from corpus.storage.rng import derive_seed
from hcot_llm.schema.annotation_schema import AnnotationSchema
from model.losses.reconstruction import answer_labels
from model.tokenizer import encode_texts
from model.training import Batch


def training_batch(
    schema: AnnotationSchema,
    rows: list[TrainingRow],
    seed: int,
    tokenizer,
    caption_tokens: int,
    train: TrainConfig,
    *,
    feedback: bool,
    levels: bool,
) -> tuple[Batch, torch.Generator]:
    """Tensors of a micro-batch on the CPU, and the generator that hard negatives are drawn with.

    Args:
        schema: Schema of the rows.
        rows: the training rows, as many as train.micro_batch_tiles.
        seed: Seed of everything random in the micro-batch.
        tokenizer: Tokenizer of captions, prompts and answers.
        caption_tokens: the encoder reads so many tokens of a caption at most.
        train: settings of the training.
        feedback: whether prompts may carry the encoder's feedback of the round before.
        levels: whether prompts carry the levels of the annotation.
    """
    built = build_micro_batch(schema, rows, seed, train.augment, feedback=feedback, levels=levels)
    caption_ids, caption_mask = encode_texts(tokenizer, built.captions, caption_tokens)
    prompts = tokenizer(built.prompts, add_special_tokens=False)["input_ids"]
    answers = [
        [*ids, tokenizer.eos_token_id] for ids in tokenizer(built.answers, add_special_tokens=False)["input_ids"]
    ]
    input_ids, attention_mask, labels = answer_labels(prompts, answers, tokenizer.pad_token_id)
    batch = Batch(
        images=torch.from_numpy(built.images),
        tile_ids=torch.tensor([derive_seed(row.tile_id) for row in rows]),
        caption_ids=caption_ids,
        caption_mask=caption_mask,
        caption_keys=torch.tensor([derive_seed(caption) for caption in built.captions]),
        clause_labels=torch.from_numpy(built.targets),
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
    )
    return batch, torch.Generator().manual_seed(derive_seed(seed, "hard negatives"))
