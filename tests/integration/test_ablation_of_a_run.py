"""The rows of an ablation that are no runs of their own, on a real run."""

import json

import pytest
import yaml
from rich.console import Console

from orchestrator.experiments.ablation import run_ablation
from orchestrator.experiments.cells import make_cells
from orchestrator.experiments.config import load_ablation
from support.paths import ROOT

ACCURACY = "annotation_accuracy"


def quiet() -> Console:
    return Console(quiet=True)


def test_rows_that_are_no_runs_rest_on_a_real_run_and_add_up(smoke_run, tmp_path):
    """On a real run's corpus, weights and records: the run's own initial accuracy, and a fusion that adds up.

    After three epochs the encoder knows nothing, and a crude fusion still uses it, so its accuracy is not tested.
    """
    rows = {
        "initial": {"description": "d", "kind": "initial"},
        "run": {"description": "d"},
        "fused": {"description": "d", "kind": "posterior_fusion", "weights_of": "run"},
        "alone": {"description": "d", "kind": "encoder_alone", "weights_of": "run"},
    }
    path = tmp_path / "mine.yaml"
    content = {"base": str(ROOT / "configs" / "smoke.yaml"), "seeds": [0], "scenes": "same", "rows": rows}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    ablation, out = load_ablation(path, [f"corpus.data_dir={smoke_run.data_dir}"]), tmp_path / "out"
    out.mkdir()
    (out / "run-seed0").symlink_to(smoke_run.run_dir)
    run_ablation(ablation, out, None, None, quiet())
    initial, run, fused, alone = (cell.result()[0] for cell in make_cells(ablation, out))
    summary = json.loads((smoke_run.run_dir / "initial.json").read_text())
    assert initial[ACCURACY] == summary[ACCURACY]
    assert initial["true_repairs"] == initial["false_repairs"] == 0
    assert run == smoke_run.records[-1].metrics
    assert fused["held_out_mean_recall"] == run["held_out_mean_recall"]
    change = (fused["true_repairs"] - fused["false_repairs"]) / smoke_run.records[-1].counts.scored
    assert fused["true_repairs"] > 0
    assert fused[ACCURACY] == pytest.approx(initial[ACCURACY] + change)
    # On held-out tiles the run has measured the same encoder; on training tiles it is about as good.
    assert 0 < alone[ACCURACY] < 1
    assert alone[ACCURACY] not in (initial[ACCURACY], fused[ACCURACY])
    assert alone["held_out_slot_accuracy"] == run["held_out_slot_accuracy"]
    assert "| fused | 1 |" in (out / "ablation.md").read_text()
