"""Stores of objects: URIs, conditions of writes, and a store that is away, slow or wrong."""

import threading
import time

import boto3
import pytest

from corpus.storage.config import StorageConfig
from corpus.storage.objects import (
    Conflict,
    ObjectStore,
    Patient,
    StoreAway,
    StoreRefused,
    StoreUri,
    StoreUriError,
    is_uri,
    put_mine,
)
from corpus.storage.s3 import S3Store
from corpus.storage.stores import STORES


def opened(s3, prefix: str = "runs/a") -> ObjectStore:
    return STORES.find("s3")(s3.uri(prefix))


def test_a_uri_is_read_and_written_as_it_is():
    uri = StoreUri.parse("s3://bucket-1/team/cities/")
    assert (uri.scheme, uri.bucket, uri.prefix, uri.name) == ("s3", "bucket-1", "team/cities", "cities")
    assert str(uri) == "s3://bucket-1/team/cities"


@pytest.mark.parametrize(
    "text", ["s3://bucket", "s3://bucket/", "s3:/bucket/a", "s3://b/../c", "s3://bucket/a?b=c", "a/b"]
)
def test_what_names_no_place_is_refused(text):
    with pytest.raises(StoreUriError):
        StoreUri.parse(text)


def test_a_uri_with_a_password_is_refused_and_not_repeated():
    with pytest.raises(StoreUriError, match="no user and no password") as refused:
        StoreUri.parse("s3://me:secret@bucket/a")
    assert "secret" not in str(refused.value)


def test_paths_are_no_uris():
    assert [is_uri(each) for each in ("s3://b/a", "s3:/b/a", "runs/latest", "/runs/a", "C:/a")] == [
        *(True, True, False, False, False)
    ]


def test_a_configuration_takes_the_uri_alone():
    config = StorageConfig.model_validate("s3://bucket/a")
    assert config == StorageConfig(uri="s3://bucket/a")
    with pytest.raises(ValueError, match="gopher"):
        StorageConfig.model_validate("gopher://bucket/a")


def test_an_object_is_written_only_if_it_is_what_was_said(s3):
    store = opened(s3)
    first = store.put_if("head", b"1", None)
    with pytest.raises(Conflict):
        store.put_if("head", b"2", None)
    second = store.put_if("head", b"2", first)
    with pytest.raises(Conflict):
        store.put_if("head", b"3", first)
    with pytest.raises(Conflict):
        store.put_if("nothing", b"3", first)
    found = store.get("head")
    assert found is not None
    assert (found.body, found.etag) == (b"2", second)
    assert found.age_s is not None
    assert 0 <= found.age_s < 60
    assert store.get("nothing") is None


def test_of_writers_that_race_one_wins(s3):
    store, won, began = opened(s3), [], threading.Barrier(8)

    def race(number: int) -> None:
        began.wait()
        try:
            store.put_if("lease", str(number).encode(), None)
            won.append(number)
        except Conflict:
            pass

    threads = [threading.Thread(target=race, args=[number]) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = store.get("lease")
    assert found is not None
    assert [found.body] == [str(number).encode() for number in won]


def test_a_write_that_seemed_to_fail_is_known_again_as_our_own(s3):
    store = opened(s3)
    etag = store.put_if("head", b"ours", None)
    assert put_mine(store, "head", b"ours", None) == etag
    with pytest.raises(Conflict):
        put_mine(store, "head", b"another", None)


def test_files_go_and_come_back_and_are_listed_and_removed(s3, tmp_path):
    store = opened(s3)
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    store.upload("objects/1-1/a", tmp_path / "a")
    store.put("objects/1-1/b", b"y")
    store.put("head.json", b"z")
    opened(s3, "runs/another").put("objects/c", b"other")
    assert sorted(store.keys("objects/")) == ["objects/1-1/a", "objects/1-1/b"]
    assert store.download("objects/1-1/a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"x" * 100_000
    assert not store.download("objects/nothing", tmp_path / "nothing")
    store.remove(["objects/1-1/a", "objects/nothing"])
    assert sorted(store.keys("objects/")) == ["objects/1-1/b"]


def test_uploads_in_parts_that_were_killed_are_removed(s3):
    s3.begin_upload("runs/a", "objects/1-1/large")
    s3.begin_upload("runs/b", "objects/1-1/large")
    opened(s3).remove_unfinished("objects/")
    assert s3.unfinished_uploads() == ["runs/b/objects/1-1/large"]


def test_a_store_that_is_away_is_asked_until_it_returns(s3):
    store = Patient(opened(s3), patience_s=30)
    s3.proxy.go_away()
    threading.Timer(1.0, s3.proxy.return_).start()
    begun = time.monotonic()
    store.put("a", b"1")
    assert 0.9 < time.monotonic() - begun < 10
    assert list(store.keys("")) == ["a"]


def test_a_store_that_stays_away_is_given_up_with_what_to_do(s3):
    store = Patient(opened(s3), patience_s=0.5)
    s3.proxy.go_away()
    begun = time.monotonic()
    with pytest.raises(StoreAway, match=r"does not answer.*knowlip resume s3://bucket-[0-9a-f]+/runs/a"):
        store.put("a", b"1")
    assert time.monotonic() - begun < 5


def test_a_store_that_says_nothing_is_away(s3, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    store = S3Store(s3.uri("runs/a"), read_s=0.3)
    s3.proxy.bytes_per_s = 1e5
    with pytest.raises(StoreAway):
        store.upload("a", tmp_path / "a")


def test_a_slow_store_is_waited_for(s3, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 500_000)
    s3.proxy.bytes_per_s = 1e6
    store = opened(s3)
    store.upload("a", tmp_path / "a")
    assert store.download("a", tmp_path / "back")
    assert (tmp_path / "back").stat().st_size == 500_000


def test_a_bucket_that_is_not_there_is_refused_at_once(s3):
    with pytest.raises(StoreRefused, match="There is no bucket elsewhere"):
        Patient(STORES.find("s3")(StoreUri("s3", "elsewhere", "a")), patience_s=60).put("a", b"")


def test_a_store_without_credentials_is_refused_with_what_to_set(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it knows the credentials of earlier tests
    with pytest.raises(StoreRefused, match="AWS_ACCESS_KEY_ID"):
        opened(s3).get("a")
