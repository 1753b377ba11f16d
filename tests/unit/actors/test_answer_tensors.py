"""Which tokens of an answer begin a value, and of which clause."""

import numpy as np
import pytest
import torch

from actors.trainer.augment import AugmentConfig
from actors.trainer.batches import TrainingRow
from actors.trainer.config import TrainConfig
from actors.trainer.tensors import answer_tokens, training_batch
from hcot_llm.prompts.tokenizer_texts import tokenizer_texts, tokenizer_words
from model.losses.reconstruction import IGNORED
from model.tokenizer import train_tokenizer
from support.hcot import CLAUSES, HCOT, VOCABULARY


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(tokenizer_texts(HCOT), 1024, tokenizer_words(HCOT))


def batch_of(tokenizer, seed: int):
    rows = [
        TrainingRow(
            tile_id=str(index),
            image=np.zeros((2, 24, 24), np.float32),
            values=np.asarray([(index + column) % len(words) for column, words in enumerate(VOCABULARY.values())]),
            caption_mask=np.ones(len(CLAUSES), bool),
            loss_mask=np.ones(len(CLAUSES), bool),
            knowledge="plain coast",
            hints=[""] * len(CLAUSES),
        )
        for index in range(8)
    ]
    train = TrainConfig(micro_batch_tiles=8, augment=AugmentConfig(dihedral=False))
    batch, _ = training_batch(HCOT, rows, seed, tokenizer, 288, train, feedback=False, levels=True)
    return rows, batch


@pytest.mark.parametrize("seed", range(4))
def test_a_value_begins_at_the_token_that_tells_it_from_the_others_of_its_clause(tokenizer, seed):
    rows, batch = batch_of(tokenizer, seed)
    tokens = answer_tokens(HCOT, tokenizer)
    assert batch.answer_clauses is not None
    for index, row in enumerate(rows):
        at = torch.nonzero(batch.answer_clauses[index] != IGNORED).flatten()
        asked = tokenizer.decode(batch.input_ids[index][batch.attention_mask[index]]).split(" ask ")[1].split("{")[0]
        assert [CLAUSES[int(batch.answer_clauses[index, each])] for each in at] == asked.split()
        for each in at:
            clause = int(batch.answer_clauses[index, each])
            assert batch.labels[index, each] == tokens[clause, row.values[clause]]


def test_the_values_of_a_clause_begin_with_tokens_of_their_own(tokenizer):
    for row, words in zip(answer_tokens(HCOT, tokenizer), VOCABULARY.values(), strict=True):
        known = row[row != IGNORED].tolist()
        assert len(set(known)) == len(known) == len(words)
