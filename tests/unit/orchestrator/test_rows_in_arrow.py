"""Rows that are made in Arrow are those that a loop over them would make."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.evaluator import rows_of
from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.storage.arrow import array_of, lists
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import Feedback, feedback_hints, hints_of_all
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import render_clause
from orchestrator.data.annotation_rows import annotation_rows
from support.hcot import CLAUSES, HCOT, VOCABULARY

SIZES = np.asarray([len(words) for words in VOCABULARY.values()])
seeds, few = st.integers(0, 2**32), st.integers(1, 6)
quick = settings(max_examples=30, deadline=None)


def matrix(seed: int, tiles: int) -> AnnotationMatrix:
    generator = np.random.default_rng(seed)
    shape = (tiles, len(CLAUSES))
    return AnnotationMatrix(
        HCOT,
        tuple(sorted(f"tile-{number:x}" for number in generator.choice(10**6, tiles, replace=False))),
        (generator.random(shape) * SIZES).astype(np.int64),
        generator.random(shape).astype(np.float32),
        generator.choice(np.asarray(["seed", "captioner", "kept"], object), shape),
    )


def rows_one_by_one(made: AnnotationMatrix, previous: pa.Table, round_: int, hashes, prompt_hash: str) -> pa.Table:
    texts = {(row["tile_id"], row["clause"]): (row["value"], row["text"]) for row in previous.to_pylist()}
    rows = []
    for row, tile_id in enumerate(made.tile_ids):
        for column, (clause, words) in enumerate(HCOT.vocabulary.items()):
            value = words[made.values[row, column]]
            old_value, text = texts[tile_id, clause]
            if old_value != value:
                text = render_clause(HCOT, clause, value, variant=derive_seed(tile_id, clause, "wording") % 1000)
            said = (tile_id, clause, value, text, HCOT.level[clause], made.source[row, column])
            how = (made.confidence[row, column], round_, hashes[row], prompt_hash)
            rows.append(dict(zip(ANNOTATION_SCHEMA.names, (*said, *how), strict=True)))
    return pa.Table.from_pylist(rows, ANNOTATION_SCHEMA)


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    """The rows in another order and in several chunks."""
    table = table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))
    return pa.concat_tables([table.slice(0, 5), table.slice(5)])


@quick
@given(seeds, few)
def test_a_clause_keeps_its_text_as_long_as_it_keeps_its_value(seed, tiles):
    before, now = matrix(seed, tiles), matrix(seed, tiles)
    now.values[:, ::2] = matrix(seed + 1, tiles).values[:, ::2]
    nothing_said = pa.table(
        {**before.keys, "value": before.words, "text": [f"text {n}" for n in range(before.values.size)]}
    )
    hashes = [f"weights-{row % 2}" for row in range(tiles)]
    previous = shuffled(nothing_said, seed)
    found = annotation_rows(now, previous, 3, hashes, "prompts")
    assert found.schema == ANNOTATION_SCHEMA
    assert found.equals(rows_one_by_one(now, previous, 3, hashes, "prompts"))


def test_a_clause_that_the_version_before_lacks_is_named():
    made = matrix(0, 2)
    previous = pa.table({**made.keys, "value": made.words, "text": made.words}).slice(1)
    with pytest.raises(KeyError, match=CLAUSES[0]):
        annotation_rows(made, previous, 1, ["", ""], "")


@quick
@given(seeds, few)
def test_a_matrix_comes_back_from_its_rows_in_any_order(seed, tiles):
    made = matrix(seed, tiles)
    table = pa.table({**made.keys, "value": made.words, "text": made.words})
    table = shuffled(annotation_rows(made, table, 1, [""] * tiles, ""), seed)
    again = matrix_from_table(HCOT, table)
    assert again.tile_ids == made.tile_ids
    for name in ("values", "confidence", "source"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
        assert getattr(again, name).dtype == getattr(made, name).dtype
    assert set(matrix_from_table(HCOT, table.drop_columns("source")).source.ravel()) == {"seed"}


def test_of_several_wrong_rows_the_first_is_named():
    made = matrix(0, 2)
    table = pa.table({**made.keys, "value": made.words, "confidence": made.confidence.reshape(-1)})
    values = made.words.to_pylist()
    values[20] = values[3] = "purple"
    with pytest.raises(SchemaError, match=f"Tile {made.tile_ids[0]}: .*purple"):
        matrix_from_table(HCOT, table.set_column(2, "value", pa.array(values)))
    with pytest.raises(SchemaError, match=f"Tile {made.tile_ids[1]} has no clause '{CLAUSES[-1]}'"):
        matrix_from_table(HCOT, table.slice(0, table.num_rows - 1))


@quick
@given(seeds, few)
def test_the_evaluators_rows_are_those_of_the_matrix(seed, tiles):
    made = matrix(seed, tiles)
    rows = rows_of(made).to_pylist()
    assert [row["tile_id"] for row in rows] == [tile for tile in made.tile_ids for _ in CLAUSES]
    assert [row["clause"] for row in rows] == list(CLAUSES) * tiles
    assert [row["value"] for row in rows] == [value for row in range(tiles) for value in made.row_values(row).values()]
    assert [row["confidence"] for row in rows] == made.confidence.ravel().tolist()


@quick
@given(seeds, few)
def test_the_hints_of_many_tiles_are_those_of_each(seed, tiles):
    generator = np.random.default_rng(seed)

    def distributions() -> dict[str, np.ndarray]:
        return {clause: generator.integers(3, size=(tiles, len(words))) / 2 for clause, words in VOCABULARY.items()}

    nothing = np.zeros((tiles, len(CLAUSES)))
    feedback = Feedback([], distributions(), distributions(), nothing[:, 0], nothing[:, 0], nothing, nothing)
    rows = np.flatnonzero(generator.random(tiles) < 0.7)
    one_by_one = [list(feedback_hints(HCOT, feedback, row, CLAUSES).values()) for row in rows]
    assert hints_of_all(HCOT, feedback, rows).to_pylist() == one_by_one


@quick
@given(seeds, st.integers(0, 5), st.integers(1, 4), st.sampled_from([np.int64, np.bool_, np.float32]))
def test_lists_hold_the_rows_of_an_array(seed, rows, width, dtype):
    array = np.asfortranarray(np.random.default_rng(seed).integers(2, size=(rows, width)).astype(dtype))
    assert lists(array).to_pylist() == array.tolist()
    again = array_of(pa.chunked_array([lists(array[:1]), lists(array[1:])]))
    assert again.tolist() == array.tolist()
