"""Methods that are trained here: they learn, are trained once, and say what their weights are."""

import numpy as np
import pytest
import torch

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.recipes.base import RecipeError
from benchmark.baselines.recipes.config import ViewConfig
from benchmark.baselines.recipes.masked import cells_of, hidden_cells
from benchmark.baselines.recipes.views import changed, drawn_symmetries, turned
from benchmark.suite.base import METHODS, Disclosing, ImageClassifier, ImageEncoder, MethodInputs, MethodMissing
from benchmark.suite.probes import knn
from support.toy_pretraining import picture, toy_inputs

VISION_ONLY = ["mae", "sar_jepa", "moco_v3"]
EVERY = [*VISION_ONLY, "clip", "blip"]  # the others are in test_recipe_parts
SMALL = {"batch": 8}


def opened(name, folder, passes=2, **recipes):
    return METHODS[name].open(toy_inputs(folder, passes, **{name: SMALL, **recipes}))


@pytest.mark.parametrize("name", EVERY)
def test_a_recipe_is_trained_once_and_says_what_its_weights_are(name, tmp_path):
    first = opened(name, tmp_path)
    [file] = tmp_path.glob("*.safetensors")
    written = {file: file.stat().st_mtime_ns}
    again = opened(name, tmp_path)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.glob("*.safetensors")} == written
    assert isinstance(first, Disclosing)
    assert "2 passes over 24 training tiles" in first.disclosure
    assert first.weights_sha256[:16] in first.disclosure
    assert isinstance(first, (ImageEncoder, ImageClassifier))
    images = [picture(index % 2, 100 + index) for index in range(4)]
    assert np.array_equal(first.embed(images), again.embed(images))


@pytest.mark.parametrize("name", ["moco_v3", "blip_capfilt"])
def test_the_same_seed_gives_the_same_weights_and_another_one_others(name, tmp_path):
    hashes = [opened(name, tmp_path / str(index), 1, seed=seed).weights_sha256 for index, seed in enumerate((0, 0, 1))]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", VISION_ONLY)
def test_what_was_learned_without_labels_tells_bright_halves_apart(name, tmp_path):
    features = opened(name, tmp_path, 10).embed([picture(index % 2, 100 + index) for index in range(16)])
    labels = np.arange(16) % 2
    said = knn(features[:8], labels[:8], features[8:], 2)
    assert said.argmax(1).tolist() == labels[8:].tolist()


def test_masked_pixels_are_predicted_better_after_training(tmp_path):
    from benchmark.baselines.recipes.base import Material
    from benchmark.baselines.recipes.mae import Mae

    losses = []

    class Watched(Material):
        def fit(self, make, loss_of):
            def noted(network, rows, images):
                loss = loss_of(network, rows, images)
                losses.append(float(loss.detach()))
                return loss

            return super().fit(make, noted)

    inputs = toy_inputs(tmp_path, 40, mae={**SMALL, "normalised": False, "learning_rate": 5e-3})
    pretraining = inputs.pretraining
    Mae().train(Watched(pretraining, pretraining.open_tiles(), pretraining.recipes.mae, "mae"))
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])


def test_a_recipe_without_a_corpus_keeps_its_row_and_says_what_to_name():
    with pytest.raises(MethodMissing, match="name a run with --run RUN_DIR, or set benchmark.recipes.passes"):
        METHODS["mae"].open(MethodInputs())


def test_too_few_tiles_and_damaged_weights_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="two training tiles at least"):
        METHODS["mae"].open(toy_inputs(tmp_path, tiles=1))
    opened("mae", tmp_path, 1)
    [file] = tmp_path.glob("mae-*.safetensors")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(RecipeError, match="is damaged: its tensors are not those that were kept. Remove it"):
        opened("mae", tmp_path, 1)


def test_other_settings_are_other_weights_beside_the_first(tmp_path):
    opened("mae", tmp_path, 1)
    opened("mae", tmp_path, 1, mae={**SMALL, "mask_share": 0.5})
    assert len(list(tmp_path.glob("mae-*.safetensors"))) == 2


def test_as_many_cells_are_hidden_as_asked_and_cells_are_squares_of_the_image():
    assert hidden_cells(5, 16, 10).sum(1).tolist() == [10] * 5
    image = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    cells = cells_of(image, 2)
    assert cells.shape == (1, 4, 8)
    assert cells[0, 1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]


def test_views_turn_as_the_loop_does_and_change_what_the_configuration_says():
    from actors.data.dihedral import turn

    image = torch.rand(1, 2, 6, 6)
    for symmetry in range(8):
        assert np.array_equal(turned(image, torch.tensor([symmetry]))[0], turn(image[0].numpy(), symmetry))
    still = ViewConfig(turns=False, speckle_db=0, drop_polarisation_share=0)
    assert torch.equal(changed(image, still), image)
    assert drawn_symmetries(50, still, True).sum() == 0 == drawn_symmetries(50, ViewConfig(), False).sum()
    assert drawn_symmetries(50, ViewConfig(), True).sum() > 0
    alone = changed(image.expand(20, -1, -1, -1), ViewConfig(drop_polarisation_share=1, speckle_db=1))
    assert torch.equal(alone[:, 0], alone[:, 1])
    louder = changed(image, still.model_copy(update={"gain_db": 3.0})) - image
    assert louder.std() < 1e-5 < louder.abs().max()
    assert changed(image, still.model_copy(update={"smallest_side_share": 0.5})).shape == image.shape
