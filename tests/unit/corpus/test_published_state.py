"""Folders in a store: published whole or not at all, fenced by a token, restored as they were."""

import os
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from corpus.storage.lock import LeaseLost
from corpus.storage.objects import StoreAway
from corpus.storage.published import HEAD, OBJECTS, Folder, Published
from corpus.storage.snapshot import list_folder
from corpus.storage.stores import open_store
from corpus.storage.trees import StoreDamaged
from corpus.storage.writer import UNGUARDED


def driver(s3, token: int | None = None, prefix: str = "a", patience_s: float = 10.0) -> Published:
    """A driver that has taken the lease with a token, or a reader."""
    published = Published(open_store(s3.uri(prefix), patience_s))
    if token is None:
        published.read()
    else:
        published.fence(token, "a-1")
    return published


def content(root: Path) -> dict[str, bytes]:
    return {path: (root / path).read_bytes() for path in list_folder(root)}


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        UNGUARDED.write_text(root / name.replace("__", "/"), text)
    return root


def publish(published: Published, root: Path, everything: bool = True) -> bool:
    return published.publish({"run": Folder(root)}, None, everything)


def test_what_is_published_is_restored_into_an_empty_folder(s3, tmp_path):
    root = write(tmp_path / "run", config="c", rounds__1="r", weights__round__a="w")
    ours = driver(s3, 1)
    assert publish(ours, root)
    reader = driver(s3)
    assert reader.restore("run", tmp_path / "there") > 0
    assert content(tmp_path / "there") == content(root)
    assert reader.restore("run", tmp_path / "there") == 0  # nothing is downloaded twice


def test_nothing_new_writes_nothing(s3, tmp_path):
    root, ours = write(tmp_path / "run", config="c"), driver(s3, 1)
    publish(ours, root)
    before = s3.keys("a")
    assert not publish(ours, root)
    assert s3.keys("a") == before


def test_a_folder_is_made_what_is_published_whatever_it_held(s3, tmp_path):
    root, ours = write(tmp_path / "run", rounds__1="r", weights__1__a="w"), driver(s3, 1)
    publish(ours, root)
    there = write(tmp_path / "there", rounds__1="changed", rounds__2="later", weights__2__a="later", data__kept="k")
    driver(s3).restore("run", there, keep=lambda path: path == "data")
    assert content(there) == {**content(root), "data/kept": b"k"}
    assert not (there / "weights" / "2").exists()


def test_files_that_are_gone_leave_the_store_and_equal_ones_are_stored_once(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="same", b="same", c="other"), driver(s3, 1)
    publish(ours, root)
    assert len([key for key in s3.keys("a") if key.startswith(OBJECTS)]) == 3  # two contents and the tree
    (root / "c").unlink()
    publish(ours, root)
    objects = [key for key in s3.keys("a") if key.startswith(OBJECTS)]
    assert len(objects) == 2
    driver(s3).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"same", "b": b"same"}


def test_a_file_that_comes_back_is_stored_again(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1", b="2"), driver(s3, 1)
    publish(ours, root)
    (root / "a").rename(tmp_path / "aside")
    publish(ours, root)
    (tmp_path / "aside").rename(root / "a")
    publish(ours, root)
    driver(s3).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"1", "b": b"2"}


def test_a_driver_with_an_older_token_publishes_nothing_and_removes_nothing(s3, tmp_path):
    old_root, new_root = write(tmp_path / "old", a="1"), write(tmp_path / "new", a="1")
    old = driver(s3, 1)
    publish(old, old_root)
    new = driver(s3, 2)
    publish(new, write(new_root, b="2"))
    with pytest.raises(LeaseLost):
        publish(old, write(old_root, c="3"))
    with pytest.raises(LeaseLost):
        driver(s3, 1)
    driver(s3).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"1", "b": b"2"}


def test_what_a_driver_left_that_was_killed_before_its_head_is_swept_by_the_next(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1)
    publish(ours, root)
    ours.store.put("objects/1-3/" + "0" * 64, b"never named")
    s3.begin_upload("a", "objects/1-3/" + "1" * 64)
    following = driver(s3, 2)
    following.sweep()
    assert not s3.unfinished_uploads()
    assert [key for key in s3.keys("a") if "0" * 64 in key] == []
    following.restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"1"}


def test_while_the_store_is_away_the_state_of_before_stands_and_then_the_new_one(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1, patience_s=0.3)
    publish(ours, root)
    s3.proxy.go_away()
    with pytest.raises(StoreAway, match="What the run had published before is whole"):
        publish(ours, write(root, b="2"))
    s3.proxy.return_()
    driver(s3).restore("run", tmp_path / "before")
    assert content(tmp_path / "before") == {"a": b"1"}
    assert publish(ours, root)
    driver(s3).restore("run", tmp_path / "after")
    assert content(tmp_path / "after") == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("after_bytes", [2_000, 100_000, 250_000])
def test_a_connection_that_is_cut_anywhere_leaves_a_whole_state(s3, tmp_path, after_bytes):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1, patience_s=0.0)
    publish(ours, root)
    s3.proxy.uploaded, s3.proxy.bytes_per_s = 0, 1e6

    def cut() -> None:
        while s3.proxy.uploaded < after_bytes:
            time.sleep(0.002)
        s3.proxy.go_away()

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(StoreAway):
        publish(ours, write(root, b="2" * 100_000, c="3" * 200_000))
    thread.join()
    s3.proxy.return_()
    driver(s3).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"1"}
    publish(ours, root)
    driver(s3, 2).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == content(root)


def test_a_head_that_was_written_although_the_answer_was_lost_is_gone_on_from(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1)
    publish(ours, root)
    etag = ours._etag
    publish(ours, write(root, b="2"))
    ours._etag = etag  # as where the answer to the last write never came
    assert publish(ours, write(root, c="3"))
    driver(s3).restore("run", tmp_path / "there")
    assert content(tmp_path / "there") == {"a": b"1", "b": b"2", "c": b"3"}


def test_an_object_that_was_changed_is_not_taken(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1)
    publish(ours, root)
    s3.overwrite("a", ours.trees["run"]["a"].key, b"other")
    with pytest.raises(StoreDamaged, match="is not what was published"):
        driver(s3).restore("run", tmp_path / "there")
    assert not (tmp_path / "there" / "a").exists()


def test_a_head_of_another_version_is_refused_by_name(s3):
    s3.overwrite("a", HEAD, b'{"format": 9, "token": 1, "version": 1, "at": 0, "name": "a"}')
    with pytest.raises(StoreDamaged, match="another version of knowlip"):
        driver(s3)


def test_a_tree_that_names_a_path_outside_is_refused(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1)
    publish(ours, root)
    ours.trees["run"] = {"../a": ours.trees["run"]["a"]}
    assert ours._name_in_head({"run": {"../../a": ours.trees["run"]["../a"]}}, None)
    with pytest.raises(StoreDamaged, match="leads elsewhere"):
        driver(s3)


def test_replaced_files_are_published_with_everything_alone(s3, tmp_path):
    root, ours = write(tmp_path / "run", logs__a="1", a="1"), driver(s3, 1)
    publish(ours, root)
    write(root, logs__a="2")
    assert not publish(ours, root, everything=False)
    assert publish(ours, root)


def test_a_database_is_published_between_two_transactions(s3, tmp_path):
    root, ours = write(tmp_path / "run", a="1"), driver(s3, 1)
    with sqlite3.connect(root / "box.db") as db:
        db.execute("CREATE TABLE t (n)")
        db.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    writing = sqlite3.connect(root / "box.db", isolation_level=None)
    writing.execute("BEGIN")
    writing.execute("DELETE FROM t")
    publish(ours, root)
    writing.execute("ROLLBACK")
    driver(s3).restore("run", tmp_path / "there")
    with sqlite3.connect(tmp_path / "there" / "box.db") as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (1000,)


def test_a_listing_is_of_one_moment_while_folders_come_and_go(tmp_path):
    """A writer swaps folders of two files, as checkpoints are; none is ever listed in part."""
    over = threading.Event()

    def swap() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with UNGUARDED.place(tmp_path / f"step-{number}") as partial:
                write(partial, state__a="1", manifest="m")
            if number > 2:
                gone = tmp_path / f".step-{number - 2}"
                os.rename(tmp_path / f"step-{number - 2}", gone)
                shutil.rmtree(gone)
            time.sleep(0.05)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(30):
            found = list_folder(tmp_path)
            steps = {path.partition("/")[0] for path in found}
            assert set(found) == {f"{step}/{name}" for step in steps for name in ("manifest", "state/a")}
    finally:
        over.set()
        thread.join()
