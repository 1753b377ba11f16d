"""Tiles are compared with their recorded hashes, and folders that nobody touched are passed over."""

import os
from collections import Counter

import pytest

from corpus.integrity import CHECKED, check_tile, check_tiles
from corpus.simulate.config import SceneConfig
from corpus.simulate.write import simulate_corpus
from corpus.tiles import CorpusError, Tile, path_of, read_tiles, write_tiles


@pytest.fixture
def corpus(tmp_path):
    simulate_corpus(SceneConfig(tiles=12, cities=3), tmp_path / "made", workers=1)
    return tmp_path / "made" / "corpus"


@pytest.fixture
def tile(corpus):
    """One of its tiles: id, file and recorded hash."""
    row = read_tiles(corpus).to_pylist()[0]
    return row["tile_id"], corpus / row["path"], row["sha256"]


def reasons(corpus, **settings) -> list[str]:
    return [problem.reason for problem in check_tiles(corpus, **settings)]


def test_120_000_tiles_lie_in_folders_of_a_few_hundred():
    folders = Counter(path_of(f"city_{number:05d}").rsplit("/", 1)[0] for number in range(120_000))
    assert len(folders) == 256
    assert max(folders.values()) < 600


def test_a_folder_that_nobody_touched_is_not_read_again(corpus, tile):
    tile_id, path, recorded = tile
    assert reasons(corpus, touched_only=True) == []
    about, content = path.stat(), path.read_bytes()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert reasons(corpus, touched_only=True) == [], "size and time say that nobody touched it"
    assert reasons(corpus) == ["changed"]
    with pytest.raises(CorpusError, match="has changed since it was recorded"):
        check_tile(tile_id, path, recorded)


def test_a_tile_that_was_changed_is_found(corpus, tile):
    _, path, _ = tile
    assert reasons(corpus, touched_only=True) == []
    path.write_bytes(path.read_bytes()[::-1])
    assert reasons(corpus, touched_only=True) == reasons(corpus, touched_only=True) == ["changed"]


def test_a_tile_that_is_gone_or_put_back_is_noticed(corpus, tile):
    _, path, _ = tile
    assert reasons(corpus, touched_only=True) == []
    path.rename(path.with_suffix(".away"))
    assert reasons(corpus, touched_only=True) == reasons(corpus, touched_only=True) == ["missing"]
    path.with_suffix(".away").rename(path)
    assert reasons(corpus, touched_only=True) == []


def test_another_list_of_tiles_is_compared_again(corpus, tile):
    assert reasons(corpus, touched_only=True) == []
    rows = [Tile.model_validate(row) for row in read_tiles(corpus).to_pylist()]
    write_tiles(corpus, [rows[0].model_copy(update={"sha256": "0" * 64}), *rows[1:]])
    assert reasons(corpus, touched_only=True) == ["changed"]


@pytest.mark.parametrize("content", ["no json", "[]", '{"tiles/00": 7}'])
def test_what_was_remembered_and_cannot_be_used_costs_a_reading_and_no_more(corpus, content):
    (corpus / CHECKED).write_text(content)
    assert reasons(corpus, touched_only=True) == []


def test_where_nothing_can_be_remembered_all_is_read(corpus, tile):
    _, path, _ = tile
    (corpus / CHECKED).mkdir()
    assert reasons(corpus, touched_only=True) == []
    about, content = path.stat(), path.read_bytes()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert reasons(corpus, touched_only=True) == ["changed"]
