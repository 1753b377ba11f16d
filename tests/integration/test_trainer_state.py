"""The trainer's state survives restarts and resizes, with real DeepSpeed steps on real ranks."""

import pytest

from actors.weights import create_weights
from support import training_job
from support.hcot import HCOT

# float32 sums in another order, through three AdamW steps at a learning rate of 1e-2.
SAME_LOSS = 2e-3

# Of whole curves, in which a resize is the only difference; 1.1e-6 was seen.
SAME_CURVE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("training")
    create_weights(HCOT, path / "start", training_job.toy_model(), seed=0)
    return path


@pytest.fixture(scope="module")
def two_ranks(folder):
    return training_job.run(training_job.train_and_restart, 2, folder)


@pytest.fixture(scope="module")
def one_rank(folder):
    return training_job.run(training_job.train_and_restart, 1, folder)


@pytest.mark.parametrize("ranks", ["one_rank", "two_ranks"])
def test_a_restarted_worker_goes_on_bit_for_bit(ranks, request):
    result = request.getfixturevalue(ranks)
    assert result["position"] == 2
    assert result["repeated"] == result["losses"][2:]
    assert result["differing"] == []


def test_all_ranks_hold_the_same_model(two_ranks):
    """Also the teacher, the queue and the statistics of normalisation: whichever rank writes them."""
    assert two_ranks["ranks_disagree"] == []


def test_losses_do_not_depend_on_the_number_of_workers(one_rank, two_ranks):
    assert len(one_rank["losses"]) == training_job.STEPS
    for one, two in zip(one_rank["losses"], two_ranks["losses"], strict=True):
        assert one == pytest.approx(two, rel=SAME_LOSS, abs=1e-4)


def test_what_normalisation_remembers_does_not_depend_on_the_number_of_workers(one_rank, two_ranks):
    """Three micro-batches a step: of two workers one has two, and the other one and a turn without any."""
    assert one_rank["remembered"].keys() == two_ranks["remembered"].keys() != set()
    for name, one in one_rank["remembered"].items():
        assert two_ranks["remembered"][name] == pytest.approx(one, rel=SAME_LOSS, abs=SAME_LOSS), name


def test_one_worker_goes_on_where_two_stopped(folder, two_ranks):
    resized = training_job.run(training_job.resize, 1, folder)
    assert resized["position"] == 2
    assert resized["left_over"] == []
    # Teacher, queue and statistics are no part of DeepSpeed's universal checkpoint; they have to come along.
    assert resized["restored"] == two_ranks["saved"]
    for after, before in zip(resized["losses"], two_ranks["losses"][2:], strict=True):
        assert after == pytest.approx(before, rel=SAME_LOSS, abs=1e-4)


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_fold_keeps_its_own_state_and_starts_anew_when_told_to(folder, ranks):
    """Optimiser, teacher and queue go on or are new with the weights; a restart in the middle changes no bit."""
    seen = training_job.run(training_job.folds_and_scratch, ranks, folder)
    assert seen["began_untrained"] == [[1, 0], [1, 1], [3, 0], [3, 1]]
    assert seen["went_on"] == [0, 1]
    assert seen["differing"] == []
    assert seen["total_steps"] == [[steps for steps in (4, 8, 12) for fold in (0, 1)]] * 2


@pytest.fixture(scope="module")
def spread(folder):
    return training_job.run(training_job.stage_2_in_background, 2, folder)


def test_gradients_spread_over_the_workers_give_the_losses_of_stage_1(spread, two_ranks):
    """Though one of them has no micro-batch in a pass."""
    for spread_out, before in zip(spread["losses"], two_ranks["losses"], strict=True):
        assert spread_out == pytest.approx(before, rel=SAME_LOSS, abs=1e-4)
    assert spread["ranks_disagree"] == []


def test_training_goes_on_while_a_checkpoint_is_written_and_a_kill_costs_no_more_than_what_was_not_finished(spread):
    assert spread["begun"] == ["step-00000002"]
    assert spread["waiting"] == [0, ["step-00000002"]]
    assert spread["finished"] == ["step-00000002"]
    assert spread["position"] == 2
    assert spread["left_over"] == []


def test_what_was_written_beside_later_steps_is_the_state_of_its_own_step(spread):
    assert spread["repeated"] == spread["losses"][2:]
    assert spread["differing"] == []


def test_one_worker_goes_on_where_two_with_spread_gradients_stopped(folder, spread):
    resized = training_job.run(training_job.stage_2_resized, 1, folder)
    assert resized["position"] == 2
    for after, before in zip(resized["losses"], spread["losses"][2:], strict=True):
        assert after == pytest.approx(before, rel=SAME_LOSS, abs=1e-4)


def test_loss_curves_with_and_without_a_resize_agree(folder):
    """One worker all the way, against one, then two, then one: same global batch, same data order."""
    whole = training_job.run(training_job.whole_curve, 1, folder)["losses"]
    later = [training_job.run(training_job.next_epoch, size, folder) for size in (2, 1)]
    assert [part["from"] for part in later] == [training_job.STEPS, 2 * training_job.STEPS]
    assert len(whole) == training_job.CURVE_EPOCHS * training_job.STEPS
    differences = [
        abs(after[name] - before[name]) / (abs(before[name]) + 0.05)
        for after, before in zip(
            [losses for part in later for losses in part["losses"]], whole[training_job.STEPS :], strict=True
        )
        for name in before
    ]
    print(f"largest relative difference of a loss: {max(differences):.1e}, tolerance {SAME_CURVE:g}")
    assert 0 < max(differences) <= SAME_CURVE  # none at all would mean that the second group was of one, too
    # A curve that did not move would agree with anything.
    assert whole[-1]["total"] < 0.9 * whole[0]["total"]
