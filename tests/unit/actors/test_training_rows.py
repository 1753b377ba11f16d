"""Training rows: what is turned in the image is turned in the text, and nothing depends on chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.data.dihedral import as_seen_unturned, location_after, turn
from actors.trainer.augment import AugmentConfig, change_radiometry, crop
from actors.trainer.batches import NO_TARGET, TrainingRow, build_micro_batch
from actors.trainer.correction import planted_hints
from hcot_llm.prompts.prompts import answer_text
from hcot_llm.schema.answers import parse_answer
from hcot_llm.text.render import render_clause
from support.hcot import CLAUSES, HCOT, VOCABULARY

SIDE = 24
PLACE = {
    "northwest": (0, 0),
    "north": (0, 1),
    "northeast": (0, 2),
    "west": (1, 0),
    "center": (1, 1),
    "east": (1, 2),
    "southwest": (2, 0),
    "south": (2, 1),
    "southeast": (2, 2),
}
STILL = AugmentConfig(dihedral=False, speckle_db=0, drop_polarisation_share=0)


def bright(location: str) -> np.ndarray:
    """An image [2, H, W] with one bright pixel in the middle of a cell of the 3 x 3 grid; row 0 is north."""
    image = np.zeros((2, SIDE, SIDE), np.float32)
    row, column = PLACE[location]
    image[:, row * 8 + 3, column * 8 + 4] = 1
    return image


def where_bright(image: np.ndarray) -> str:
    row, column = np.argwhere(image[0] > 0.5)[0] // 8
    return next(location for location, cell in PLACE.items() if cell == (row, column))


def row(**changes) -> TrainingRow:
    settings = {
        "tile_id": "t",
        "image": bright("north"),
        "values": np.zeros(len(CLAUSES), int),
        "caption_mask": np.ones(len(CLAUSES), bool),
        "knowledge": "plain coast",
        "hints": [""] * len(CLAUSES),
    }
    settings |= changes
    return TrainingRow(**{"loss_mask": settings["caption_mask"]} | settings)


def values_with(location: str) -> np.ndarray:
    values = np.zeros(len(CLAUSES), int)
    values[CLAUSES.index("target_location")] = VOCABULARY["target_location"].index(location)
    return values


def build(rows, seed=0, augment=STILL, feedback=True):
    return build_micro_batch(HCOT, rows, seed, augment, feedback=feedback, levels=True)


@pytest.mark.parametrize("symmetry", range(8))
@pytest.mark.parametrize("location", PLACE)
def test_a_location_goes_where_its_pixels_go(symmetry, location):
    assert location_after(location, symmetry) == where_bright(turn(bright(location), symmetry))


def test_the_eight_symmetries_are_eight_and_leave_none_alone():
    assert len({tuple(location_after(value, symmetry) for value in PLACE) for symmetry in range(8)}) == 8
    assert all(location_after("none", symmetry) == "none" for symmetry in range(8))
    assert len({turn(np.arange(9).reshape(3, 3), symmetry).tobytes() for symmetry in range(8)}) == 8


@pytest.mark.parametrize("symmetry", range(8))
def test_what_is_read_off_a_turned_tile_is_turned_back(symmetry):
    """A reader that is right about the turned tile is right about the tile."""
    clause, locations = "target_location", VOCABULARY["target_location"]
    read = np.stack(
        [np.eye(len(locations))[locations.index(where_bright(turn(bright(location), symmetry)))] for location in PLACE]
    )
    np.testing.assert_array_equal(
        as_seen_unturned(HCOT, clause, read, symmetry).argmax(axis=1), [locations.index(location) for location in PLACE]
    )
    other = np.eye(4)
    np.testing.assert_array_equal(as_seen_unturned(HCOT, "water", other, symmetry), other)


@given(st.integers(0, 10**6), st.sampled_from(sorted(PLACE)))
def test_image_caption_target_prompt_and_answer_say_one_location(seed, location):
    column = CLAUSES.index("target_location")
    hints = [""] * len(CLAUSES)
    hints[column] = location
    only = np.zeros(len(CLAUSES), bool)
    only[column] = True
    built = build(
        [row(image=bright(location), values=values_with(location), caption_mask=only, hints=hints)],
        seed,
        AugmentConfig(speckle_db=0, drop_polarisation_share=0, feedback_share=1),
    )
    now = where_bright(built.images[0])
    assert built.targets[0, column] == HCOT.value_index["target_location"][now]
    assert parse_answer(HCOT, built.answers[0], ["target_location"]) == {"target_location": now}
    assert f"hint target_location {now} ask" in built.prompts[0]
    assert any(
        render_clause(HCOT, "target_location", now, variant=variant) in built.captions[0] for variant in range(1000)
    )


def test_all_symmetries_are_drawn():
    images = build(
        [row(image=bright("northwest"))] * 200, augment=AugmentConfig(speckle_db=0, drop_polarisation_share=0)
    ).images
    asymmetric = {image.tobytes() for image in images}
    assert len(asymmetric) == 8


def test_the_same_seed_gives_the_same_micro_batch_and_another_another():
    rows = [row(tile_id=str(index), values=np.full(len(CLAUSES), index % 3)) for index in range(6)]
    one, same, other = build(rows, 5, AugmentConfig()), build(rows, 5, AugmentConfig()), build(rows, 6, AugmentConfig())
    assert one.images.tobytes() == same.images.tobytes() != other.images.tobytes()
    assert (one.captions, one.prompts, one.answers) == (same.captions, same.prompts, same.answers)
    assert one.prompts != other.prompts
    assert one.images.dtype == np.float32
    assert one.images.flags["C_CONTIGUOUS"]


@given(st.integers(0, 10**6), st.lists(st.booleans(), min_size=16, max_size=16).filter(any))
def test_clauses_outside_the_masks_are_no_target_of_any_loss(seed, caption_mask):
    values = np.arange(len(CLAUSES)) % 3
    built = build([row(values=values, caption_mask=np.asarray(caption_mask))], seed)
    for column, clause in enumerate(CLAUSES):
        wanted = HCOT.value_index[clause][VOCABULARY[clause][values[column]]] if caption_mask[column] else NO_TARGET
        assert built.targets[0, column] == wanted
        if not caption_mask[column]:
            value = VOCABULARY[clause][values[column]]
            assert f'"{clause}"' not in built.answers[0]
            assert not any(
                sentence in built.captions[0]
                for sentence in {render_clause(HCOT, clause, value, variant=v) for v in range(24)}
            )


@given(st.integers(0, 10**6))
def test_an_asked_clause_is_not_given_away_by_the_prompt(seed):
    built = build([row(values=np.arange(len(CLAUSES)) % 3)], seed, AugmentConfig(dihedral=False, feedback_share=0.01))
    prompt, asked = built.prompts[0].split(" ask ")
    shown = prompt.split()
    for clause in asked.split():
        assert clause not in shown
    answered = parse_answer(HCOT, built.answers[0], asked.split())
    assert answer_text(HCOT, answered, list(answered)) == built.answers[0]


def test_hints_are_shown_to_a_share_and_never_when_switched_off():
    rows = [row(hints=["none"] * len(CLAUSES))] * 300
    shown = np.mean([" hint " in prompt for prompt in build(rows, augment=still(feedback_share=0.5)).prompts])
    assert 0.35 < shown < 0.65
    assert not any(
        " hint " in prompt for prompt in build(rows, augment=still(feedback_share=1.0), feedback=False).prompts
    )


def test_without_corrections_the_error_share_of_hints_changes_nothing():
    rows = [row(values=np.arange(len(CLAUSES)) % 3, hints=["none"] * len(CLAUSES))] * 20
    plain, other = (build(rows, 3, still(hint_error_share=share)) for share in (0.0, 1.0))
    assert (plain.prompts, plain.answers) == (other.prompts, other.answers)


@given(st.integers(0, 10**6))
def test_a_correction_prompt_hints_at_each_masked_clause_before_any_round_left_hints(seed):
    values = np.arange(len(CLAUSES)) % 3
    built = build([row(values=values)], seed, still(correction_share=1, hint_error_share=0))
    before, asked = built.prompts[0].split(" ask ")
    queried, answered = asked.split(), parse_answer(HCOT, built.answers[0], asked.split())
    assert 1 <= len(queried) <= len(CLAUSES) // 2
    assert before.split(" hint ")[1] == " ".join(f"{clause} {answered[clause]}" for clause in queried)


def test_planted_hints_are_wrong_as_often_as_configured_and_answers_never():
    values = np.arange(len(CLAUSES)) % 3
    built = build([row(values=values)] * 400, 1, still(correction_share=1, hint_error_share=0.3))
    wrong = []
    for prompt, answer in zip(built.prompts, built.answers, strict=True):
        queried = prompt.split(" ask ")[1].split()
        right = {c: VOCABULARY[c][values[CLAUSES.index(c)]] for c in queried}
        assert answer == answer_text(HCOT, right, queried)
        words = prompt.split(" hint ")[1].split(" ask ")[0].split()
        starts = [words.index(clause) for clause in queried]
        wrong += [words[start + 1] != right[clause] for start, clause in zip(starts, queried, strict=True)]
    assert 0.25 < np.mean(wrong) < 0.35


def test_a_planted_hint_starts_from_what_the_round_before_said():
    said = planted_hints(HCOT, {"water": "lake"}, {"water": "sea channel"}, ["water"], 0, np.random.default_rng(0))
    assert said == {"water": "sea channel"}


@given(st.integers(0, 10**6))
def test_a_planted_error_is_another_value_of_the_clause(seed):
    drawn = np.random.default_rng(seed)
    encoder, *neighbours = planted_hints(HCOT, {"water": "lake"}, {}, ["water"], 1, drawn)["water"].split()
    assert {encoder, *neighbours} <= set(VOCABULARY["water"]) - {"lake"}


def still(**changes) -> AugmentConfig:
    return STILL.model_copy(update=changes)


def test_captions_keep_at_least_the_configured_share():
    built = build([row()] * 40, augment=STILL.model_copy(update={"shortest_caption_share": 1.0}))
    everything = build([row()] * 40, augment=STILL.model_copy(update={"shortest_caption_share": 0.1}))
    assert min(map(len, built.captions)) > min(map(len, everything.captions))


CHANGING = {
    "drop_polarisation_share": 1,
    "gain_db": 3,
    "contrast": 2,
    "fewest_looks": 2,
    "smallest_side_share": 0.5,
}


def speckled(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (2, 64, 64)).astype(np.float32)


def changed(image: np.ndarray, seed: int = 0, **changes) -> np.ndarray:
    return change_radiometry(
        image, np.random.default_rng(seed), AugmentConfig(**{"drop_polarisation_share": 0, **changes})
    )


@pytest.mark.parametrize("key", CHANGING)
def test_each_change_of_the_image_alone_is_drawn_from_the_seed_of_its_micro_batch(key):
    rows, augment = [row(image=speckled())] * 4, still(**{key: CHANGING[key]})
    one, same, other = (build(rows, seed, augment) for seed in (5, 5, 6))
    assert one.images.tobytes() == same.images.tobytes() != other.images.tobytes()
    assert len({image.tobytes() for image in one.images}) > 1
    plain = build(rows, 5, still())
    if key != "smallest_side_share":  # texts of a part of a tile say no location
        assert (one.captions, one.prompts, one.answers) == (plain.captions, plain.prompts, plain.answers)


def test_a_dropped_polarisation_leaves_the_other_in_both_channels():
    image = speckled()
    seen = {changed(image, seed, drop_polarisation_share=1).tobytes() for seed in range(20)}
    assert seen == {np.repeat(image[[band]], 2, axis=0).tobytes() for band in (0, 1)}


def test_gain_moves_the_level_of_both_channels_alike():
    moved = np.stack([changed(speckled(), seed, gain_db=3) - speckled() for seed in range(400)])
    assert np.ptp(moved, axis=(1, 2, 3)).max() < 1e-5
    assert 10 * moved[:, 0, 0, 0].std() == pytest.approx(3, rel=0.1)


def test_contrast_scales_decibels_about_their_mean():
    image = speckled() + np.float32([[[-0.5]], [[0.5]]])
    images = [changed(image, seed, contrast=2) for seed in range(200)]
    np.testing.assert_allclose([each.mean(axis=(1, 2)) for each in images], [image.mean(axis=(1, 2))] * 200, atol=1e-5)
    ratios = [float(each[0].std() / image[0].std()) for each in images]
    assert 0.4 < min(ratios) < 0.65
    assert max(ratios) > 1.5


def test_further_speckle_is_that_of_the_looks_asked_for():
    flat = np.zeros((2, 64, 64), np.float32)
    powers = [10 ** changed(flat, seed, fewest_looks=4).astype(float) for seed in range(60)]
    looks = [1 / power[0].var() for power in powers]
    assert np.mean([power.mean() for power in powers]) == pytest.approx(1, abs=0.01)
    assert 3.5 < min(looks) < 6
    assert 25 < max(looks) < 36
    assert all(np.array_equal(power[0], power[1]) for power in powers)


@given(st.integers(0, 10**6))
def test_a_part_of_a_plane_is_a_plane_with_a_smaller_slope(seed):
    plane = np.broadcast_to(np.arange(64, dtype=np.float32) / 64, (2, 64, 64))
    part, is_part = crop(plane, np.random.default_rng(seed), 0.5)
    assert part.shape == plane.shape
    assert is_part == (np.ptp(part) < np.ptp(plane))
    slope = np.diff(part[0, 0])[2:-2]
    assert slope.min() > 0.49 / 64
    assert slope.max() <= 1 / 64 + 1e-6


def test_of_a_part_of_a_tile_no_location_is_said():
    column = CLAUSES.index("target_location")
    rows = [row(values=values_with("north"), image=np.stack([bright("north")] * 9))] * 8
    built = build(rows, 1)
    assert (built.targets[:, column] == NO_TARGET).all()
    assert (built.targets[:, :column] != NO_TARGET).all()
    assert not any("target_location" in prompt for prompt in built.prompts)


def test_a_tile_of_several_crops_shows_one_of_them():
    crops = np.stack([np.full((2, SIDE, SIDE), level, np.float32) for level in (-1, 0, 1)])
    shown = build([row(image=crops)] * 60, 3).images
    assert {float(image.mean()) for image in shown} == {-1, 0, 1}
    assert all(image.std() == 0 for image in shown)
