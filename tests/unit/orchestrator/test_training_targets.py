"""What a round leaves for the next one: old captions mixed in, rare tiles repeated, and no fold's own tiles."""

import numpy as np
import pytest

from corpus.storage.errors import ConfigError
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.data.training_targets import TrainingTargets, label_accuracy, training_view
from support.hcot import CLAUSES, HCOT
from support.round_rows import TILES, annotations, plan_of, rows


def test_by_default_every_tile_is_shown_once_with_its_newest_caption():
    made = rows()
    assert made["tile_id"].to_pylist() == list(TILES)
    assert set(made["copies"].to_pylist()) == {1}
    assert made["values"].to_pylist() == annotations(1).values.tolist()


def test_a_share_shows_the_seeds_caption_and_has_what_was_replaced_as_targets():
    nothing = np.zeros((len(TILES), len(CLAUSES)), bool)
    made = rows(
        targets=TrainingTargets(nothing, nothing, TrainingTargets.first(len(TILES), len(HCOT)).hints),
        initial_caption_share=0.3,
    )
    values = np.asarray(made["values"].to_pylist())
    old = values[:, 5] == 0
    assert old.mean() == pytest.approx(0.3, abs=0.1)
    np.testing.assert_array_equal(values, np.where(old[:, None], annotations(0).values, annotations(1).values))
    # What is the same in both captions is masked as before.
    changed = annotations(0).values != annotations(1).values
    for name in ("caption_mask", "loss_mask"):
        np.testing.assert_array_equal(np.asarray(made[name].to_pylist()), old[:, None] & changed)
    assert made.equals(
        rows(
            targets=TrainingTargets(nothing, nothing, TrainingTargets.first(len(TILES), len(HCOT)).hints),
            initial_caption_share=0.3,
        )
    )


def test_training_targets_are_read_as_they_were_written(tmp_path):
    generator = np.random.default_rng(0)
    targets = TrainingTargets(
        generator.random((3, 16)) < 0.5, generator.random((3, 16)) < 0.5, [["sea lake"] + [""] * 15] * 3
    )
    targets.write(tmp_path / "feedback" / "round-0001.parquet", UNGUARDED)
    again = TrainingTargets.read(tmp_path / "feedback" / "round-0001.parquet")
    np.testing.assert_array_equal(again.caption_mask, targets.caption_mask)
    np.testing.assert_array_equal(again.loss_mask, targets.loss_mask)
    assert again.hints.to_pylist() == targets.hints


def test_the_losses_expect_as_many_errors_as_the_targets_have():
    """Half of the tiles are 0.9 sure and half 0.5; where only the sure ones are targets, 0.9 is expected."""
    sure = np.where(np.arange(len(TILES)) % 2, 0.9, 0.5)[:, None] + np.zeros((1, len(CLAUSES)))
    training = AnnotationMatrix(HCOT, TILES, annotations(1).values, sure.astype(np.float32), annotations(1).source)
    masked_in = np.ones(sure.shape, bool)
    masked_in[:, 0] = sure[:, 0] > 0.6
    masked_in[:, 1] = False
    targets, drawn = (
        TrainingTargets(masked_in, masked_in, TrainingTargets.first(len(TILES), len(HCOT)).hints),
        {"run_seed": 0, "round_": 2},
    )
    expected = label_accuracy(training_view(training, training, targets, plan_of(2), **drawn))
    assert expected[0] == pytest.approx(0.9)
    assert expected[2:] == pytest.approx([0.7] * 14)
    assert expected[1] < 1  # of a clause that is no target nothing is expected

    # A tile with its initial caption has the confidence of its initial annotations.
    unsure = AnnotationMatrix(HCOT, TILES, training.values, np.full(sure.shape, 0.6, np.float32), training.source)
    mixed = label_accuracy(training_view(training, unsure, targets, plan_of(2, initial_caption_share=1.0), **drawn))
    assert mixed[0] == pytest.approx(0.6)
    assert mixed[2:] == pytest.approx([0.6] * 14)


def test_a_tile_whose_clauses_are_all_masked_is_left_out():
    masked_in = np.ones((len(TILES), len(CLAUSES)), bool)
    masked_in[7] = False
    made = rows(
        targets=TrainingTargets(masked_in, masked_in, TrainingTargets.first(len(TILES), len(HCOT)).hints),
        rare_landform_factor=2,
    )
    copies = dict(zip(made["tile_id"].to_pylist(), made["copies"].to_pylist(), strict=True))
    assert copies.pop("tile-007") == 0
    assert set(copies.values()) == {1, 2}
    with pytest.raises(ConfigError, match="minimum_trust"):
        rows(
            targets=TrainingTargets(
                masked_in & False, masked_in & False, TrainingTargets.first(len(TILES), len(HCOT)).hints
            )
        )
