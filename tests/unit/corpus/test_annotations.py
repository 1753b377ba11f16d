"""Annotation versions: one commit a round, exactly once, readable for ever; and the digest of their content."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus.annotations
from corpus.annotation_blocks import AnnotationBlocks
from corpus.annotation_rows import ANNOTATION_SCHEMA, AnnotationError, canonical
from corpus.annotations import AnnotationStore, ConcurrentCommitError
from corpus.digest import DIGEST_COLUMNS, AnnotationDigest, annotation_digest
from support.annotations import CLAUSES, annotations


@pytest.fixture
def store(tmp_path):
    return AnnotationStore(tmp_path / "annotations")


def test_every_round_can_be_read_again(store):
    assert store.version() is None
    assert store.history() == []
    assert store.version_of("run", 0) is None
    for round_, value in enumerate(("plain", "hills", "coast")):
        assert store.commit(annotations(value=value, round_=round_), run_id="run", round_=round_) == round_
    for round_, value in enumerate(("plain", "hills", "coast")):
        table = store.read(store.version_of("run", round_))
        assert table.schema.equals(ANNOTATION_SCHEMA)
        assert set(table["value"].to_pylist()) == {value}
        assert set(table["round"].to_pylist()) == {round_}
    assert store.read().equals(store.read(2))
    assert store.version() == 2
    assert [(commit.version, commit.run_id, commit.round_, commit.rows) for commit in store.history()] == [
        (0, "run", 0, 9),
        (1, "run", 1, 9),
        (2, "run", 2, 9),
    ]


def test_rows_come_back_by_tile_then_in_the_clause_order_committed(store):
    store.commit(annotations().sort_by([("clause", "descending"), ("tile_id", "descending")]), run_id="r", round_=0)
    assert store.read()["clause"].to_pylist()[:3] == sorted(CLAUSES, reverse=True)
    store.commit(annotations(), run_id="r", round_=1)
    table = store.read()
    assert table["tile_id"].to_pylist() == [tile for tile in "abc" for _ in CLAUSES]
    assert table["clause"].to_pylist() == list(CLAUSES) * 3


def test_some_columns_are_read_as_all_of_them_are(store):
    store.commit(annotations().sort_by([("clause", "descending")]), run_id="r", round_=0)
    few = ("tile_id", "clause", "text")
    assert store.read(columns=few).equals(store.read().select(few))


@pytest.mark.parametrize("rows_of_group", [3, 8, 1000])
@pytest.mark.parametrize("tiles", [1, 2, 5])
def test_some_tiles_at_a_time_are_all_of_them_whatever_lies_in_a_group_of_rows(
    store, monkeypatch, tiles, rows_of_group
):
    monkeypatch.setattr("corpus.annotations._ROWS_OF_GROUP", rows_of_group)
    names = tuple("abcdefg")
    table = annotations(tiles=names)
    gap = pa.compute.and_(pa.compute.equal(table["tile_id"], "c"), pa.compute.equal(table["clause"], CLAUSES[1]))
    store.commit(table.filter(pa.compute.invert(gap)), run_id="r", round_=0)
    found = list(store.batches(0, names, tiles))
    assert [list(dict.fromkeys(each["tile_id"].to_pylist())) for each in found] == [
        list(names[start : start + tiles]) for start in range(0, len(names), tiles)
    ]
    assert pa.concat_tables(found).equals(store.read())
    with pytest.raises(AnnotationError, match="no annotations of tile x"):
        list(store.batches(0, ["a", "x", "y"], tiles))


def test_clause_order_survives_another_file_layout(store):
    """Compaction, or a table too large for one file, may hand the rows back in any order."""
    store.commit(annotations(), run_id="r", round_=0)
    table = store.read()
    assert canonical(table.take(np.random.default_rng(0).permutation(9)), list(CLAUSES))[0].equals(table)


def test_a_second_commit_of_a_round_writes_nothing(store):
    first = store.commit(annotations(), run_id="run", round_=0)
    store.commit(annotations(value="hills"), run_id="run", round_=1)
    files = sorted(store.path.rglob("*"))
    assert store.commit(annotations(value="coast"), run_id="run", round_=0) == first
    assert AnnotationStore(store.path).commit(annotations(value="coast"), run_id="run", round_=1) == 1
    assert sorted(store.path.rglob("*")) == files
    assert set(store.read()["value"].to_pylist()) == {"hills"}


def test_runs_are_told_apart(store):
    assert store.commit(annotations(), run_id="one", round_=0) == 0
    assert store.commit(annotations(), run_id="two", round_=0) == 1
    assert (store.version_of("one", 0), store.version_of("two", 0), store.version_of("two", 1)) == (0, 1, None)


def test_rounds_are_committed_in_order(store):
    store.commit(annotations(), run_id="run", round_=2)
    with pytest.raises(AnnotationError, match="round 2 of that run is there already"):
        store.commit(annotations(), run_id="run", round_=1)
    with pytest.raises(AnnotationError, match="run id"):
        store.commit(annotations(), run_id="", round_=0)


def test_commits_survive_a_log_checkpoint(store):
    for round_ in range(5):
        store.commit(annotations(round_=round_), run_id="run", round_=round_)
    table = DeltaTable(str(store.path))
    table.create_checkpoint()
    table.cleanup_metadata()
    table.vacuum(dry_run=False)
    for round_ in range(5):
        assert store.version_of("run", round_) == round_
        assert set(store.read(round_)["round"].to_pylist()) == {round_}
        assert store.commit(annotations(), run_id="run", round_=round_) == round_


def test_a_rejected_writer_is_told(store, monkeypatch):
    """Another process commits between this writer's look at the table and its own commit."""
    store.commit(annotations(), run_id="run", round_=0)
    real = corpus.annotations.write_deltalake

    def slow(table, rows, **kwargs):
        real(str(store.path), annotations(value="coast"), mode="overwrite")
        real(table, rows, **kwargs)

    monkeypatch.setattr(corpus.annotations, "write_deltalake", slow)
    with pytest.raises(ConcurrentCommitError, match="Round 1 of run run was not committed.*another writer") as caught:
        store.commit(annotations(value="hills"), run_id="run", round_=1)
    assert "Nothing was stored" in str(caught.value)
    assert store.version_of("run", 1) is None
    assert set(store.read()["value"].to_pylist()) == {"coast"}


def test_losing_to_ones_own_twin_is_not_an_error(store, monkeypatch):
    store.commit(annotations(), run_id="run", round_=0)
    real = corpus.annotations.write_deltalake

    def twin(table, rows, **kwargs):
        real(str(store.path), rows, **kwargs)
        real(table, rows, **kwargs)

    monkeypatch.setattr(corpus.annotations, "write_deltalake", twin)
    assert store.commit(annotations(value="hills"), run_id="run", round_=1) == 1
    assert store.version() == 1


def test_a_commit_can_name_its_parent(store):
    store.commit(annotations(), run_id="run", round_=0)
    assert store.commit(annotations(), run_id="run", round_=1, parent=0) == 1
    with pytest.raises(ConcurrentCommitError, match="derived from version 0"):
        store.commit(annotations(), run_id="run", round_=2, parent=0)


def test_a_foreign_commit_is_read_and_listed(store):
    store.commit(annotations(), run_id="run", round_=0, metadata={"digest": "abc"})
    write_deltalake(str(store.path), annotations(value="hills"), mode="overwrite")
    assert set(store.read()["value"].to_pylist()) == {"hills"}
    assert [commit.run_id for commit in store.history()] == ["run", ""]
    assert store.history()[0].metadata["digest"] == "abc"


def test_an_absent_table_and_an_absent_version_are_named(store, tmp_path):
    with pytest.raises(AnnotationError, match="There are no annotations"):
        store.read()
    (tmp_path / "annotations").mkdir()
    with pytest.raises(AnnotationError, match="There are no annotations"):
        store.read()
    store.commit(annotations(), run_id="run", round_=0)
    for version in (1, -1):
        with pytest.raises(AnnotationError, match="versions 0 to 0"):
            store.read(version)


def changed(name: str, values, kind=None) -> pa.Table:
    table = annotations()
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.array(values, kind or table.schema.field(name).type))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (annotations(tiles=("a", "b", "a")), r"3 \(tile, clause\) pairs .* \(a, "),
        (annotations(tiles=()), "no rows"),
        (annotations().drop_columns(["text"]), "missing: text; unknown: none"),
        (annotations().append_column("extra", pa.array([1] * 9)), "missing: none; unknown: extra"),
        (changed("value", [None] + ["x"] * 8), "value .* 1 nulls"),
        (changed("value", range(9), pa.int64()), "value .* is int64; it has to be string"),
        (changed("level", ["1"] * 9, pa.string()), "level .* is string; it has to be int8"),
        (changed("level", [300] * 9, pa.int64()), "level .* does not fit int8"),
        (changed("confidence", [float("nan")] * 9), "confidence"),
        (changed("confidence", [1.5] * 9), "confidence"),
        (changed("source", ["oracle"] * 9), "seed, captioner, kept, person, statistics; found oracle"),
    ],
)
def test_invalid_annotations_are_refused(store, table, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        store.commit(table, run_id="run", round_=0)
    assert len(str(caught.value).splitlines()) == 1
    assert not store.path.exists()


def test_wider_types_are_narrowed(store):
    table = pa.Table.from_pylist(annotations().to_pylist())  # int64 and float64
    table = table.set_column(0, "tile_id", table["tile_id"].cast(pa.large_string()).dictionary_encode())
    store.commit(table, run_id="run", round_=0)
    assert store.read().schema.equals(ANNOTATION_SCHEMA)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "tile_id": text,
            "clause": st.sampled_from(CLAUSES),
            "value": text,
            "text": text,
            "level": st.integers(0, 5),
            "source": st.sampled_from(["seed", "captioner", "kept"]),
        }
    ),
    max_size=12,
)


def layouts(table: pa.Table, order):
    """The same rows in another order, chunking, encoding, string type, column order, and from a file."""
    shuffled = table.take(pa.array(order, pa.int64()))
    yield shuffled
    yield pa.concat_tables([shuffled.slice(start, 2) for start in range(0, len(order), 2)] or [table])
    yield table.select(list(reversed(table.column_names))).append_column("confidence", pa.nulls(len(order)))
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        yield pa.table(
            {name: shuffled[name] if name == "level" else shuffled[name].cast(kind) for name in table.column_names}
        )
    sink = pa.BufferOutputStream()
    pq.write_table(shuffled, sink, row_group_size=3)
    yield pq.read_table(sink.getvalue())


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_digest_depends_on_content_alone(content, random):
    schema = pa.schema([ANNOTATION_SCHEMA.field(name) for name in DIGEST_COLUMNS])
    table = pa.Table.from_pylist(content, schema=schema)
    order = list(range(len(content)))
    random.shuffle(order)
    assert {annotation_digest(layout) for layout in layouts(table, order)} == {annotation_digest(table)}


@given(rows, rows)
@settings(max_examples=80, deadline=None)
def test_digest_tells_contents_apart(one, other):
    schema = pa.schema([ANNOTATION_SCHEMA.field(name) for name in DIGEST_COLUMNS])

    def bag(content):
        return sorted(map(repr, content))

    same = annotation_digest(pa.Table.from_pylist(one, schema)) == annotation_digest(
        pa.Table.from_pylist(other, schema)
    )
    assert same == (bag(one) == bag(other))


@pytest.mark.parametrize(
    ("name", "value"),
    [("tile_id", "z"), ("clause", "water"), ("value", "x"), ("text", ""), ("level", 2), ("source", "kept")],
)
def test_digest_sees_one_changed_cell(name, value):
    table = annotations()
    values = table[name].to_pylist()
    assert annotation_digest(changed(name, [value, *values[1:]])) != annotation_digest(table)


def test_digest_does_not_see_how_it_came_about():
    table = annotations()
    for name, value in (("confidence", 0.25), ("round", 7), ("weights_sha256", "ab"), ("prompt_sha256", "cd")):
        assert annotation_digest(changed(name, [value] * 9)) == annotation_digest(table)


def test_bytes_moved_between_cells_change_the_digest():
    assert annotation_digest(changed("value", ["ab", "c"] + ["x"] * 7)) != annotation_digest(
        changed("value", ["a", "bc"] + ["x"] * 7)
    )


def test_digest_is_a_stored_format():
    """This value is in round records: a change of the canonical form has to change the header's number."""
    assert annotation_digest(annotations()) == "8daa53bb11acccce5e0be789163f60f88d5cf1f5e1d429c788e601e8e6507c1c"


def test_digest_survives_a_commit(store):
    table = annotations()
    store.commit(table, run_id="run", round_=0)
    assert annotation_digest(store.read()) == annotation_digest(table)


def test_tables_without_a_column_or_with_nulls_have_no_digest():
    with pytest.raises(ValueError, match="missing: text"):
        annotation_digest(annotations().drop_columns(["text"]))
    with pytest.raises(ValueError, match="nulls"):
        annotation_digest(changed("value", [None] * 9))


def by_tile(table, order="abc"):
    return [table.filter(pa.compute.equal(table["tile_id"], tile)) for tile in order]


def test_blocks_are_committed_as_the_whole_table_is_also_where_they_are_read_from_the_version_before(store):
    table = annotations().sort_by([("clause", "descending")])
    store.commit(AnnotationBlocks(by_tile(table), 9), run_id="r", round_=0)
    whole = AnnotationStore(store.path.with_name("whole"))
    whole.commit(table, run_id="r", round_=0)
    assert store.read().equals(whole.read())
    before = store.batches(0, ["a", "b", "c"], 2)
    store.commit(AnnotationBlocks(before, 9), run_id="r", round_=1)
    assert store.read().equals(whole.read())
    assert store.history()[1].rows == 9


def test_the_digest_of_blocks_is_that_of_the_whole():
    table, digest = annotations(), AnnotationDigest()
    for block in by_tile(table):
        digest.add(block)
    assert digest.hexdigest() == annotation_digest(table)
    with pytest.raises(ValueError, match="come after"):
        digest.add(by_tile(table)[0])


@pytest.mark.parametrize(
    ("blocks", "rows", "said"),
    [
        (lambda: by_tile(annotations(), "acb"), 9, "Annotations of b come after those of c"),
        (lambda: by_tile(annotations()), 10, "10 annotations were to be committed, and 9 came"),
        (lambda: [*by_tile(annotations(), "ab"), annotations().slice(0, 0)], 9, "has no rows"),
    ],
)
def test_blocks_that_are_wrong_are_refused_and_nothing_is_committed(store, blocks, rows, said):
    store.commit(annotations(), run_id="r", round_=0)
    with pytest.raises(AnnotationError, match=said):
        store.commit(AnnotationBlocks(blocks(), rows), run_id="r", round_=1)
    assert store.version() == 0
