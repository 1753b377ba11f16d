"""Detection: windows of scenes, the light head, the baseline that needs no learning, a cell from end to end."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmark.baselines import detection_training
from benchmark.baselines.cfar import Cfar, Nothing, over_ring
from benchmark.baselines.detection_head import (
    CoarseEnough,
    DetectionNetwork,
    decoded,
    detection_loss,
    generalised_overlap,
    targets,
)
from benchmark.baselines.detection_training import training_places
from benchmark.baselines.features import resized
from benchmark.baselines.scene_windows import Cut, boxes_at, cut_for, merged, resampled, windows_at
from benchmark.baselines.small_cnn import SmallCnn
from benchmark.baselines.training import TrainingPlan
from benchmark.baselines.vision_maps import PlainMaps
from benchmark.datasets.detection import Detection, Found
from benchmark.metrics.box_overlap import overlap
from benchmark.suite.base import SUITE
from benchmark.suite.tasks.detection import DetectionTask
from corpus.geotiff.backscatter import Backscatter
from support.bright_boxes import bright_scenes


def test_windows_cover_a_scene_and_share_at_least_the_overlap():
    cut = Cut(scale=1.0, side=64, overlap=20)
    starts = cut.starts(150)
    assert (starts[0], starts[-1]) == (0, 150 - 64)
    assert (64 - np.diff(starts) >= 20).all()
    assert cut.starts(40).tolist() == [0]
    assert len(cut.places((150, 64))) == len(starts)


def test_a_scene_is_resampled_until_an_object_fills_its_share_of_a_window():
    scenes = bright_scenes(4)
    cut = cut_for(scenes, 64)
    assert cut.scale * scenes.typical_side() == pytest.approx(0.3 * 64)
    seen = resampled(scenes.images[0], cut)
    assert seen.array.shape[1:] == cut.shape(scenes.shapes[0])
    assert seen.calibrated  # its windows keep its level
    assert cut.overlap >= 1.1 * cut.scale * 14


def test_a_scene_smaller_than_a_window_is_filled_up_with_no_value():
    seen = resampled(Backscatter(np.zeros((1, 20, 90), np.float32), ("VV",)), Cut(1.0, 64, 10))
    assert seen.array.shape == (1, 64, 90)
    assert np.isnan(seen.array[0, 20:]).all()
    assert not np.isnan(seen.array[0, :20]).any()


def test_boxes_of_a_window_are_clipped_and_belong_to_it_by_their_middle():
    boxes = np.array([[10, 10, 30, 30], [60, 10, 80, 30], [90, 90, 99, 99.0]])
    own, rows = boxes_at(boxes, np.array([5, 8]), Cut(1.0, 64, 10))
    assert rows.tolist() == [0, 1]
    assert own.tolist() == [[2, 5, 22, 25], [52, 5, 64, 25]]


def test_an_object_that_two_windows_saw_is_found_once_where_it_was():
    cut = Cut(scale=0.5, side=64, overlap=32)
    shape = (128, 192)  # 64 x 96 pixels: two windows, from columns 0 and 32
    places = cut.places(shape)
    assert places.tolist() == [[0, 0], [0, 32]]
    truth = np.array([80.0, 40, 120, 80])  # its middle, column 50 of the resampled scene, is the second's by 2 pixels

    def seen(place, clip):
        box = truth * 0.5 - np.tile(place[::-1], 2)
        return Found(np.clip(box, 0, clip)[None], np.array([0.9]), np.array([1]))

    found = merged([seen(place, 58) for place in places], places, shape, cut)
    assert found.boxes.tolist() == [truth.tolist()]
    assert (found.scores.tolist(), found.labels.tolist()) == ([0.9], [1])


def test_windows_to_learn_from_cover_each_scene_and_surround_each_object():
    scenes = bright_scenes(3)
    cut = cut_for(scenes, 64)
    drawn = training_places(scenes, cut, np.random.default_rng(0))
    for index, places in drawn.items():
        covering = cut.places(scenes.shapes[index])
        assert len(places) == len(covering) + len(scenes.boxes[index])
        for place, box in zip(places[len(covering) :], scenes.boxes[index], strict=True):
            _, rows = boxes_at(box[None], place, cut)
            assert len(rows) == 1
        windows = windows_at(resampled(scenes.images[index], cut), places, 64)
        assert {window.array.shape for window in windows} == {(1, 64, 64)}


def test_of_many_scenes_windows_are_drawn_and_half_of_them_surround_an_object(monkeypatch):
    monkeypatch.setattr(detection_training, "MOST_PIXELS", 8 * 64 * 64)
    scenes = bright_scenes(6)
    drawn = training_places(scenes, cut_for(scenes, 64), np.random.default_rng(0))
    assert sum(len(places) for places in drawn.values()) == 8


def test_what_the_network_should_say_decodes_to_the_boxes():
    boxes, labels = [np.array([[8, 8, 40, 24], [44, 44, 60, 60.0]])], [np.array([0, 2])]
    heat, sides, counts = targets(boxes, labels, 3, 16, 4.0)
    assert counts.sum() == pytest.approx(2)
    assert (heat == 1).sum() == 2
    [found] = decoded((torch.logit(heat, 1e-4), sides))
    sure = found.take(found.scores > 0.9)
    assert sorted(sure.boxes.tolist()) == boxes[0].tolist()
    assert sorted(sure.labels.tolist()) == [0, 2]


def test_the_loss_falls_where_the_network_says_what_it_should():
    wanted = targets([np.array([[8, 8, 40, 24.0]])], [np.array([1])], 2, 16, 4.0)
    right = (torch.logit(wanted[0], 1e-3), wanted[1])
    elsewhere = (right[0], wanted[1] + 6)
    silent = (torch.full_like(right[0], -7.0), wanted[1])
    losses = [float(detection_loss(said, wanted)) for said in (right, elsewhere, silent)]
    assert losses[0] < 0.05 < losses[1]
    assert losses[2] > 3


def test_a_window_without_objects_has_a_loss_that_is_finite():
    wanted = targets([np.zeros((0, 4))], [np.zeros(0, np.int64)], 2, 8, 4.0)
    assert torch.isfinite(detection_loss((torch.zeros(1, 2, 8, 8), torch.zeros(1, 4, 8, 8)), wanted))


def test_generalised_overlap_is_that_by_hand():
    first = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10.0]])
    second = torch.tensor([[0, 0, 10, 5], [20, 0, 30, 10.0]])
    assert generalised_overlap(first, second).tolist() == pytest.approx([0.5, -1 / 3])


def test_a_frozen_encoder_keeps_its_weights_and_maps_that_are_too_fine_are_not_read():
    maps = CoarseEnough(PlainMaps(1, (4, 8, 8)), (4, 8, 8), 32, 1)
    assert maps.widths == (8, 8)
    network = DetectionNetwork(maps, maps.widths, 2, 10.0, frozen=True).train()
    before = {name: value.clone() for name, value in maps.state_dict().items()}
    heat, boxes = network(torch.randn(2, 1, 32, 32))
    assert (heat.shape, boxes.shape) == ((2, 2, 8, 8), (2, 4, 8, 8))
    (heat.sum() + boxes.sum()).backward()
    assert all(torch.equal(before[name], value) for name, value in maps.state_dict().items())
    assert all(parameter.grad is None for parameter in maps.parameters())


def test_speckle_stays_below_the_threshold_and_a_bright_object_does_not():
    power = np.random.default_rng(0).exponential(1, (1, 200, 200))
    power[:, 100:110, 50:60] += 40
    ratio = over_ring(Backscatter(10 * np.log10(power).astype(np.float32), ("VV",)), 10)
    assert (ratio[100:110, 50:60] > 11.5).all()
    assert (np.delete(ratio, np.s_[80:130], axis=0) > 11.5).mean() < 1e-4


def test_cfar_finds_bright_objects_and_nothing_finds_none():
    train, test = bright_scenes(4), bright_scenes(3, seed=10)
    for truth, found in zip(test.boxes, Cfar().open(None).detect(train, test.images, 2, 0), strict=True):
        best = overlap(truth, found.boxes).argmax(axis=1)
        assert (overlap(truth, found.boxes).max(axis=1) > 0.7).all()
        assert set(best.tolist()) == {0, 1}  # the surest two
    assert [len(found) for found in Nothing().open(None).detect(train, test.images, 2, 0)] == [0, 0, 0]


class TinyEncoder:
    """Three blocks with new weights, for windows of 64 x 64 pixels."""

    map_side = 64
    tunable = True

    def map_images(self, windows):
        return torch.from_numpy(resized(windows, 64)[:, None] / 10)

    def map_network(self):
        return PlainMaps(1, (8, 16, 16)), (8, 16, 16)


def steps(monkeypatch, count):
    plan = TrainingPlan(epochs=1, batch=8, learning_rate=1e-2, shift=0.0, least_steps=count)
    monkeypatch.setattr(detection_training, "PLAN", plan)


def test_a_network_learns_to_find_and_to_tell_bright_rectangles(monkeypatch):
    steps(monkeypatch, 80)
    large = {"shape": (64, 64), "objects": 1, "side": 16}
    data = Detection(("a", "b"), bright_scenes(8, **large), bright_scenes(4, seed=20, **large))
    scores = SUITE["detection_dense"].run(data, "all_labels", TinyEncoder(), 0).scores
    assert next(iter(scores)) == "ap"
    # How far so short a training comes depends on how a processor rounds. Nothing found: 0 and 1.
    assert scores["ap50"].value > 0.5
    assert scores["count_mae"].value < 1


def test_the_same_seed_finds_the_same_and_another_does_not(monkeypatch):
    steps(monkeypatch, 2)
    train, test = bright_scenes(2, shape=(64, 64), objects=1), bright_scenes(1, shape=(64, 64), objects=1)
    first, again, other = (SmallCnn().detect(train, test.images, 2, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.scores, other.scores)


def test_another_draw_of_speckle_is_judged_beside_the_first():
    data = Detection(("a", "b"), bright_scenes(3), bright_scenes(2, seed=20))
    data = dataclasses.replace(data, test_again=data.test)
    scores = DetectionTask("", ()).run(data, "all_labels", Cfar(), 0).scores
    assert scores["ap50_other_speckle"] == scores["ap50"]


def test_settings_apply_to_methods_that_can_be_judged_in_them():
    task = DetectionTask("", ())
    assert [task.applies(setting, Cfar()) for setting in task.settings] == [False, True]
    assert [task.applies(setting, object()) for setting in task.settings] == [False, False]
