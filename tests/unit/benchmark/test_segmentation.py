"""Segmentation: readers, scores by hand, Otsu, a light head."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmark.baselines import pixel_head
from benchmark.baselines.features import levelled
from benchmark.baselines.otsu import Otsu, threshold
from benchmark.baselines.outside_encoder import OpenedOutsideEncoder
from benchmark.baselines.pixel_head import PixelNetwork, parts_along, split_parts, stacked, turned
from benchmark.baselines.trivial import Majority, NearestPixels, Trees
from benchmark.baselines.vision_maps import PlainMaps, VisionMaps
from benchmark.datasets.base import IGNORED, DataSetError, LabelledMasks
from benchmark.datasets.ombria import read_by_area, read_by_event
from benchmark.datasets.pictures import as_backscatter, at_reference_level
from benchmark.datasets.polsf import read_patches, read_scene
from benchmark.datasets.segmentation_folder import read_segmentation_folder
from benchmark.metrics.segmentation import confusion, iou, segmentation_scores
from benchmark.suite.base import MethodMissing
from benchmark.suite.tasks.segmentation import SegmentationTask
from model.config import VisionConfig
from model.vision import VisionTower
from support.labelled_images import write_chip, write_labels


def write_ombria(root, areas=("a1", "a2", "t1")):
    for name, split in zip(("x1", "x2", "x3"), ("train", "test", "test_2021"), strict=True):
        for kind in ("after", "before"):
            write_chip(root / split / kind / f"{name}.png", len(name))
        (root / split / "mask").mkdir(parents=True, exist_ok=True)
        mask = np.zeros((24, 24), np.uint8)
        mask[:5] = 255
        Image.fromarray(mask).save(root / split / "mask" / f"{name}.png")
    write_labels(
        root,
        [f"x1,train,{areas[0]}", f"x2,test,{areas[1]}", f"x3,test_2021,{areas[2]}"],
        "id,split,area",
    )
    return root


def test_floods_are_judged_on_events_of_another_year(tmp_path):
    data = read_by_event(write_ombria(tmp_path))
    assert (data.train.groups, data.test.groups, data.positive) == (["a1"], ["t1"], "flood")
    assert data.test.masks[0].mean() == pytest.approx(5 / 24)
    assert len(data.test.views[0]) == 2


def test_an_area_is_on_one_side_only(tmp_path):
    # By their hashes a1 is to learn from and a2 to test on, whatever split they came in.
    data = read_by_area(write_ombria(tmp_path, ("a2", "a1", "t1")))
    assert (data.train.groups, data.test.groups) == (["a1"], ["a2"])


def test_a_mask_of_other_values_is_refused_by_name(tmp_path):
    root = write_ombria(tmp_path)
    Image.fromarray(np.full((24, 24), 7, np.uint8)).save(root / "train" / "mask" / "x1.png")
    with pytest.raises(DataSetError, match=r"mask .*x1.png has the value 7; it takes 0, 255"):
        read_by_event(root)


def test_a_mask_of_another_size_is_refused_with_its_line(tmp_path):
    root = write_ombria(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "test_2021" / "mask" / "x3.png")
    with pytest.raises(DataSetError, match="labels.csv, line 4: the mask .* another size"):
        read_by_event(root)


def write_folder(root, classes="value,class\n0,\n10,sea\n20,land\n"):
    for split in ("train", "test"):
        write_chip(root / split / "images" / "p.png", 1)
        (root / split / "masks").mkdir()
        mask = np.repeat(np.array([0, 10, 20], np.uint8), 8)[:, None].repeat(24, 1)
        Image.fromarray(mask).save(root / split / "masks" / "p.png")
    (root / "classes.csv").write_text(classes)
    return root


def test_folders_of_images_and_masks_are_read(tmp_path):
    data = read_segmentation_folder(write_folder(tmp_path))
    assert data.classes == ("sea", "land")
    assert np.unique(data.test.masks[0]).tolist() == [0, 1, IGNORED]


def test_a_folder_without_a_mask_or_with_a_wrong_table_is_refused(tmp_path):
    root = write_folder(tmp_path)
    (root / "test" / "masks" / "p.png").unlink()
    with pytest.raises(DataSetError, match="has no mask of its name"):
        read_segmentation_folder(root)
    (root / "classes.csv").write_text("value,class\n0,a\nx,b\n")
    with pytest.raises(DataSetError, match="classes.csv, line 3: 'x' is no value"):
        read_segmentation_folder(root)


def write_polsf(root, patches="x,y,size,class,split\n0,0,32,water,train\n256,0,32,water,test\n"):
    labels = np.full((64, 512), 3, np.uint8)
    labels[:, ::2] = 4
    colours = np.random.default_rng(0).integers(0, 255, (64, 512, 3)).astype(np.uint8)
    Image.fromarray(colours).save(root / "pauli.png")
    Image.fromarray(labels).save(root / "label.png")
    (root / "patches.csv").write_text(patches)
    return root


def test_a_scene_is_split_by_blocks_of_columns(tmp_path):
    data = read_scene(write_polsf(tmp_path))
    assert (len(data.train), len(data.test)) == (4, 4)
    assert data.train.views[0][0].polarisations == ("HH+VV", "HV", "HH-VV")
    patches = read_patches(tmp_path)
    assert (patches.classes, len(patches.test)) == (("water",), 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [("500,0,32,water,train", "line 2: the window at x 500"), ("a,0,32,water,train", "line 2: x, y and size")],
)
def test_a_wrong_patch_is_refused_with_its_line(tmp_path, line, message):
    root = write_polsf(tmp_path, f"x,y,size,class,split\n{line}\n")
    with pytest.raises(DataSetError, match=message):
        read_patches(root)


def test_what_is_cut_from_a_scene_keeps_its_level():
    amplitude = np.concatenate([np.full((8, 8), 10.0), np.full((8, 8), 100.0)])
    scene = at_reference_level(as_backscatter(amplitude))
    assert scene.references()[0] == [-12.0]
    assert np.median(scene.array) == pytest.approx(-12)
    assert scene.array[0, 12, 0] - scene.array[0, 2, 0] == pytest.approx(20 * np.log10(101 / 11))


def test_scores_are_those_by_hand():
    truth = np.array([[0, 0, 1, 1], [1, 1, IGNORED, IGNORED]])
    guess = np.array([[0, 1, 1, 1], [0, 1, 1, 0]])
    counts = confusion(truth.astype(np.uint8), guess, 2)
    assert counts.tolist() == [[1, 1], [1, 3]]
    assert iou(counts) == pytest.approx([1 / 3, 3 / 5])
    scores = segmentation_scores(counts[None], ("a", "b"), ["g"], "b")
    assert next(iter(scores)) == "iou_b"
    assert scores["mean_iou"].value == pytest.approx((1 / 3 + 3 / 5) / 2)
    assert scores["pixel_accuracy"].value == pytest.approx(4 / 6)


def places(count=4, side=32, seed=0):
    """Images whose right half is 12 dB darker and of class 1."""
    generator = np.random.default_rng(seed)
    views, masks = [], []
    for _ in range(count):
        amplitude = generator.gamma(8, 12, (side, side))
        amplitude[:, side // 2 :] /= 4
        views.append((as_backscatter(amplitude),))
        mask = np.zeros((side, side), np.uint8)
        mask[:, side // 2 :] = 1
        masks.append(mask)
    return LabelledMasks(views, masks, [str(index) for index in range(count)])


def test_otsu_finds_the_gap_and_learns_which_side_is_the_class():
    assert 1.2 < threshold(np.array([1.0, 1.1, 1.2, 9, 9.1, 9.3])) < 9
    train, test = places(), places(seed=1)
    said = Otsu().segment(train, test.views, 2, 0)
    assert (said[0].argmax(0) == test.masks[0]).mean() > 0.9
    inverted = LabelledMasks(train.views, [1 - mask for mask in train.masks], train.groups)
    assert (Otsu().segment(inverted, test.views, 2, 0)[0].argmax(0) == test.masks[0]).mean() < 0.1
    with pytest.raises(MethodMissing, match="this set has 3"):
        Otsu().segment(train, test.views, 3, 0)


def test_trees_learn_a_dark_half_and_the_majority_does_not():
    train, test = places(), places(seed=1)
    assert (Trees().segment(train, test.views, 2, 0)[0].argmax(0) == test.masks[0]).mean() > 0.95
    [shares] = Majority().segment(train, test.views[:1], 2, 0)
    assert np.unique(shares).tolist() == [0.5]


def test_parts_lie_row_by_row_and_cover_the_image():
    array = np.arange(16).reshape(1, 4, 4)
    assert split_parts(array, 2)[1, 0].tolist() == [[2, 3], [6, 7]]
    assert (parts_along((256, 256), 128), parts_along((64, 64), 128), parts_along((300, 260), 128)) == (2, 1, 2)


def test_maps_of_a_tower_fall_in_size_and_a_head_reads_them_at_full_size():
    config = VisionConfig(
        image_size_px=32, stem_channels=(4, 8), stem_strides=(4, 2), stem_blocks=(0, 1), width=16, depth=0
    )
    maps = VisionMaps(VisionTower(config))
    assert [tuple(each.shape[1:]) for each in maps(torch.zeros(2, 2, 32, 32))] == [(4, 8, 8), (16, 4, 4)]
    assert maps.widths == (4, 16)
    network = PixelNetwork(maps, maps.widths, views=2, channels=2, bands=3, classes=3, frozen=True)
    assert network(torch.zeros(2, 2 * 2 + 3, 32, 32)).shape == (2, 3, 32, 32)


def test_a_frozen_backbone_keeps_its_weights_and_its_normalisation():
    backbone = PlainMaps(1, (4, 8))
    network = PixelNetwork(backbone, (4, 8), views=1, channels=1, bands=1, classes=2, frozen=True).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    network(torch.randn(2, 2, 16, 16)).sum().backward()
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def test_every_turn_of_an_image_and_its_mask_is_the_same_turn():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    all_turns = {tuple(turned(image, turn).flatten().tolist()) for turn in range(8)}
    assert len(all_turns) == 8
    assert all(torch.equal(turned(image, turn)[0, 0], turned(image[0, 0], turn)) for turn in range(8))


def test_the_picture_stands_behind_the_images_of_its_own_part():
    place = places(1).views[0]
    images = torch.zeros(1, 4, 1, 2, 12, 12)
    found = stacked(images, [place])
    assert found.shape == (4, 2 + 1, 12, 12)
    whole = levelled(place[0], 24) / 10
    assert torch.equal(found[1, 2], torch.from_numpy(whole[0, :12, 12:]))


def test_the_control_without_an_encoder_learns_from_the_picture_alone(monkeypatch):
    monkeypatch.setattr(pixel_head, "PLAN", replace(pixel_head.PLAN, epochs=1, least_steps=30))
    train, test = places(), places(seed=1)
    method = NearestPixels()
    task = SegmentationTask("", ())
    assert [task.applies(setting, method) for setting in ("light_head", "all_labels")] == [True, False]
    said = pixel_head.segment_with(method, train, test.views, 2, 0, frozen=True)
    right = [(each.argmax(0) == mask).mean() for each, mask in zip(said, test.masks, strict=True)]
    assert np.mean(right) > 0.95


def test_an_outside_encoder_gives_maps_of_each_part_of_a_place_and_is_never_tuned():
    encoder = OpenedOutsideEncoder(lambda x: x, 3, 16, lambda images: [images[:, :, ::4, ::4]])
    images = encoder.pixel_images([places(1).views[0] * 2])
    assert images.shape == (1, 4, 2, 3, 16, 16)
    network, widths = encoder.pixel_maps(3, frozen=True)
    assert widths == (3,)
    assert [tuple(each.shape) for each in network(images[0, :, 0])] == [(4, 3, 4, 4)]
    assert not SegmentationTask("", ()).applies("all_labels", encoder)
