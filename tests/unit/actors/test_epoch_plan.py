"""Data order: the same whatever the number of workers, another one every epoch."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.trainer.epoch_plan import EpochPlan, assign_micro_batches


def plan(**changes):
    settings = {
        "run_seed": 1,
        "round": 1,
        "epoch": 0,
        "block_rows": (10, 7, 12, 3),
        "micro_batch_tiles": 4,
        "micro_batches_per_step": 2,
    }
    return EpochPlan(**{**settings, **changes})


def rows(epoch_plan):
    return [
        (int(b), int(r))
        for step in epoch_plan.micro_batches()
        for batch in step
        for b, r in zip(batch.block, batch.row, strict=True)
    ]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(2, 6), st.integers(1, 4), st.integers(1, 5))
def test_no_row_is_seen_twice_and_few_are_left_out(block_rows, tiles, batches, window):
    made = plan(
        block_rows=tuple(block_rows), micro_batch_tiles=tiles, micro_batches_per_step=batches, window_blocks=window
    )
    seen = rows(made)
    assert max(Counter(seen).values(), default=1) == 1
    assert all(row < block_rows[block] for block, row in seen)
    assert sum(block_rows) - len(seen) < tiles * batches
    assert len(made.micro_batches()) == made.steps


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_an_epoch_goes_from_part_to_part(part_blocks, window):
    blocks = sum(part_blocks)
    part_of = [part for part, count in enumerate(part_blocks) for _ in range(count)]
    made = plan(block_rows=(8,) * blocks, part_blocks=tuple(part_blocks), window_blocks=window)
    seen = rows(made)
    assert len(set(seen)) == len(seen) == 8 * blocks
    parts = [part for part, _ in itertools.groupby(part_of[block] for block, _ in seen)]
    assert sorted(parts) == list(range(len(part_blocks))), "each part is visited once"


def test_a_single_part_need_not_be_named():
    assert rows(plan()) == rows(plan(part_blocks=(4,)))


def test_order_depends_on_seed_round_and_epoch_alone():
    assert rows(plan()) == rows(plan())
    others = [plan(run_seed=2), plan(round=2), plan(epoch=1)]
    assert all(rows(plan()) != rows(other) for other in others)


def test_every_micro_batch_draws_from_its_own_seed():
    seeds = [batch.seed for step in plan().micro_batches() for batch in step]
    assert len(set(seeds)) == len(seeds)


@given(st.integers(1, 12), st.integers(1, 12))
def test_every_micro_batch_falls_to_one_rank_and_all_ranks_do_as_many_passes(batches, world):
    assigned = assign_micro_batches(batches, world)
    done = sorted(index for rank in assigned for index in rank if index is not None)
    assert done == list(range(batches))
    assert len({len(rank) for rank in assigned}) == 1
