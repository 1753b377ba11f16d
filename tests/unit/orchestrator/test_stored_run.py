"""A run in a store: another machine goes on with it from its URI alone; of two drivers one publishes."""

import json
import threading
import time
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from corpus.annotations import AnnotationStore
from corpus.plugins import load_plugins
from corpus.storage.config import StorageConfig
from corpus.storage.errors import Interrupted
from corpus.storage.lock import LeaseLost
from corpus.storage.objects import StoreAway, StoreUri
from corpus.storage.stores import STORES
from orchestrator.config.load import differing_keys, load_config
from orchestrator.data.inputs import CorpusInputs, read_inputs
from orchestrator.data.prepare import open_again
from orchestrator.report import stored_status
from orchestrator.run.restored import fetch_run
from orchestrator.run.stored import StoredRun
from orchestrator.state.lease import LeaseHeld, LeaseKeeper
from orchestrator.state.records import read_records, write_record
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from orchestrator.state.run_end import read_end, write_end
from support.machine import Machine
from support.made_once import made_once
from support.made_run import make_run
from support.plugins import forgotten_afterwards
from support.records import record
from support.unguarded import unguarded


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "stored", lambda folder: make_run(folder, tiles=8))


def test_another_machine_has_the_run_and_its_corpus_from_the_uri_alone(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    with first.driving():
        pass
    with second.stored():
        assert second.published() == first.published()
        directory, config = RunDirectory.open(second.folder)
        assert config.corpus.data_dir == second.folder / "data"
        inputs = read_inputs(directory.path)
        prepared = open_again(inputs.corpus_dir, config.corpus, config.annotation_schema, inputs.scenes)
        assert inputs.changes(CorpusInputs.of(prepared)) == []
        assert prepared.truth_dir is not None
        store, run_id = AnnotationStore(directory.annotations), directory.run_id
        assert [store.version_of(run_id, round_) for round_ in range(3)] == [0, 1, 2]
        assert store.read(2).equals(AnnotationStore(made / "run" / "annotations").read(2))
        assert (directory.config.stat().st_mode & 0o777) == 0o600


def test_a_run_keeps_the_name_of_its_folder_on_every_machine(s3, made, tmp_path, monkeypatch):
    first, second = Machine(s3, tmp_path / "1", made), tmp_path / "2"
    first.folder = first.folder.with_name("cities")
    with first.driving():
        pass
    second.mkdir()
    monkeypatch.chdir(second)
    with StoredRun(first.settings, None, Console(quiet=True)) as stored:
        assert stored.folder == second / "runs" / "cities"
    with pytest.raises(RunDirectoryError, match="called cities, and not other"):
        StoredRun(first.settings, second / "other", Console(quiet=True)).__enter__()


def test_a_driver_that_is_killed_leaves_what_it_had_published(s3, made, tmp_path):
    """Nothing ends the first one: its lease runs out."""
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    killed = first.begin()
    before = first.published()
    killed._end.set()
    killed._lease._stop.set()
    (first.folder / "rounds" / "0003.json").write_text("never published")
    with pytest.raises(LeaseHeld):
        second.stored().__enter__()
    time.sleep(1.1)
    with second.stored(lasts_s=0.5):
        pass  # an owner on this host that lives is not given up by its process
    assert second.published() == before


def test_new_files_are_published_in_the_background(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving() as stored:
        (first.folder / "checkpoints" / "trainer").mkdir(parents=True)
        with stored.changing():
            (first.folder / "checkpoints" / "trainer" / "step").write_text("state")
        deadline = time.monotonic() + 10
        while "checkpoints/trainer/step" not in stored._published.trees["run"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "checkpoints/trainer/step" in stored._published.trees["run"]


def test_a_second_driver_is_refused_and_changes_nothing(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    with first.driving():
        before = s3.keys("runs/a")
        with pytest.raises(LeaseHeld):
            second.stored().__enter__()
        assert {**s3.keys("runs/a"), "lease.json": 0} == {**before, "lease.json": 0}
        assert not second.folder.exists()


def test_a_driver_that_was_paused_publishes_nothing_and_its_writers_stop(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    paused = first.begin()
    keeper = LeaseKeeper(directory := RunDirectory(first.folder))
    keeper.acquire()
    paused._end.set()
    paused._lease._stop.set()
    paused._lease._thread.join()
    with second.stored(lasts_s=0.0) as new:
        new.begin(second.settings, 5)
        write_record(unguarded(second.folder), record(3, run_id="made"))
        paused._lease._stop.clear()
        paused._lease._lasts_s = 0.1
        paused._lease._renew()  # as it wakes up
        with pytest.raises(LeaseLost):
            write_record(directory, record(3, run_id="made"))
        with pytest.raises(LeaseLost):
            paused.publish()
    paused.__exit__(None, None, None)
    keeper.release()
    fetch_run(second.settings.place, tmp_path / "copy")
    assert len(read_records(tmp_path / "copy")) == 3


def test_the_same_machine_goes_on_with_what_it_had_not_published_yet(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving():
        pass
    (first.folder / "labels").mkdir()
    (first.folder / "labels" / "shard").write_text("made after the last publication")
    with first.stored():
        assert (first.folder / "labels" / "shard").exists()


def test_a_machine_that_others_have_overtaken_gets_their_state(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    with first.driving():
        pass
    with second.stored() as stored:
        stored.begin(second.settings, 5)
        write_record(unguarded(second.folder), record(3, run_id="made"))
    (first.folder / "labels").mkdir()
    (first.folder / "labels" / "shard").write_text("of a life that is over")
    with first.stored():
        assert first.published() == second.published()


def test_a_restore_that_was_killed_is_made_again(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    with first.driving():
        pass
    with second.stored():
        pass
    copy = second.folder.with_name(f".{second.folder.name}.stored.json")
    copy.write_text(json.dumps(json.loads(copy.read_text()) | {"whole": False}))
    (second.folder / "rounds" / "0001.json").unlink()
    with second.stored():
        assert second.published() == first.published()


def test_a_folder_of_something_else_is_not_touched(s3, made, tmp_path):
    first, second = Machine(s3, tmp_path / "1", made), Machine(s3, tmp_path / "2")
    with first.driving():
        pass
    second.folder.mkdir(parents=True)
    (second.folder / "mine").write_text("mine")
    with pytest.raises(RunDirectoryError, match="no working folder of s3://"):
        second.stored().__enter__()
    assert (second.folder / "mine").read_text() == "mine"
    with first.stored():  # the lease was given back
        pass


def test_a_store_that_was_emptied_does_not_empty_the_folder(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving() as stored:
        pass
    stored.store.remove(list(stored.store.keys("")))
    with pytest.raises(RunDirectoryError, match="is empty"):
        first.stored().__enter__()
    assert (first.folder / "rounds" / "0001.json").exists()


def test_a_store_that_is_away_for_a_while_delays_a_round_and_no_more(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving() as stored:
        write_record(unguarded(first.folder), record(3, run_id="made"))
        s3.proxy.go_away()
        threading.Timer(1.0, s3.proxy.return_).start()
        stored.publish()
        assert "rounds/0003.json" in stored._published.trees["run"]


def test_a_store_that_stays_away_ends_the_driver_with_what_to_do(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    first.settings = first.settings.model_copy(update={"give_up_after_s": 0.4})
    with pytest.raises(StoreAway, match=r"storage\.give_up_after_s.*knowlip resume s3://"), first.driving() as stored:
        write_record(unguarded(first.folder), record(3, run_id="made"))
        s3.proxy.go_away()
        stored.publish()
    s3.proxy.return_()
    fetch_run(first.settings.place, tmp_path / "copy")
    assert len(read_records(tmp_path / "copy")) == 2
    with first.stored(lasts_s=0.0):  # and the machine itself goes on with the round that it has
        assert len(read_records(first.folder)) == 3


def test_an_interrupted_driver_publishes_its_end(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    with pytest.raises(Interrupted), first.driving():
        write_end(unguarded(first.folder), KeyboardInterrupt())
        raise Interrupted
    fetch_run(first.settings.place, tmp_path / "copy")
    assert (found := read_end(tmp_path / "copy")) is not None
    assert found.status == "interrupted"
    with first.stored():  # its lease was given back
        pass


def test_an_interrupted_driver_waits_for_a_store_that_is_away_no_longer_than_its_grace(s3, made, tmp_path):
    first = Machine(s3, tmp_path / "1", made)
    begun = time.monotonic()
    with pytest.raises(Interrupted), first.driving() as stored:
        stored.grace_s = 0.3
        stored.store.patience_s = 60
        s3.proxy.go_away()
        write_end(unguarded(first.folder), KeyboardInterrupt())
        begun = time.monotonic()
        raise Interrupted
    assert time.monotonic() - begun < 20


def test_a_store_from_outside_holds_a_run(made, tmp_path):
    """The worked example of CONTRIBUTING.md."""
    with forgotten_afterwards("support.toy_store", STORES) as module:
        load_plugins([module])
        uri = StoreUri.parse("memory://bucket/runs/a")
        first, second = Machine(uri, tmp_path / "1", made), Machine(uri, tmp_path / "2")
        with first.driving(), pytest.raises(LeaseHeld):
            second.stored().__enter__()
        with second.stored():
            assert second.published() == first.published()


@pytest.mark.parametrize(
    "given", ["", "storage: null\n", "storage: s3://bucket/a\n", "storage: {uri: s3://bucket/a}\n"]
)
def test_keys_of_the_storage_can_be_set_however_its_place_is_given(tmp_path, given):
    path = tmp_path / "run.yaml"
    path.write_text(given)
    config = load_config(path, ["storage=s3://bucket/b", "storage.publish_every_s=2", "storage.uri=s3://bucket/c"])
    assert config.storage == StorageConfig(uri="s3://bucket/c", publish_every_s=2)
    assert load_config(path).storage == (StorageConfig(uri="s3://bucket/a") if "bucket" in given else None)


def test_configurations_of_two_machines_are_the_same_but_for_where_things_lie(made, tmp_path):
    config = RunDirectory.open(made / "run")[1]
    moved = config.model_copy(
        update={
            "corpus": config.corpus.model_copy(update={"data_dir": tmp_path}),
            "storage": StorageConfig(uri="s3://bucket/a"),
        }
    )
    assert differing_keys(config, moved) == []
    assert differing_keys(config, config.model_copy(update={"rounds": 9})) == ["rounds"]


def test_status_of_a_stored_run_reads_its_small_files_alone(s3, made, tmp_path, call):
    first = Machine(s3, tmp_path / "1", made)
    uri = str(first.settings.place)
    with first.driving():
        code, said, _ = call("status", uri, "--json")
        assert code == 0
        found = json.loads(said)
        assert (found["run_dir"], found["recorded"], found["rounds"]) == (uri, 2, 2)
        assert found["resume"] is None  # a driver works
        assert found["weights"] == f"{uri}: weights/round-0002"
    code, said, _ = call("status", uri)
    assert code == 0
    assert f"knowlip resume {uri}" in said
    assert "knowlip-status-" not in said  # a folder that is gone


def test_a_status_whose_store_is_away_says_to_ask_again_later(s3, made, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_status, "_PATIENCE_S", 0.3)
    s3.proxy.go_away()
    with pytest.raises(StoreAway, match=r"asked for 0 s\. When it answers again: knowlip status s3://") as told:
        stored_status.stored_status(s3.uri("a"))
    assert "give_up_after_s" not in str(told.value)


def test_a_stored_run_is_fetched_and_every_command_reads_the_copy(s3, made, tmp_path, call):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving():
        pass
    uri = str(first.settings.place)
    assert call("fetch", uri, tmp_path / "copy")[0] == 0
    assert call("report", tmp_path / "copy", "--json")[0] == 0
    content = yaml.safe_load((tmp_path / "copy" / "config.yaml").read_text())
    assert content["storage"]["uri"] == uri
    code, _, said = call("fetch", uri, tmp_path / "copy")
    assert code == 2
    assert "not empty" in said


def test_run_and_resume_with_the_uri_of_a_finished_run_find_it_finished(s3, made, tmp_path, call, monkeypatch):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving():
        pass
    uri = str(first.settings.place)
    (tmp_path / "2").mkdir()
    monkeypatch.chdir(tmp_path / "2")
    again = ["run", made / "run" / "config.yaml", "--run-dir", uri]
    for arguments in (["resume", uri], again, ["resume", f"runs/{first.folder.name}"]):
        code, said, error = call(*arguments)
        assert (code, error) == (0, "")
        assert "All 2 rounds of" in said
    assert (tmp_path / "2" / "runs" / first.folder.name / "rounds" / "0002.json").exists()


def test_a_run_of_another_configuration_is_refused_by_the_keys_that_differ(s3, made, tmp_path, call, monkeypatch):
    first = Machine(s3, tmp_path / "1", made)
    with first.driving():
        pass
    monkeypatch.chdir(tmp_path)
    uri = str(first.settings.place)
    code, _, said = call("run", made / "run" / "config.yaml", "--set", f"storage={uri}", "--set", "rounds=9")
    assert code == 2
    assert "another configuration (rounds)" in said
    assert f"knowlip resume {uri}" in said


def test_an_unknown_kind_of_store_is_refused_with_those_there_are(call):
    code, _, said = call("resume", "s4://bucket/a")
    assert code == 2
    assert "no kind of storage 's4'; registered: s3" in said


@pytest.mark.parametrize("arguments", [["report"], ["gallery"], ["logs"], ["history"], ["review"], ["compare"]])
def test_a_command_that_reads_no_store_says_what_does(call, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = {"history": ["tile"], "compare": ["s3://bucket/b"]}.get(arguments[0], [])
    code, _, said = call(*arguments, "s3://bucket/a", *more)
    assert code == 2
    assert "`knowlip fetch URI DIR`" in said
    assert list(tmp_path.iterdir()) == []


def test_resuming_where_nothing_is_published_says_so_and_writes_nothing(s3, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, said = call("resume", str(s3.uri("runs/none")))
    assert code == 2
    assert "holds no run" in said
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_a_uri_is_refused_and_never_printed(call):
    code, said, error = call("resume", "s3://me:secret@bucket/a")
    assert code == 2
    assert "no user and no password" in error
    assert "secret" not in said + error
