"""What the captioner's image tokens say of a tile: turned views are turned back, and answers keep their words."""

import numpy as np
import pytest
import torch

from actors.captioner.readout import as_read_out, slot_distributions
from actors.data.dihedral import location_after, turn
from hcot_llm.engines.answer import Answer
from support.hcot import CLAUSES, HCOT, VOCABULARY

CELLS = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")


class SeesBrightCell(torch.nn.Module):
    """A captioner that is right about where a tile is bright, and even in all other clauses."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.most = 0

    def read_slots(self, images: torch.Tensor) -> list[torch.Tensor]:
        self.most = max(self.most, len(images))
        cells = images[:, 0].unflatten(1, (3, 8)).unflatten(3, (3, 8)).sum(dim=(2, 4)).flatten(1)
        read = []
        for clause, words in VOCABULARY.items():
            logits = torch.zeros(len(images), len(words))
            if clause == "target_location":
                for row, cell in enumerate(cells.argmax(dim=1).tolist()):
                    logits[row, words.index(CELLS[cell])] = 20
            read.append(logits.log_softmax(-1))
        return read


def bright(cell: int) -> np.ndarray:
    image = np.zeros((2, 24, 24), np.float16)
    image[:, 8 * (cell // 3) + 3, 8 * (cell % 3) + 4] = 1
    return image


@pytest.mark.parametrize("views", [1, 8])
def test_a_location_read_off_turned_views_is_that_of_the_tile(views):
    captioner, images = SeesBrightCell(), np.stack([bright(cell) for cell in range(9)])
    read = slot_distributions(HCOT, captioner, images, views, batch_tiles=4)
    words = VOCABULARY["target_location"]
    assert [words[each] for each in read["target_location"].argmax(axis=1)] == list(CELLS)
    assert captioner.most == 4
    for clause, distribution in read.items():
        assert distribution.shape == (9, len(VOCABULARY[clause]))
        np.testing.assert_allclose(distribution.sum(axis=1), 1, atol=1e-5)


def test_the_views_are_averaged():
    """A tile whose bright cell depends on the view is read as each of the cells in turn."""
    image = bright(0)
    image[:, 3, 20] = 1  # northeast as well: of two equal cells the first is read
    read = slot_distributions(HCOT, SeesBrightCell(), image[None], 8, batch_tiles=1)["target_location"][0]
    words = VOCABULARY["target_location"]
    expected = np.zeros(len(words))
    for symmetry in range(8):
        turned = turn(image, symmetry)[0].astype(float).reshape(3, 8, 3, 8).sum(axis=(1, 3)).argmax()
        [before] = [cell for cell in CELLS if location_after(cell, symmetry) == CELLS[turned]]
        expected[words.index(before)] += 1 / 8
    np.testing.assert_allclose(read, expected, atol=1e-5)
    assert (expected > 0).sum() == 2


def test_what_was_read_of_every_clause_comes_with_the_first_answer_and_not_again():
    read = {clause: np.full((2, len(words)), 1 / len(words), np.float32) for clause, words in VOCABULARY.items()}
    read["water"][1] = [0.7, 0.1, 0.1, 0.1]
    greedy = Answer({"water": "sea"}, {"water": np.asarray([0, 0, 1.0, 0])}, None, 5)
    sampled = Answer({"water": "lake"}, {}, None, 5)
    failed = Answer({}, {}, "no JSON", 5)
    first, second = as_read_out([[greedy, sampled], [failed, sampled]], read)
    assert [each.values for each in (*first, *second)] == [greedy.values, sampled.values, {}, sampled.values]
    assert second[0].error == "no JSON"
    np.testing.assert_array_equal(second[0].distributions["water"], read["water"][1])
    assert list(first[0].distributions) == list(second[0].distributions) == list(CLAUSES)
    assert not first[1].distributions
    [[again]] = as_read_out([[greedy]], None)
    assert (again.values, again.distributions) == (greedy.values, {})
