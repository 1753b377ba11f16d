"""A trained encoder finds the one wrong clause of a caption by leaving each clause out, as the loop does.

Images that carry the clauses plainly, one row of textures each, stand for tiles: what is tested is the whole way from
the training losses over the scorer to the flags, and every sign and class convention on it.
"""

import numpy as np
import pytest
import torch

from actors.weights import create_weights, load_training_model
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import leave_one_out_flags, leave_one_out_gains
from hcot_llm.text.render import render_caption
from model.config import ModelConfig
from model.losses.clause import UNKNOWN
from model.losses.reconstruction import answer_labels
from model.score import Scorer
from model.tokenizer import encode_texts
from model.training import Batch
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.shared_training import train

SIDE, CELL = 32, 8
SHOWN = ("terrain", "road", "water", "target_count")  # one row of the 4 x 4 grid each
COLUMNS = [CLAUSES.index(clause) for clause in SHOWN]
BATCH, STEPS = 32, 350
PLANTED = 50  # captions with a wrong value of each clause


def model_config() -> ModelConfig:
    """The default's architecture, narrower, with images in patches."""
    vision = {
        "image_size_px": SIDE,
        "stem": "patch",
        "patch_size_px": CELL,
        "width": 64,
        "depth": 0,
        "heads": 2,
        "intermediate": 64,
        "summary": "spatial",
        "summary_width": 96,
    }
    return ModelConfig.model_validate(
        {
            "encoder": {
                "vision": vision,
                "embed_dim": 64,
                "clause_heads": 2,
                "text": {
                    "vocab_size": 1024,
                    "width": 64,
                    "depth": 2,
                    "unimodal_depth": 1,
                    "fusion_start": 1,
                    "heads": 2,
                    "intermediate": 128,
                    "max_tokens": 64,
                    "pooling": "mean",
                },
            },
            "captioner": {
                "vision": vision,
                "prefix_tokens": 4,
                "slot_tokens": False,
                "vocab_size": 1024,
                "width": 16,
                "depth": 1,
                "heads": 1,
                "key_value_heads": 1,
                "intermediate": 16,
                "max_tokens": 256,
            },
            "objective": {"queue_size": 256, "reconstruction_share": 0.01, "soft_target_weight": 0.0},
        }
    )


def draw_values(tiles: int, generator: np.random.Generator) -> np.ndarray:
    """Independent values of all clauses, int [tiles, 16]."""
    return np.stack([generator.integers(len(VOCABULARY[clause]), size=tiles) for clause in CLAUSES], axis=1)


def images_of(values: np.ndarray) -> np.ndarray:
    """Tiles float32 [N, 2, 32, 32]: a row of the 4 x 4 grid for each shown clause, a texture for each of its values."""
    generator = np.random.default_rng(7)
    textures = generator.choice([-1.0, 1.0], (4, 10, 2, CELL, SIDE)).astype(np.float32)
    rows = textures[np.arange(4), values[:, COLUMNS]]  # [N, 4, 2, CELL, SIDE]
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3, 4).reshape(len(values), 2, SIDE, SIDE))


def batch_of(values: np.ndarray, tokenizer, seed: int) -> Batch:
    """Right captions of two to four of the shown clauses; one short prompt for all: no captioner is tested."""
    generator = np.random.default_rng(seed)
    captions = []
    for index, row in enumerate(values):
        said = generator.permutation(len(SHOWN))[: generator.integers(2, len(SHOWN) + 1)]
        captions.append(
            render_caption(
                HCOT,
                {SHOWN[k]: VOCABULARY[SHOWN[k]][row[COLUMNS[k]]] for k in said},
                seed=derive_seed(seed, index),
            )
        )
    images = images_of(values) + generator.normal(0, 0.1, (len(values), 2, SIDE, SIDE)).astype(np.float32)
    targets = np.full(values.shape, UNKNOWN)
    targets[:, COLUMNS] = values[:, COLUMNS]
    caption_ids, caption_mask = encode_texts(tokenizer, captions, 64)
    prompts = tokenizer(["water"] * len(values), add_special_tokens=False)["input_ids"]
    answers = tokenizer(["lake"] * len(values), add_special_tokens=False)["input_ids"]
    input_ids, attention_mask, labels = answer_labels(prompts, answers, tokenizer.pad_token_id)
    return Batch(
        images=torch.from_numpy(images),
        tile_ids=torch.arange(len(values)) + seed * len(values),
        caption_ids=caption_ids,
        caption_mask=caption_mask,
        caption_keys=torch.tensor([derive_seed(caption) for caption in captions]),
        clause_labels=torch.from_numpy(targets),
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
    )


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> Scorer:
    """The encoder after a few hundred steps on freshly drawn tiles, each seen once, with right captions."""
    folder = tmp_path_factory.mktemp("planted")
    create_weights(HCOT, folder / "untrained", model_config(), seed=0)
    model, tokenizer = load_training_model(folder / "untrained")
    generator = np.random.default_rng(0)
    train(model, lambda step: batch_of(draw_values(BATCH, generator), tokenizer, step), STEPS)
    return Scorer(model.encoder, tokenizer)


def gains(scorer: Scorer, images: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity and match probability of each caption without a shown clause minus those of the whole, [N, 4]."""
    tokens = scorer.image_tokens(torch.from_numpy(images))
    captions = []
    for index, row in enumerate(values):
        said = {clause: VOCABULARY[clause][row[column]] for clause, column in zip(SHOWN, COLUMNS, strict=True)}
        captions.append(
            [
                render_caption(HCOT, {c: v for c, v in said.items() if c is not left_out}, seed=index)
                for left_out in (None, *SHOWN)
            ]
        )
    scores = [torch.stack(found).numpy() for found in scorer.agreement(tokens, captions)]
    return tuple(leave_one_out_gains(score) for score in scores)


@pytest.fixture(scope="module")
def planted_gains(scorer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int [N], which shown clause is wrong in each caption, and the gains of both scores, float [N, 4]."""
    generator = np.random.default_rng(1)
    truth = draw_values(len(SHOWN) * PLANTED, generator)
    planted = np.repeat(np.arange(len(SHOWN)), PLANTED)
    said = truth.copy()
    for row, clause in enumerate(planted):
        size = len(VOCABULARY[SHOWN[clause]])
        said[row, COLUMNS[clause]] = (said[row, COLUMNS[clause]] + generator.integers(1, size)) % size
    return planted, *gains(scorer, images_of(truth), said)


def rates(flags: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Share of captions in which each clause is flagged, by planted clause: [planted, flagged]."""
    return np.stack([flags[planted == clause].mean(axis=0) for clause in range(len(SHOWN))])


def apart(found: np.ndarray) -> tuple[float, float]:
    """Mean rate of the planted clauses, and of all others."""
    return float(np.diag(found).mean()), float(found[~np.eye(len(SHOWN), dtype=bool)].mean())


def test_the_planted_clause_is_flagged_most_often(planted_gains):
    planted, itc, itm = planted_gains
    found = rates(leave_one_out_flags(itc, itm), planted)
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 3], f"flagged, by planted clause:\n{found}"
    wrong, right = apart(found)
    assert wrong > max(0.4, 4 * right), f"flagged, by planted clause:\n{found}"


def test_each_score_alone_points_at_the_planted_clause(planted_gains):
    """So that a flag does not rest on one of them while the other has its sign the wrong way round.

    Similarity learns all four clauses in these steps; matching, which has one fusion layer as the default has, one.
    """
    planted, itc, itm = planted_gains
    found = rates(itc > 0, planted)
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 3], f"similarity rises:\n{found}"
    assert np.diag(found).min() > 0.8, f"similarity rises:\n{found}"
    found = rates(itm > 0, planted)
    wrong, right = apart(found)
    assert wrong > right + 0.1, f"match probability rises, by planted clause:\n{found}"
