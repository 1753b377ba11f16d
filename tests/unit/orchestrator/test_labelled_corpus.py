"""A labelled set as a corpus, its errors, and the rows of an ablation that need no loop."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from corpus.storage.errors import ConfigError
from corpus.tiles import read_tiles
from export.base import ExportError, check_places
from orchestrator.config.load import load_config, load_saved_config, save_config
from orchestrator.data.prepare import prepare_corpus
from orchestrator.experiments.ablation import cells_below, run_ablation
from orchestrator.experiments.config import load_ablation
from orchestrator.experiments.rows import rows_as_json
from orchestrator.report.places import sites_of
from support.labelled_set import SHAPES, write_chips
from support.paths import ROOT, SHARED
from support.toy_schemas import write_schema_file

CHIPS = 216


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A configuration of a run on made chips, as a file."""
    folder = tmp_path_factory.mktemp("labelled")
    content = yaml.safe_load((ROOT / "configs" / "labelled.yaml").read_text())
    vision = {"image_size_px": 32, "stem_channels": [8, 16], "stem_strides": [2, 4], "stem_blocks": [0, 0], "width": 16}
    model = yaml.safe_load((ROOT / "configs" / "model" / "chips.yaml").read_text())
    for part in ("encoder", "captioner"):
        model[part]["vision"] = {**model[part]["vision"], **vision, "heads": 2, "summary_width": 32}
    content |= {"schema": str(write_schema_file(folder / "shapes.yaml", SHAPES)), "model": model}
    content["corpus"] = {
        "kind": "labelled",
        "data_dir": str(folder / "data"),
        "labelled": {"labels": str(write_chips(folder / "chips", CHIPS)), "tile_px": 32},
    }
    content["train"] = {"first_round_epochs": 25, "round_epochs": 1}
    path = folder / "chips.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def prepared(base, *settings):
    config = load_config(base, list(settings))
    return prepare_corpus(config.corpus, config.annotation_schema, run_seed=config.seed)


def test_labels_are_the_truth_and_initial_annotations_are_labels_with_errors(base):
    found = prepared(base, "corpus.label_errors.kind=symmetric", "corpus.label_errors.share=0.3")
    truth = {row["tile_id"]: row["shape"] for row in pq.read_table(found.truth_dir / "truth.parquet").to_pylist()}
    initial = {row["tile_id"]: row["value"] for row in found.initial.to_pylist()}
    wrong = sum(initial[tile] != truth[tile] for tile in truth) / CHIPS
    assert 0.2 < wrong < 0.4
    assert not found.simulated
    assert found.knowledge["000"] == ""
    assert found.initial["confidence"].to_pylist() == pytest.approx([0.9] * CHIPS)


def test_a_run_that_is_resumed_from_elsewhere_finds_its_corpus_again(base, tmp_path, monkeypatch):
    labels = load_config(base).corpus.labelled.labels
    monkeypatch.chdir(labels.parent)
    relative = load_config(base, ["corpus.labelled.labels=labels.csv", f"corpus.data_dir={tmp_path}"])
    begun = prepare_corpus(relative.corpus, relative.annotation_schema, run_seed=0)
    save_config(relative, saved := tmp_path / "config.yaml")
    monkeypatch.chdir(tmp_path)
    resumed = load_saved_config(saved)
    assert resumed.corpus.labelled.labels == labels
    again = prepare_corpus(resumed.corpus, resumed.annotation_schema, run_seed=0)
    assert again.corpus_dir == begun.corpus_dir


def test_the_same_seed_makes_the_same_errors_and_another_one_others(base):
    settings = ("corpus.label_errors.kind=image_dependent", "corpus.label_errors.share=0.3")
    first, again, other = (prepared(base, *settings, *more).initial for more in ((), (), ("seed=1",)))
    assert first.equals(again)
    assert first["value"].to_pylist().count("empty") > 0
    symmetric = [
        prepared(base, "corpus.label_errors.kind=symmetric", "corpus.label_errors.share=0.3", f"seed={seed}").initial
        for seed in (0, 1)
    ]
    assert symmetric[0]["value"] != symmetric[1]["value"]
    assert other["value"] == first["value"]  # which images a weak classifier is wrong about is no draw


def test_tiles_without_a_place_are_on_no_map_and_in_no_export(base):
    found = prepared(base)
    tiles = read_tiles(found.corpus_dir)
    assert sites_of(tiles, tiles["tile_id"].to_pylist()) == []

    class Source:
        corpus_dir = found.corpus_dir

        def __init__(self):
            self.tiles = tiles

        def __len__(self):
            return tiles.num_rows

    with pytest.raises(ExportError, match=f"{CHIPS} of the {CHIPS} tiles .* have no place on Earth"):
        check_places(Source())


def test_a_labelled_set_takes_no_file_of_initial_annotations(base):
    with pytest.raises(ConfigError, match="a labelled set has its labels in its own table"):
        prepared(base, "corpus.initial=labels.csv")


def test_baselines_repair_easy_labels_under_every_condition_and_rows_tell_them_apart(base, tmp_path):
    content = {
        "base": str(base),
        "seeds": [0],
        "overrides": {"acceptance.initial_accuracy": "estimated", "rounds": 1},
        "tracking": {"kind": "none"},
        "conditions": {
            "clean": {"corpus.label_errors.kind": "none"},
            "wrong": {"corpus.label_errors.kind": "symmetric", "corpus.label_errors.share": 0.3},
        },
        "rows": {
            "initial": {"kind": "initial", "description": "as they came"},
            "trees": {"kind": "trees", "description": "trees"},
            "folds": {
                "kind": "network",
                "description": "networks",
                "network": {"recipe": "plain", "folds": 2, "weighed": True},
            },
        },
    }
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump(content))
    ablation = load_ablation(path)
    out = run_ablation(ablation, tmp_path / "out", None, None, Console(quiet=True))
    rows = {(row["row"], row["noise"]): row for row in rows_as_json(cells_below(ablation, out))}
    assert set(rows) == {(row, noise) for row in content["rows"] for noise in ("none", "symmetric 0.3")}
    for name in ("trees", "folds"):
        assert rows[name, "none"]["label_accuracy"] >= 0.97
        wrong = rows[name, "symmetric 0.3"]
        assert wrong["label_accuracy"] > wrong["initial_label_accuracy"] + 0.1
        assert wrong["test_accuracy"] > 0.8
    assert json.dumps(rows["trees", "none"])
    table = (out / "ablation.md").read_text()
    assert "wrong trees" in table
    with pytest.raises(ConfigError, match="--conditions elsewhere"):
        run_ablation(ablation, tmp_path / "out", None, None, Console(quiet=True), ["elsewhere"])


@pytest.mark.skipif(not (SHARED / "real").is_dir(), reason="needs the labelled real SAR in ../shared/real")
@pytest.mark.parametrize(
    ("condition", "tiles"), [("mstar-class30", 2450), ("acd-image30", 720), ("polsf-class30", 429)]
)
def test_every_set_of_the_ablation_on_real_sar_is_read_as_its_sources_count_it(condition, tiles, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    ablation = load_ablation(ROOT / "configs" / "real_noise.yaml", [f"corpus.data_dir={tmp_path}"])
    config = load_config(ablation.base, ablation.settings("loop", 0, condition))
    found = prepare_corpus(config.corpus, config.annotation_schema, run_seed=0)
    assert found.tiles.num_rows == tiles
    truth = {row.pop("tile_id"): row for row in pq.read_table(found.truth_dir / "truth.parquet").to_pylist()}
    right = sum(truth[row["tile_id"]][row["clause"]] == row["value"] for row in found.initial.to_pylist()) / tiles
    assert right == pytest.approx(1 - config.corpus.label_errors.share, abs=0.06)
