"""The injector, the table and the comparison of `make chaos`, without a run."""

import argparse
import os
import shutil
import signal
import sys
from types import SimpleNamespace

import psutil
import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake
from mlflow import MlflowClient

from actors.captioner.deployment import DEPLOYMENT
from actors.evaluator import Evaluator
from actors.trainer.channel import TrainerChannel
from chaos.__main__ import main, seeds
from chaos.compare import count, pairs
from chaos.cut_tiles import write_cut_scenes
from chaos.driver import Driver, NotSurvived, wait_for_phase
from chaos.faults import ABSENT, BOUNDARY, FAULTS, INSIDE, LIVES_IN, START_UP, TRAINERS, Fault
from chaos.full_disk import Filler, said_of_full_disk
from chaos.injection import Injection, Outcome
from chaos.mlflow_away import differences, tracked
from chaos.races import digest
from chaos.results import Result, write_result
from chaos.rows import ROWS
from chaos.run import complaints_of
from chaos.shared import TOGETHER, share
from chaos.table import summarise
from chaos.targets import TITLE, rank_of
from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.annotations import AnnotationStore
from corpus.ingest.quarantine import Quarantine
from corpus.storage.disk import free_bytes
from orchestrator.config.load import load_config
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.prepare import prepare_corpus
from orchestrator.monitoring.status import write_status
from orchestrator.state.records import PHASES
from orchestrator.tracking.mlflow_store import tracking_uri
from support.hcot import HCOT
from support.mounts import mount, unmount
from support.paths import ROOT
from support.trackers import tracker_in
from support.unguarded import unguarded


def test_every_process_is_killed_at_the_start_of_every_phase_and_inside_it():
    killed = {(fault.target, fault.number, fault.phase, fault.moment) for fault in FAULTS if fault.action == "kill"}
    for target in ("driver", "trainer", "captioner", "scorer", "serve controller", "node"):
        for number in range(TRAINERS if target == "trainer" else 1):
            for phase in PHASES:
                assert phase in LIVES_IN[target] or ABSENT[target], f"{target} is not killed in {phase}, and why?"
                for moment in (BOUNDARY, INSIDE) if phase in LIVES_IN[target] else ():
                    assert (target, number, phase, moment) in killed
    assert load_config(ROOT / "configs" / "chaos.yaml").train.max_workers == TRAINERS


def test_the_loops_own_actors_are_looked_for_under_the_names_they_have():
    for target, actor in (("evaluator", Evaluator), ("trainer channel", TrainerChannel)):
        assert TITLE[target] == f"ray::{actor.__ray_metadata__.class_name}"
    assert TITLE["captioner"] == f"ray::ServeReplica:{DEPLOYMENT}"


def test_every_other_fault_has_a_row():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for part in (
        "remove a node",
        "MLflow stop",
        "disk full, in train",
        "disk full, in label",
        "disk full, in refresh",
        "disk full, in score (spill)",
        "two drivers x 50",
        "damaged captions 10 %",
        "truncated tiles 1 %",
        "SIGTERM",
    ):
        assert any(part in name for name in names), part


def test_the_moment_inside_a_phase_is_drawn_by_seed():
    fault = Fault("driver", "train", INSIDE)
    drawn = [fault.delay_s(10, seed) for seed in range(20)]
    assert drawn == [fault.delay_s(10, seed) for seed in range(20)]
    assert len(set(drawn)) == 20
    assert all(1 <= delay <= 9 for delay in drawn)
    assert Fault("driver", "train", BOUNDARY).delay_s(10, 0) == 0


def test_seeds_are_a_number_or_a_range():
    assert seeds("3") == (0, 1, 2)
    assert seeds("3..5") == (3, 4, 5)
    for wrong in ("0", "5..3", "a", "1,2"):
        with pytest.raises(argparse.ArgumentTypeError, match="3..8"):
            seeds(wrong)


@pytest.mark.parametrize("seeds_", [1, 3])
def test_faults_that_share_runs_are_all_run_once_and_never_two_in_one_phase(seeds_):
    wanted = [(fault, seed) for seed in range(seeds_) for fault in FAULTS]
    runs = share(wanted, rounds=3)
    assert sorted((each.fault.name, each.seed) for run in runs for each in run) == sorted(
        (fault.name, seed) for fault, seed in wanted if fault.shares
    )
    assert {fault.action for fault in FAULTS if not fault.shares} == {"second driver", "pause"}
    assert len(runs) < len(wanted) / 5
    for run in runs:
        moments = [(each.round, (START_UP, *PHASES).index(each.fault.phase)) for each in run]
        assert moments == sorted(set(moments)), "in the order of time, no phase twice"
        assert len({each.fault.ends_driver for each in run}) == 1, "a resume would hide an actor that did not come back"
        assert all(each.round == 1 for each in run if each.fault.phase == START_UP)
        assert all(each.fault.ends_driver or each.round < 3 for each in run), "what broke has to be needed again"


def test_seeds_strike_other_rounds():
    struck = {}
    for run in share([(fault, seed) for seed in range(20) for fault in FAULTS], rounds=3):
        for each in run:
            struck.setdefault(each.fault, set()).add(each.round)
    assert {fault for fault, rounds in struck.items() if len(rounds) == 1} == {
        fault for fault in struck if fault.phase == START_UP
    }


def test_a_trainer_is_known_by_the_rank_that_ray_train_gave_it(tmp_path):
    me = psutil.Process()
    assert rank_of(me) is None
    with open(tmp_path / "ray-train-sys-worker-0a.log", "w") as log:
        log.write(
            '{"message": "before it has one"}\n'
            '{"message": "as Ray 2.60 writes", "world_rank": 1, "local_rank": 0}\n'
            '{"wor'
        )
        log.flush()
        assert rank_of(me) == 1


def test_a_recovery_is_judged_by_how_it_came_about(tmp_path):
    driver, trainer, pause = (
        Injection(Fault(target, "train", INSIDE, action), 1, 0.0)
        for target, action in (("driver", "kill"), ("trainer", "kill"), ("driver", "pause"))
    )

    def said(struck, resumes, status):
        return [
            each.partition(";")[0]
            for each in complaints_of(
                Outcome(tmp_path / "run", injections=struck, resumes=resumes, status=status, finished=True)
            )
        ]

    assert said([driver], 1, 0) == said([trainer], 0, 0) == said([pause], 0, 1) == said([driver], 0, -9) == []
    assert said([trainer], 1, 0) == ["1 resumes were needed, 0 expected"]
    assert said([driver, driver], 3, 0) == ["3 resumes were needed, 2 expected"]
    assert said([trainer], 0, -9) == ["all rounds are recorded, but the driver's exit status was -9"]
    assert said([driver], 1, 1) == ["all rounds are recorded, but the driver's exit status was 1"]


def test_a_phase_that_does_not_begin_is_not_waited_for_for_ever(tmp_path):
    """A driver that lives, and stands still in another phase; what another driver wrote does not count."""
    alive = SimpleNamespace(log="log", ended=False, process=SimpleNamespace(pid=os.getpid()))
    alive.is_in = lambda *where: Driver.is_in(alive, *where)
    write_status(unguarded(tmp_path), "train", 1)
    wait_for_phase(alive, tmp_path, 1, "train", patience_s=0)
    with pytest.raises(NotSurvived, match="score of round 1 did not begin"):
        wait_for_phase(alive, tmp_path, 1, "score", patience_s=0.1)
    alive.process.pid += 1
    with pytest.raises(NotSurvived):
        wait_for_phase(alive, tmp_path, 1, "train", patience_s=0.1)


def test_annotations_that_are_lost_or_stand_twice_and_rounds_that_do_are_counted(tmp_path):
    """As they lie in the table; its own reader refuses a doubled one."""
    store = AnnotationStore(tmp_path)
    rows = pa.Table.from_pylist(
        [
            {
                "tile_id": tile,
                "clause": clause,
                "value": "plain",
                "text": "",
                "level": 1,
                "source": "seed",
                "confidence": 0.5,
                "round": 0,
                "weights_sha256": "",
                "prompt_sha256": "",
            }
            for tile in "ab"
            for clause in ("terrain", "road")
        ],
        schema=ANNOTATION_SCHEMA,
    )
    store.commit(rows, run_id="run", round_=0)
    whole = [pairs(store, "run", 0)] * 2
    store.commit(rows, run_id="run", round_=1)
    assert count(store, "run", whole) == (0, 0, 0)
    assert count(store, "run", whole * 2) == (8, 0, 0)

    def commit(table):
        write_deltalake(
            str(tmp_path),
            table,
            mode="overwrite",
            commit_properties=CommitProperties(custom_metadata={"run_id": "run", "round": "2"}),
        )

    commit(pa.concat_tables([rows.slice(1), rows.slice(3)]))
    assert count(store, "run", [*whole, whole[0]]) == (1, 1, 0)
    commit(rows)
    assert count(store, "run", [*whole, whole[0]])[2] == 1


def test_the_table_adds_up_what_ran_and_hides_no_failure():
    good = {"fault": "a", "injected": 1, "survived": True, "equal": True, "extra_s": 10.0, "at_most_s": 40.0}
    results = [
        Result(seed=0, **good),
        Result(seed=1, **good | {"extra_s": 50.0}),
        Result(seed=2, fault="a", injected=1, lost=3, equal=False, notes=("did not finish",)),
        Result(seed=0, fault="b", not_possible="mount: permission denied"),
    ]
    assert [each.good for each in results] == [True, True, False, False]
    a, b, c = summarise(["a", "b", "c"], results)
    assert (a["runs"], a["injected"], a["survived"], a["lost"], a["equal"]) == ("3", "3", "2/3", "3", "2/3")
    assert (a["extra wall time"], a["start and phase"], a["within it"]) == ("+30 s", "40 s", "1/2")
    assert a["notes"] == "seed 2: did not finish"
    assert (b["runs"], b["survived"], b["notes"]) == ("0", "0/0", "not possible here: mount: permission denied")
    assert c["runs"] == "0"


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_finished_is_not_run_again(lost, tmp_path, monkeypatch, capsys):
    """Without its result the command would start with two undisturbed runs."""
    write_result(tmp_path, Result(fault="two drivers x 50", seed=0, injected=50, survived=True, equal=True, lost=lost))
    monkeypatch.setattr(sys, "argv", ["chaos", "--out", str(tmp_path), "--only", "two drivers x", "--seeds", "2"])
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        assert main() == lost
    finally:
        signal.signal(signal.SIGTERM, on_terminate)
    assert "1 of them done" in capsys.readouterr().out
    assert not (tmp_path / "undisturbed-1").exists()
    assert f"| two drivers x 50 | 1 | 50 | 1/1 | {lost} |" in (tmp_path / "chaos.md").read_text()


def test_a_shared_run_that_came_out_wrong_stands_in_the_table_and_in_the_exit_status(tmp_path, monkeypatch):
    """Also where each of its faults came out well in a run of its own."""
    write_result(tmp_path, Result(fault="two drivers x 50", seed=0, injected=50, survived=True, equal=True))
    monkeypatch.setattr(sys, "argv", ["chaos", "--out", str(tmp_path), "--only", "two drivers x"])
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        assert main() == 0
        write_result(tmp_path, Result(fault=f"{TOGETHER}a fault", seed=0, injected=12, notes=("differs: counts",)))
        assert main() == 1
    finally:
        signal.signal(signal.SIGTERM, on_terminate)
    assert f"| {TOGETHER}a fault | 1 | 12 | 0/1 |" in (tmp_path / "chaos.md").read_text()


def test_files_that_were_cut_are_set_aside_and_named_and_no_other(tmp_path):
    scenes = write_cut_scenes(tmp_path / "cut", seed=0, files=40, share=0.05)
    config = CorpusConfig(kind="geotiff", name="cut", tiles=scenes.folder, data_dir=tmp_path / "data")
    prepared = prepare_corpus(config, HCOT, run_seed=0)
    assert len(scenes.cut) == 2
    assert prepared.quarantined == 2
    assert {record.path for record in Quarantine(prepared.corpus_dir).read()} == scenes.cut
    assert set(prepared.tiles["tile_id"].to_pylist()) == scenes.tile_ids
    assert len(scenes.tile_ids) == 38


def test_a_small_file_system_is_filled_to_the_last_byte_and_let_go(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if (refused := mount(small, 2**21)) is not None:
        pytest.skip(refused)
    try:
        filler = Filler(small / "filler")
        for left in (2**18, 2**14):
            filler.leave(left)
            assert free_bytes(small) == left
        filler.fill()
        with pytest.raises(OSError, match="No space left"):
            (small / "more").write_bytes(b"x")
        (small / "more").unlink(missing_ok=True)
        filler.let_go()
        (small / "more").write_bytes(bytes(2**20))
    finally:
        unmount(small)


def test_an_error_of_a_full_disk_says_where_what_and_how_to_go_on(tmp_path):
    good = f"Error: {tmp_path}/status.json: No space left on device. Make room, then `knowlip resume {tmp_path}`."
    assert said_of_full_disk(1, good, tmp_path) == []
    # That the run directory is named, as at every start, says nothing of what did not fit.
    [wrong] = said_of_full_disk(1, f"run directory {tmp_path}/annotations {good}", tmp_path / "annotations")
    assert "does not name" in wrong
    assert len(said_of_full_disk(0, "Traceback ...", tmp_path)) == 5


def test_the_comparison_of_two_mlflow_runs_counts_points(tmp_path):
    MlflowClient(tracking_uri(tmp_path)).search_experiments()  # makes its tables, which takes a while, so once

    def write(run_dir, steps, scale=1.0):
        run_dir.mkdir(parents=True)
        shutil.copy(tmp_path / "mlflow.db", run_dir)
        tracker = tracker_in(run_dir, "e", "run")
        tracker.start({})
        with tracker.round(1) as child:
            tracker.log_losses(child, [{"step": step, "itc": scale / (1 + step)} for step in steps])
        tracker.finish("finished")
        return tracked(MlflowClient(tracking_uri(run_dir)), "run")

    one, same, less = (
        write(tmp_path / name / "run", steps) for name, steps in (("a", range(3)), ("b", range(3)), ("c", range(2)))
    )
    assert differences(same, one) == []
    assert differences(less, one) == [
        "detail/loss/itc of 1: 1 points missing, 0 too many",
        "detail/loss/itc of parent: 1 points missing, 0 too many",
    ]
    nearly, other = (write(tmp_path / str(scale) / "run", range(3), scale) for scale in (1.00001, 1.01))
    assert differences(nearly, one) == []
    assert differences(other, one) == [
        "detail/loss/itc of 1 has other values",
        "detail/loss/itc of parent has other values",
    ]
    assert "0 parent runs instead of one" in differences(tracked(MlflowClient(tracking_uri(tmp_path)), "run"), one)


def test_the_digest_of_a_run_directory_sees_any_change_but_the_lease(tmp_path):
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / "0001.json").write_text("a")
    before = digest(tmp_path)
    (tmp_path / "lease.json").write_text("renewed")
    assert digest(tmp_path) == before
    (tmp_path / "rounds" / "0001.json").write_text("b")
    assert digest(tmp_path) != before
