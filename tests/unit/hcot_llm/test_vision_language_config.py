"""What is refused of a vision-language model before anything starts, and what it is shown."""

import numpy as np
import pytest

from actors.captioner.vision_language import VisionLanguageCaptionerConfig
from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.picture import grey_picture, png
from hcot_llm.engines.vision_language import VisionLanguageConfig, VisionLanguageError


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: "", "names no model"),
        (lambda folder: f"{folder}/nowhere", "lacks config.json, tokenizer_config.json"),
        (lambda folder: folder, "lacks weights as safetensors"),
    ],
)
def test_a_model_that_is_none_is_named_before_anything_starts(tmp_path, make, said):
    for name in ("config.json", "tokenizer_config.json", "pytorch_model.bin"):
        (tmp_path / name).write_text("{}")
    config = VisionLanguageCaptionerConfig(vision_language=VisionLanguageConfig(model=str(make(tmp_path))))
    with pytest.raises(VisionLanguageError, match=said):
        config.check()


def test_the_picture_is_the_co_polarised_band_in_decibels_and_no_data_is_black():
    rows = np.linspace(-25, 0, 64 * 64, dtype=np.float32).reshape(64, 64)
    rows[0, 0] = np.nan
    picture = grey_picture(Backscatter(np.stack([np.full_like(rows, -20), rows]), ("VH", "VV")))
    assert picture.dtype == np.uint8
    assert picture[0, 0] == 0
    assert picture[-1, -1] == 255
    assert (np.diff(picture.ravel()[1:].astype(int)) >= 0).all(), "brighter means more backscatter"
    assert not grey_picture(Backscatter(np.full((1, 4, 4), np.nan, np.float32), ("VV",))).any()
    assert png(picture) == png(picture)
    assert png(picture).startswith(b"\x89PNG")
