"""What becomes of a chain's completions: one answer, its distributions, and why levels failed."""

from types import SimpleNamespace

import numpy as np
import pytest

from actors.captioner.chain import ChainProgress, ChainTiles
from corpus.tiles import CorpusError, read_tiles
from hcot_llm.engines.completion import Completion
from hcot_llm.prompts.chain import ChainResult
from support.hcot import HCOT, VOCABULARY
from support.shared_chain import make_tiles, question

ASKED = SimpleNamespace(question=SimpleNamespace(schema=HCOT, queried=("water", "road")), seed=None)


def distribution(clause: str, value: str) -> np.ndarray:
    """Most probable: the value."""
    return np.where(np.asarray(VOCABULARY[clause]) == value, 0.7, 0.3 / (len(VOCABULARY[clause]) - 1))


def answered(values: dict, failed: dict, *told: dict):
    progress = ChainProgress(ASKED)
    for distributions in told:
        progress.take(
            Completion("", {clause: distribution(clause, value) for clause, value in distributions.items()}, 3)
        )
    return progress.answer(ChainResult("", values, failed, []))


def test_every_failed_level_is_counted():
    answer = answered({}, {1: "not_json", 2: "cut", 5: "not_json"})
    assert answer.error == "not_json"
    assert answer.errors == ("not_json", "cut", "not_json")
    assert answered({"water": "sea"}, {2: "cut"}).errors == ("cut",)
    whole = answered({"water": "sea", "road": "grid"}, {})
    assert whole.error is None
    assert whole.errors == ()


def test_a_correction_that_was_not_kept_takes_no_distribution_away():
    answer = answered({"water": "sea"}, {}, {"water": "sea"}, {"water": "none"})
    assert VOCABULARY["water"][answer.distributions["water"].argmax()] == "sea"


def test_a_corrected_value_has_the_corrections_distribution_or_none():
    answer = answered({"water": "sea"}, {}, {"water": "none"}, {"water": "sea"})
    assert VOCABULARY["water"][answer.distributions["water"].argmax()] == "sea"
    assert answered({"water": "sea"}, {}, {"water": "none"}).distributions == {}


def test_a_tile_that_changed_since_the_run_began_is_not_asked_about(tmp_path):
    corpus_dir = make_tiles(tmp_path / "data", 1)
    tiles = read_tiles(corpus_dir)
    [row] = tiles.to_pylist()
    path = corpus_dir / row["path"]

    def settings() -> dict:
        [[chain]] = ChainTiles(tiles, corpus_dir).chains([question(row["tile_id"])], None, 1)
        return chain.settings(evidence=True, picture=True, attempts=0)

    assert settings()["evidence"]
    path.write_bytes(path.read_bytes() + b"more")  # still a good GeoTIFF
    with pytest.raises(CorpusError, match=f"{path}.* has changed since it was recorded: .*knowlip resume"):
        settings()
