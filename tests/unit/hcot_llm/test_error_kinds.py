"""Errors of simulated annotations that follow from the place or from the image, and annotators who state no rate."""

import numpy as np
import pytest
from pydantic import ValidationError

from hcot_llm.initial.annotations import expected_accuracy
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.corruption import corrupt
from support.hcot import CLAUSES, HCOT, NO_TARGETS, SHIPS_IN_PORT, TARGET_CLAUSES, VOCABULARY

EMPTY_PORT = SHIPS_IN_PORT | NO_TARGETS
TRUTH = {f"{number:04d}": EMPTY_PORT if number % 3 else SHIPS_IN_PORT for number in range(900)}
ROWS = np.arange(len(TRUTH))
BY_PLACE, BY_IMAGE = (CorruptionConfig(kind=kind) for kind in ("place_dependent", "image_dependent"))


def values_of(table) -> dict[tuple[str, str], str]:
    columns = (table[name].to_pylist() for name in ("tile_id", "clause", "value"))
    return {(tile_id, clause): value for tile_id, clause, value in zip(*columns, strict=True)}


def share_right(table) -> float:
    return float(np.mean([value == TRUTH[tile_id][clause] for (tile_id, clause), value in values_of(table).items()]))


def test_the_annotator_of_a_place_is_always_wrong_in_the_same_way_and_another_in_another():
    place_of = {tile_id: f"place {int(tile_id) % 9}" for tile_id in TRUTH}
    said: dict[tuple[str, str, bool], set[str]] = {}
    for (tile_id, clause), value in values_of(corrupt(HCOT, TRUTH, BY_PLACE, 3, place_of=place_of)).items():
        said.setdefault((place_of[tile_id], clause, TRUTH[tile_id] is EMPTY_PORT), set()).add(value)
    assert {len(values) for values in said.values()} == {1}
    differing = [len({str(said[f"place {place}", clause, True]) for place in (1, 2, 4, 5, 7, 8)}) for clause in CLAUSES]
    assert max(differing) > 1


def test_errors_by_place_are_as_frequent_as_the_schema_says():
    place_of = {tile_id: f"place {int(tile_id) // 2}" for tile_id in TRUTH}
    table = corrupt(HCOT, TRUTH, BY_PLACE, 3, place_of=place_of)
    assert share_right(table) == pytest.approx(np.mean(table["confidence"].to_numpy()), abs=0.03)


@pytest.fixture(scope="module")
def by_image():
    """(annotations, what the weak classifier takes the tiles for)."""
    generator = np.random.default_rng(0)
    taken_for = {clause: generator.dirichlet(np.ones(len(words)), len(TRUTH)) for clause, words in VOCABULARY.items()}
    return corrupt(HCOT, TRUTH, BY_IMAGE, 3, taken_for=taken_for), taken_for


def test_errors_by_image_say_what_the_weak_classifier_says_as_often_as_the_schema_says(by_image):
    table, taken_for = by_image
    said = values_of(table)
    for clause in set(CLAUSES) - set(TARGET_CLAUSES):
        value = np.asarray([HCOT.value_index[clause][said[tile_id, clause]] for tile_id in TRUTH])
        right = np.asarray([HCOT.value_index[clause][truth[clause]] for truth in TRUTH.values()])
        others = taken_for[clause].copy()
        others[ROWS, right] = -1
        assert (value == right).mean() == pytest.approx(expected_accuracy(HCOT, clause, BY_IMAGE), abs=0.01)
        assert (value == others.argmax(axis=1))[value != right].all()


def test_targets_that_an_image_seems_to_lack_or_to_have_are_missed_or_invented_as_a_whole(by_image):
    said = values_of(by_image[0])
    by = HCOT.whole_blocks[0].invented.by
    kinds = set()
    for tile_id, truth in TRUTH.items():
        absent = [said[tile_id, clause] == HCOT.absence[clause] for clause in HCOT.whole_blocks[0].clauses]
        assert all(absent) or not any(absent)
        kinds.add((truth[by] == HCOT.absence[by], absent[0]))
    assert len(kinds) == 4


def test_annotators_who_know_no_rate_state_the_same_of_everything():
    plain, unknown = (corrupt(HCOT, TRUTH, CorruptionConfig(stated_confidence=stated), 3) for stated in (None, 0.9))
    assert set(unknown["confidence"].to_pylist()) == {np.float32(0.9)}
    assert unknown["value"].equals(plain["value"])


def test_errors_by_image_have_no_random_share():
    with pytest.raises(ValidationError, match="share_random"):
        CorruptionConfig(kind="image_dependent", share_random=0.5)
