"""`knowlip simulate` runs the real loop and schedule, with steps that cost what was stated or measured."""

import json
import re

import pytest

from corpus.storage.errors import ConfigError, InputError
from orchestrator.config.load import load_config, save_config
from orchestrator.report.cost import cost_of
from orchestrator.simulation.costs import Costs, PhaseCost, read_costs
from orchestrator.simulation.hardware import SCORER, TRAINER, choose_hardware, crew_of
from orchestrator.simulation.measured import costs_of
from orchestrator.simulation.simulate import simulate
from orchestrator.simulation.timeline import usage
from orchestrator.state.records import (
    PHASES,
    Counts,
    InitialSummary,
    Timings,
    read_records,
    write_initial_summary,
    write_record,
)
from support.paths import ROOT
from support.records import record
from support.unguarded import unguarded

DEFAULT, SCHEDULES = ROOT / "configs" / "default.yaml", ROOT / "configs" / "schedule"
NOTHING = {phase: PhaseCost() for phase in ("startup", *PHASES)}
# 100 tiles, 80 of them trained on; half of the clauses is flagged.
COSTS = Costs(tiles=100, training_share=0.8, flagged_share=(0.5,), **NOTHING)


def configured(*settings):
    return load_config(DEFAULT, ["train.max_workers=1", "score.max_workers=1", *settings])


def run(config, costs, nodes=None, cpus=None, gpus=None):
    return simulate(config, costs, choose_hardware(config, costs.cores, nodes, cpus, gpus))


def spans(found, phase):
    return [(span.round, span.fold, span.units, span.seconds) for span in found.spans if span.phase == phase]


def costing(phase, **cost):
    return COSTS.model_copy(update={phase: PhaseCost(**cost)})


def test_a_round_trains_as_many_passes_as_the_schedule_plans():
    found = run(configured("rounds=3", "schedule.epochs=[4,2]"), costing("train", first_s=1, start_s=2, each_s=0.1))
    assert spans(found, "train") == [
        (1, 0, 320, pytest.approx(1 + 2 + 32)),
        (2, 0, 160, pytest.approx(2 + 16)),
        (3, 0, 160, pytest.approx(2 + 16)),
    ]
    assert found.total_s == pytest.approx(35 + 18 + 18)
    assert found.round_s == pytest.approx({1: 35, 2: 18, 3: 18})


def test_only_what_the_phase_and_the_share_of_a_round_allow_is_queried():
    config = configured("rounds=4", "schedule.phase=[1,2,3]", "schedule.regenerated_share=[1,1,1,0.25]")
    found = run(config, costing("label", each_s=1))
    clauses = len(config.annotation_schema)
    # Held-out tiles are queried whatever the share, as in a run.
    assert [units for _, _, units, _ in spans(found, "label")] == [
        0,
        0,
        0.5 * 100 * clauses,
        (0.25 * 80 + 0.5 * 20) * clauses,
    ]


def test_a_schedule_that_accepts_too_little_ends_the_simulated_run_as_a_real_one():
    costs = COSTS.model_copy(update={"accepted_share": (0.5, 0.1)})
    found = run(configured("rounds=5", "schedule.acceptance_floor=0.2"), costs)
    assert max(span.round for span in found.spans) == 2
    assert "schedule.acceptance_floor" in found.end


def test_each_fold_trains_without_its_own_tiles_and_scores_them_and_the_held_out_ones():
    found = run(configured("rounds=1", "schedule.folds=2", "schedule.epochs=1"), COSTS)
    trained = [units for _, _, units, _ in spans(found, "train")]
    scored = [units for _, _, units, _ in spans(found, "score")]
    assert sum(trained) == 80
    assert sum(scored) == 80 + 2 * 20
    assert [fold for _, fold, _, _ in spans(found, "train")] == [0, 1]


def test_a_second_worker_halves_the_training_only_where_it_has_a_core_and_a_micro_batch():
    costs = costing("train", each_s=1)

    def seconds(*settings, cores=8.0):
        config = load_config(DEFAULT, ["rounds=1", "schedule.epochs=1", "train.max_workers=2", *settings])
        return simulate(config, costs, choose_hardware(config, cores, None, None, None)).total_s

    assert seconds() == 40
    assert seconds(cores=1.0) == 80
    assert seconds("train.micro_batches_per_step=1") == 80
    assert seconds("train.micro_batches_per_step=3", "train.max_workers=2") == pytest.approx(80 / 1.5)


def test_processes_find_room_on_the_stated_nodes_by_the_rules_of_a_run():
    config = load_config(DEFAULT, ["train.max_workers=8", "train.micro_batches_per_step=8", "score.max_workers=4"])
    crew = crew_of(config, choose_hardware(config, 2, 2, 4, None))
    # 8 CPUs: a captioner, a scorer and a task are held back from the training group.
    assert (crew.count(TRAINER), crew.count(SCORER)) == (5, 1)
    with pytest.raises(InputError, match=r"does not fit on 1 nodes of 2 CPUs"):
        crew_of(config, choose_hardware(config, 2, 1, 2, None))


def test_who_waits_is_told_with_what_it_holds():
    costs = COSTS.model_copy(update={"train": PhaseCost(start_s=30), "label": PhaseCost(start_s=10)})
    found = run(configured("rounds=1"), costs)
    trainer, scorer, captioner = usage(found.spans, found.crew)
    assert (trainer.busy_s, trainer.idle_s, trainer.utilisation) == (30, 10, 0.75)
    assert (captioner.busy_s, captioner.idle_s) == (10, 30)
    assert captioner.idle_cpu_hours == pytest.approx(30 / 3600)
    assert scorer.utilisation == 0
    assert found.as_json()["core_utilisation"] == pytest.approx(0.5)  # one of two cores at any time


def measured_run(folder, config, phases, *, tiles=100, training=80, flagged=(0.5, 0.2, 0.2)):
    """A run directory whose rounds took `phases[round][phase]` seconds."""
    directory = unguarded(folder)
    folder.mkdir()
    save_config(config, folder / "config.yaml")
    summary = InitialSummary(annotation_accuracy=0.8, tiles=tiles, quarantined=0, simulated=True)
    write_initial_summary(directory, summary)
    scored = training * len(config.annotation_schema)
    for number, seconds in enumerate(phases, start=1):
        startup = 40.0 if number == 1 else 0.0
        total = startup + sum(seconds.values())
        times = {f"{phase}_s": value for phase, value in seconds.items()}
        asked = round(flagged[number - 1] * scored)
        counts = Counts(scored=scored, flagged=asked, regenerated=asked, accepted=asked // 2, rejected=0, invalid=0)
        timings = Timings(startup_s=startup, **times, total_s=total, unaccounted_s=0)
        write_record(directory, record(number, counts=counts, timings=timings, world_size=1))
    return directory.path


FIRST = {"train": 160.0, "publish": 12.0, "score": 30.0, "label": 50.0, "refresh": 3.0, "evaluate": 5.0}
LATER = {"train": 84.0, "publish": 2.0, "score": 20.0, "label": 18.0, "refresh": 2.0, "evaluate": 3.0}


def test_a_run_is_reproduced_from_its_own_records(tmp_path, call):
    config = configured("rounds=3")
    run_dir = measured_run(tmp_path / "run", config, [FIRST, LATER, LATER])
    status, out, error = call("simulate", run_dir / "config.yaml", "--costs", run_dir, "--json")
    assert status == 0, error
    found = json.loads(out)
    assert found["measured_s"] == 40 + sum(FIRST.values()) + 2 * sum(LATER.values())
    assert found["total_s"] == pytest.approx(found["measured_s"], rel=0.01)
    assert [each["seconds"] for each in found["rounds"]] == pytest.approx(
        [40 + sum(FIRST.values()), sum(LATER.values()), sum(LATER.values())], rel=0.01
    )


def test_a_simulated_run_holds_the_cpus_that_a_comparison_of_runs_counts(tmp_path):
    config = configured("rounds=3")
    run_dir = measured_run(tmp_path / "run", config, [FIRST, LATER, LATER])
    records = [each.model_copy(update={"world_size": 1}) for each in read_records(run_dir)]
    held = run(config, costs_of(config, records, 100, 2)).as_json()["cpu_hours_held"]
    assert held == pytest.approx(cost_of(config, records).cpu_hours_held, rel=0.01)


def test_scorers_that_come_and_go_are_held_while_a_run_scores():
    found, more = (run(configured("rounds=2", f"score.max_workers={count}"), Costs(), cpus=16) for count in (1, 3))
    assert more.crew.count("scorer") == 3
    scoring_s = sum(span.seconds for span in more.spans if span.phase == "score")
    one_scorer = found.as_json()["cpu_hours_held"] / found.total_s * more.total_s
    cpus = configured().score.cpus_per_worker
    assert more.as_json()["cpu_hours_held"] == pytest.approx(one_scorer + 2 * cpus * scoring_s / 3600)


def test_costs_of_one_run_foretell_another_one_of_more_passes(tmp_path):
    config = configured("rounds=2", "schedule.epochs=[16,10]")
    seconds = [dict(FIRST, train=2 + 16 * 10.0), dict(LATER, train=2 + 10 * 10.0)]
    measured_run(tmp_path / "run", config, seconds)
    costs = costs_of(config, read_records(tmp_path / "run"), 100, 2)
    found = run(configured("rounds=2", "schedule.epochs=[20,20]"), costs)
    assert [seconds for *_, seconds in spans(found, "train")] == pytest.approx([202, 202], rel=0.05)


def test_the_default_costs_come_to_the_default_run_on_two_idle_cores_that_the_readme_tells_of():
    found = run(load_config(DEFAULT), Costs())
    [told] = re.findall(
        r"did nothing else.*?took\s(\d+), (\d+) and (\d+) s", (ROOT / "README.md").read_text(), re.DOTALL
    )
    measured = [float(seconds) for seconds in told]
    assert list(found.round_s.values()) == pytest.approx(measured, rel=0.15)
    assert found.total_s == pytest.approx(sum(measured), rel=0.15)


def test_costs_are_read_from_a_file_and_the_rest_has_its_default(tmp_path):
    (tmp_path / "costs.yaml").write_text("cores: 8\ntrain: {each_s: 0.5}\n")
    costs = read_costs(tmp_path / "costs.yaml")
    assert (costs.cores, costs.train.each_s, costs.score) == (8, 0.5, Costs().score)


@pytest.mark.parametrize(
    ("text", "said"), [("trainn: {}", "trainn"), ("train: {each_s: -1}", "train.each_s"), ("a: [", "YAML")]
)
def test_a_file_of_costs_that_cannot_be_used_says_which_key(tmp_path, text, said):
    (tmp_path / "costs.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_costs(tmp_path / "costs.yaml")


def test_scenes_need_their_number_of_tiles(tmp_path):
    config = configured("corpus.kind=geotiff", f"corpus.tiles={tmp_path}")
    with pytest.raises(InputError, match="state `tiles`"):
        run(config, Costs())
    assert run(config, COSTS).total_s == 0


def test_the_command_prints_timeline_processes_and_cost(call):
    status, out, error = call("simulate", DEFAULT, "--set", f"schedule={SCHEDULES / 'out_of_fold.yaml'}")
    assert status == 0, error
    for said in ("Seconds by phase", "training worker", "idle CPU h", "CPU hours held", "T train"):
        assert said in out
