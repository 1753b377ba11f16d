"""The captioner looks: its answers follow the image, and with images exchanged they are worth no more than a guess."""

import numpy as np
import torch

from support.shared_training import CLAUSE, PROMPT


def answers(engine, trained, images: torch.Tensor) -> np.ndarray:
    """What the engine says of each image, through the prompt that all of them share."""
    asked = [(CLAUSE,)] * len(images)
    generated = engine.generate(trained.embeddings(images, [PROMPT] * len(images)), asked, 0)
    assert all(candidates[0].error is None for candidates in generated)
    return np.asarray([candidates[0].values[CLAUSE] for candidates in generated])


def test_it_answers_from_the_image_and_from_nothing_else(engine, trained_captioner, clean_corpus):
    images, annotations = clean_corpus.images, clean_corpus.annotations
    truth = np.asarray([annotations.row_values(row)[CLAUSE] for row in range(len(annotations))])
    _values, counts = np.unique(truth, return_counts=True)
    prior = counts.max() / len(truth)

    own = answers(engine, trained_captioner, images)
    assert (own == truth).mean() > prior + 0.35

    # Every tile gets the image of another: the answers are what chance pairs, and follow the image that was shown.
    exchanged = []
    for shift in (11, 29, 53):
        shown = np.roll(np.arange(len(images)), shift)
        said = answers(engine, trained_captioner, images[shown])
        assert (said == own[shown]).all()
        exchanged.append((said == truth).mean())
    assert np.mean(exchanged) < prior + 0.07
