"""An ablation's rows, what is still to run, and its table; runs are made up from real record files."""

import csv
import io
import itertools
import json
import shutil
import signal
import statistics
import subprocess
import sys

import pytest
import yaml
from mlflow import MlflowClient
from rich.console import Console

from corpus.storage.errors import ConfigError, Interrupted
from orchestrator.experiments import ablation as ablation_module
from orchestrator.experiments.ablation import run_ablation
from orchestrator.experiments.cells import Cell, make_cells
from orchestrator.experiments.config import AblationFailed, load_ablation
from orchestrator.experiments.table import AblationTable
from orchestrator.state.records import InitialSummary, write_initial_summary, write_record
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from orchestrator.tracking.mlflow_store import local_uri
from support.paths import ROOT
from support.records import record
from support.unguarded import unguarded

ACCURACY = "annotation_accuracy"


@pytest.fixture
def write(tmp_path):
    """Write an ablation on configs/smoke.yaml; keys given replace those of two rows."""

    def write(**changes):
        content = {
            "base": str(ROOT / "configs" / "smoke.yaml"),
            "seeds": [0, 1],
            "rows": {
                "none": {"description": "nothing", "overrides": {"flag.minimum_confidence": 0}},
                "both": {"description": "all"},
            },
        } | changes
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def pretend(cell: Cell, accuracy: float, rounds: int | None = None, **changes) -> None:
    """What a run of the cell leaves behind, as far as the ablation reads it."""
    directory = RunDirectory(cell.directory)
    if not directory.config.exists():
        RunDirectory.create(cell.config, cell.directory, root=cell.directory.parent / "runs")
    for number in range(1, (rounds or cell.config.rounds) + 1):
        write_record(
            unguarded(cell.directory), record(number, metrics={ACCURACY: accuracy, f"{ACCURACY}_rare": None}, **changes)
        )


@pytest.fixture
def runs(monkeypatch):
    """Stands in for the processes: every call is noted and leaves a finished run; accuracies by (row, seed)."""
    calls, accuracy = [], {}

    def run(cell, console):
        calls.append((cell.name, cell.seed))
        pretend(cell, accuracy.get((cell.name, cell.seed), 0.9))

    monkeypatch.setattr(ablation_module, "_run_loop", run)
    return calls, accuracy


def quiet() -> Console:
    return Console(quiet=True)


@pytest.mark.parametrize("name", ["ablation.yaml", "ablation_small.yaml", "real_noise.yaml"])
def test_every_row_that_comes_with_the_project_is_a_valid_run(name, tmp_path):
    ablation = load_ablation(ROOT / "configs" / name)
    cells = make_cells(ablation, tmp_path)
    conditions = list(ablation.conditions) or [None]
    assert len(cells) == len(ablation.rows) * len(ablation.seeds) * len(conditions)
    # One corpus a seed and a condition: nothing about it differs between rows.
    for seed, condition in itertools.product(ablation.seeds, conditions):
        of_both = [cell for cell in cells if (cell.seed, cell.condition) == (seed, condition)]
        assert len({cell.config.corpus.model_dump_json() for cell in of_both}) == 1
        assert {cell.config.seed for cell in of_both} == {seed}
    # Rows of the loop are different configurations.
    loops = [cell.config.model_dump_json() for cell in cells if cell.row.kind == "loop"]
    assert len(set(loops)) == len(loops)


def test_the_default_row_is_the_base_itself(tmp_path):
    ablation = load_ablation(ROOT / "configs" / "ablation.yaml")
    assert ablation.rows["both"].overrides == {}


def test_each_row_leaves_out_what_its_name_says(tmp_path):
    """By the settings that the loop reads: who is queried, what is weighed, what the training targets are."""
    cells = make_cells(load_ablation(ROOT / "configs" / "ablation.yaml"), tmp_path, seeds=[0])
    row = {cell.name: cell.config for cell in cells}
    for name in ("none", "filter-only"):  # nothing is flagged, so nobody is asked
        assert not row[name].flag.leave_one_out
        assert row[name].flag.minimum_confidence == 0
    # All of it is a training target.
    for name in ("none", "captioner-only", "no-acceptance-test", "paper-phases"):
        assert row[name].acceptance.minimum_trust == 0
        assert not row[name].train.noise_correction
    untested = {name for name, config in row.items() if config.acceptance.rule == "proposal"}
    assert untested == {"captioner-only", "no-acceptance-test", "paper-phases"}
    # Nobody asks again what contradicts the rest of a tile: where nothing is tested, and where level 5 is left out.
    assert {name for name, config in row.items() if config.captioner.corrections == 0} == {
        *untested,
        "no-levels",
        "no-level-5",
    }
    assert {name for name, config in row.items() if not config.acceptance.consistency} == {"no-levels", "no-level-5"}
    assert {name for name, config in row.items() if not config.captioner.levels_in_prompt} == {"no-levels"}
    assert {name for name, config in row.items() if not config.captioner.feedback_in_prompt} == {
        "captioner-only",
        "paper-phases",
        "no-feedback",
    }
    assert {name for name, config in row.items() if config.model.share_vision} == {"shared-weights"}
    assert {name: config.schedule.folds for name, config in row.items() if config.schedule.folds > 1} == {
        "out-of-fold": 2
    }


def test_every_row_of_a_seed_comes_before_the_next_seed(write, tmp_path):
    cells = make_cells(load_ablation(write()), tmp_path)
    assert [(cell.name, cell.seed) for cell in cells] == [("none", 0), ("both", 0), ("none", 1), ("both", 1)]
    assert cells[0].config.flag.minimum_confidence == 0
    assert cells[1].config.flag.minimum_confidence > 0
    assert cells[2].directory == tmp_path / "none-seed1"


def test_each_seed_has_scenes_of_its_own_that_its_rows_and_conditions_share(write, tmp_path):
    path = write(conditions={"few": {"corpus.corruption.error_scale": 0.5}, "many": {}})
    cells = make_cells(load_ablation(path), tmp_path)
    scenes = {seed: {cell.config.corpus.simulated.seed for cell in cells if cell.seed == seed} for seed in (0, 1)}
    assert len(cells) == 8
    assert [len(seeds) for seeds in scenes.values()] == [1, 1]
    assert scenes[0] != scenes[1]


def test_all_seeds_share_the_scenes_of_the_base_where_the_ablation_says_so(write, tmp_path):
    cells = make_cells(load_ablation(write(scenes="same")), tmp_path)
    assert {cell.config.corpus.simulated.seed for cell in cells} == {0}
    assert all("corpus.simulated.seed" not in setting for cell in cells for setting in cell.settings)


def test_a_row_brings_the_row_it_rests_on(write, tmp_path):
    path = write(
        rows={
            "none": {"description": "d"},
            "both": {"description": "d"},
            "fused": {"description": "d", "kind": "posterior_fusion", "weights_of": "none"},
        }
    )
    cells = make_cells(load_ablation(path), tmp_path, ["fused"], [1])
    assert [cell.name for cell in cells] == ["none", "fused"]


def test_settings_of_the_command_line_are_stronger_than_the_file(write, tmp_path):
    path = write(overrides={"rounds": 1})
    [cell, *_] = make_cells(load_ablation(path, ["rounds=5"]), tmp_path)
    assert cell.config.rounds == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": {}}, "rows"),
        ({"seeds": [1, 1]}, "must be different"),
        ({"roows": {}}, "roows: Extra inputs"),
        ({"overrides": {"seed": 3}}, "seed cannot be overridden"),
        ({"rows": {"Big Row": {"description": "d"}}}, "lower-case words"),
        ({"rows": {"a": {"description": "d", "overrides": {"corpus.simulated.tiles": 9}}}}, "share one corpus"),
        ({"rows": {"a": {"description": "d", "overrides": {"seed": 9}}}}, "share one corpus"),
        (
            {"rows": {"a": {"description": "d", "kind": "initial", "overrides": {"rounds": 1}}}},
            "only a row of kind loop",
        ),
        ({"rows": {"a": {"description": "d", "kind": "posterior_fusion"}}}, "weights_of belongs"),
        ({"rows": {"a": {"description": "d", "kind": "encoder_alone"}}}, "weights_of belongs"),
        ({"rows": {"a": {"description": "d", "kind": "posterior_fusion", "weights_of": "b"}}}, "must name a row"),
    ],
)
def test_an_ablation_that_cannot_be_used_is_refused_with_its_reason(write, changes, said):
    with pytest.raises(ConfigError, match=said):
        load_ablation(write(**changes))


def test_a_mistyped_key_of_a_row_is_found_before_anything_runs(write, tmp_path, runs):
    path = write(rows={"a": {"description": "d"}, "b": {"description": "d", "overrides": {"flag.minimum": 0}}})
    with pytest.raises(ConfigError, match="flag.minimum: no such key"):
        run_ablation(load_ablation(path), tmp_path / "out", None, None, quiet())
    assert runs[0] == []
    assert not (tmp_path / "out").exists()


def test_a_row_that_is_not_there_is_answered_with_those_that_are(write, tmp_path):
    with pytest.raises(ConfigError, match="nobody: the ablation has none of that name. It has: none, both"):
        make_cells(load_ablation(write()), tmp_path, ["nobody"])


def test_only_what_is_missing_runs_and_the_table_is_written(write, tmp_path, runs, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calls, accuracy = runs
    accuracy |= {("none", 0): 0.75, ("none", 1): 0.85, ("both", 0): 0.9}
    ablation, out = load_ablation(write()), tmp_path / "out"
    pretend(make_cells(ablation, out)[0], 0.75)
    run_ablation(ablation, out, ["none"], None, quiet())
    assert calls == [("none", 1)]
    run_ablation(ablation, out, None, [0], quiet())
    assert calls == [("none", 1), ("both", 0)]

    markdown = (out / "ablation.md").read_text()
    assert "| none | 2 | 0.800 ± 0.071 |" in markdown
    assert "| both | 1 | 0.900 |" in markdown
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("none", "0"),
        ("none", "1"),
        ("none", "mean"),
        ("none", "standard_deviation"),
        ("both", "0"),
        ("both", "mean"),
        ("both", "standard_deviation"),
    ]
    assert float(rows[0]["seconds"]) == sum(each.timings.total_s for each in (record(1), record(2)))
    assert rows[0][f"{ACCURACY}_rare"] == ""
    assert rows[6][ACCURACY] == ""

    client = MlflowClient(local_uri(out))
    [run] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.run_name == "ablation"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["none/annotation_accuracy"] == pytest.approx(0.8)
    assert run.data.metrics["none/annotation_accuracy_standard_deviation"] == pytest.approx(
        statistics.stdev([0.75, 0.85])
    )
    assert {item.path for item in client.list_artifacts(run.info.run_id, "table")} == {
        "table/ablation.md",
        "table/ablation.csv",
    }


def test_a_run_that_stopped_half_way_goes_on(write, tmp_path):
    cell = make_cells(load_ablation(write()), tmp_path)[0]
    assert not cell.started
    assert cell.result() is None
    pretend(cell, 0.8, rounds=1)
    assert cell.started
    assert cell.result() is None


def test_a_run_of_another_configuration_is_refused(write, tmp_path):
    pretend(make_cells(load_ablation(write()), tmp_path)[0], 0.8)
    cell = make_cells(load_ablation(write(overrides={"train.round_epochs": 7})), tmp_path)[0]
    with pytest.raises(RunDirectoryError, match="train.round_epochs is 1 there and 7 here"):
        cell.result()


def test_a_result_of_another_configuration_is_made_again(write, tmp_path):
    rows = {"initial": {"description": "d", "kind": "initial"}}
    cell = make_cells(load_ablation(write(rows=rows)), tmp_path)[0]
    cell.write_result({ACCURACY: 0.8}, 2.0)
    assert cell.result() == ({ACCURACY: 0.8}, 2.0)
    assert make_cells(load_ablation(write(rows=rows, overrides={"rounds": 9})), tmp_path)[0].result() is None


class Process(subprocess.Popen):
    """The command line replaced by a small program, which is what `knowlip run` is to the ablation."""

    program = ""

    def __init__(self, command, **options):
        super().__init__([sys.executable, "-c", self.program, *map(str, command)], **options)


@pytest.fixture
def process(monkeypatch):
    def use(program):
        monkeypatch.setattr(Process, "program", program)
        monkeypatch.setattr(ablation_module.subprocess, "Popen", Process)

    return use


def test_what_rests_on_a_row_is_made_again_with_it(write, tmp_path):
    path = write(
        rows={
            "none": {"description": "d"},
            "fused": {"description": "d", "kind": "posterior_fusion", "weights_of": "none"},
        }
    )
    none, fused = make_cells(load_ablation(path), tmp_path, ["fused"], [1])
    pretend(none, 0.9)
    fused.write_result({ACCURACY: 0.8}, seconds=1)
    assert fused.result() == ({ACCURACY: 0.8}, 1)
    shutil.rmtree(none.directory)
    assert fused.result() is None
    pretend(none, 0.9, weights_sha256="e" * 64)
    assert fused.result() is None


def test_an_old_row_that_does_not_fit_is_found_before_anything_runs(write, tmp_path, runs):
    run_ablation(load_ablation(write()), tmp_path, ["none"], [0], quiet())
    changed = write(rows={"none": {"description": "d", "overrides": {"rounds": 1}}, "both": {"description": "d"}})
    with pytest.raises(RunDirectoryError, match="another configuration: .*rounds is 2 there and 1 here"):
        run_ablation(load_ablation(changed), tmp_path, ["both"], [0], quiet())
    assert runs[0] == [("none", 0)]


def test_a_run_that_fails_is_named_with_its_output(write, tmp_path, process):
    process("print('no memory left'); raise SystemExit(1)")
    with pytest.raises(AblationFailed, match=r"Row none with seed 0 failed \(exit status 1\).*none-seed0.log"):
        run_ablation(load_ablation(write()), tmp_path / "out", None, None, quiet())
    assert "no memory left" in (tmp_path / "out" / "none-seed0.log").read_text()


def test_a_cell_is_run_or_resumed_by_the_command_line(write, tmp_path, process):
    process("import sys, json; print(json.dumps(sys.argv[2:]))")
    out = tmp_path / "out"
    out.mkdir()
    cell = make_cells(load_ablation(write()), out)[0]
    ablation_module._run_loop(cell, quiet())
    command = json.loads(cell.log.read_text())
    assert command == [
        "run",
        str(cell.base),
        "--run-dir",
        str(cell.directory),
        "--set",
        "flag.minimum_confidence=0",
        "--set",
        "seed=0",
        "--set",
        f"corpus.simulated.seed={cell.config.corpus.simulated.seed}",
    ]
    pretend(cell, 0.8, rounds=1)
    ablation_module._run_loop(cell, quiet())
    assert json.loads(cell.log.read_text().splitlines()[-1]) == ["resume", str(cell.directory)]


def test_rounds_of_a_run_are_shown_as_they_end(write, tmp_path, process):
    process("print('round 1: annotation accuracy 0.9'); print('round  accuracy  flagged'); raise SystemExit(1)")
    cell = make_cells(load_ablation(write()), tmp_path)[0]
    console = Console(record=True, quiet=False, file=io.StringIO())
    with pytest.raises(AblationFailed):
        ablation_module._run_loop(cell, console)
    assert console.export_text() == "  round 1: annotation accuracy 0.9\n"


def test_finished_rows_are_printed_as_json(write, tmp_path, runs, call):
    def fill(cell, console):
        pretend(cell, 0.9)
        summary = InitialSummary(annotation_accuracy=0.8, tiles=64, quarantined=0, simulated=True)
        write_initial_summary(unguarded(cell.directory), summary)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ablation_module, "_run_loop", fill)
        status, out, error = call("ablate", write(), "--out", tmp_path / "out", "--rows", "both", "--json")
    assert status == 0, error
    assert [(row["row"], row["seed"]) for row in json.loads(out)] == [("both", 0), ("both", 1)]
    first = json.loads(out)[0]
    assert (first["dataset"], first["noise"]) == ("smoke", "error_scale=1")
    assert (first["label_accuracy"], first["initial_label_accuracy"], first["ece"]) == (0.9, 0.8, None)
    assert first["seconds"] > 0
    assert set(first) == {
        *("row", "dataset", "noise", "seed", "label_accuracy", "initial_label_accuracy"),
        *("false_repair_share", "test_accuracy", "encoder_test_accuracy", "ece", "seconds"),
    }


def test_an_interrupted_ablation_ends_its_run_and_waits_for_it(write, tmp_path, process, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    process(
        "import os, signal, sys\n"
        "def end(*_):\n    print('state saved', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.pause()\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run_ablation(load_ablation(write()), tmp_path / "out", None, None, quiet())
    assert "state saved" in (tmp_path / "out" / "none-seed0.log").read_text()
    assert signal.getsignal(signal.SIGTERM) is before
    client = MlflowClient(local_uri(tmp_path / "out"))
    [run] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.status == "KILLED"


def test_a_metric_that_a_run_lacks_leaves_the_cell_empty():
    table = AblationTable({"a": "first", "b": "second"}, {("a", 0): {ACCURACY: 0.5, "seconds": 1234.4}})
    markdown = table.markdown("T", "n")
    assert "| a | 1 | 0.500 |" in markdown
    assert "| 1,234 |" in markdown
    assert "| b | 0 |" in markdown
    assert table.spread("b", ACCURACY) is None
    assert table.metrics() == {f"a/{ACCURACY}": 0.5, "a/seconds": 1234.4}
