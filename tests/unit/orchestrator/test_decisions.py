"""Decisions in the corpus between two rounds: entered, taken out again, taken over by another run, committed."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.annotations import AnnotationStore
from hcot_llm.aggregation.matrix import matrix_from_table
from hcot_llm.aggregation.people import PERSON
from orchestrator.data.training_targets import TrainingTargets, training_view
from orchestrator.decisions.corpus import adopt, entered, read_word
from orchestrator.decisions.people import PEOPLE, people_of
from orchestrator.decisions.store import Answer, DecisionError, Entry, append, kept, read_entries, standing
from orchestrator.policies.schedule import Schedule
from orchestrator.report.story import read_story
from orchestrator.review.applying import commit_decisions
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.run_directory import RunDirectory


@pytest.fixture
def run_dir(made, tmp_path):
    return shutil.copytree(made.path, tmp_path / "run")


def answer(story, row=0, clause="road", person="anna", expected=""):
    """What nobody has said of a clause so far."""
    state, words = story.states[-1], story.schema.vocabulary[clause]
    column = story.schema.column[clause]
    taken = {each.values[row, column] for each in story.states}
    value = next(word for index, word in enumerate(words) if index not in taken)
    return Answer(state.tile_ids[row], clause, value, person, "annotator", expected, "", "line 2")


def test_a_decision_is_in_the_next_version_and_taken_back_in_the_one_after(made, run_dir):
    story = read_story(run_dir)
    said = answer(story)
    entry = append(run_dir, story.schema, "import", "a.csv", [said])
    version = commit_decisions(run_dir, entry.number)
    store = AnnotationStore(run_dir / "annotations")
    column = story.schema.column["road"]
    matrix = matrix_from_table(story.schema, store.read(version))
    assert story.schema.vocabulary["road"][matrix.values[0, column]] == said.value
    assert matrix.source[0, column] == PERSON
    assert (matrix.values != story.states[-1].values).sum() == 1
    assert read_story(run_dir).versions == story.versions, "the rounds have their own versions"
    undone = append(run_dir, story.schema, "undo", "1", [said])
    matrix = matrix_from_table(story.schema, store.read(commit_decisions(run_dir, undone.number)))
    np.testing.assert_array_equal(matrix.values, story.states[-1].values)
    assert not (matrix.source == PERSON).any()


def test_what_is_taken_back_later_is_what_it_was_before_the_decision(made, run_dir):
    story = read_story(run_dir)
    store, run_id = AnnotationStore(run_dir / "annotations"), story.directory.run_id
    append(run_dir, story.schema, "import", "a.csv", [answer(story)])
    word = read_word(run_dir, story.schema, story.states[-1].tile_ids)
    decided = entered(story.states[-1], word, story.states[0], store, run_id)
    column = story.schema.column["road"]
    assert decided.values[0, column] != story.states[-1].values[0, column]
    again = entered(decided, None, story.states[0], store, run_id)
    np.testing.assert_array_equal(again.values, story.states[-1].values)
    assert again.confidence[0, column] == story.states[-1].confidence[0, column]


def test_nothing_is_committed_while_a_driver_is_at_work(run_dir):
    story = read_story(run_dir)
    keeper = LeaseKeeper(RunDirectory(run_dir))
    keeper.acquire()
    try:
        entry = append(run_dir, story.schema, "import", "a.csv", [answer(story)])
        assert commit_decisions(run_dir, entry.number) is None
    finally:
        keeper.release()
    assert len(standing(read_entries(run_dir, story.schema))) == 1


def test_a_new_run_takes_over_the_decisions_of_another_one_once(made, run_dir, tmp_path):
    story = read_story(run_dir)
    said = answer(story)
    append(run_dir, story.schema, "import", "a.csv", [said])
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    tiles = story.states[0].tile_ids
    assert adopt(fresh, run_dir, story.schema, tiles) == 1
    assert adopt(fresh, run_dir, story.schema, tiles) == 1
    assert [entry.number for entry in read_entries(fresh, story.schema)] == [1]
    assert standing(read_entries(fresh, story.schema)) == [said]
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DecisionError, match="none of its 1 decisions is about a tile of this run"):
        adopt(other, run_dir, story.schema, ["elsewhere"])
    with pytest.raises(DecisionError, match="nobody has decided"):
        adopt(other, made.path, story.schema, tiles)


def test_a_later_answer_of_a_person_takes_the_place_of_the_earlier_one(run_dir):
    story = read_story(run_dir)
    first, second = answer(story), answer(story, person="anna")
    append(run_dir, story.schema, "import", "a.csv", [first])
    append(run_dir, story.schema, "import", "b.csv", [second, answer(story, row=1)])
    assert len(standing(read_entries(run_dir, story.schema))) == 2


_SAID = st.builds(
    Answer,
    tile_id=st.sampled_from(["t1", "t2"]),
    clause=st.sampled_from(["road", "water"]),
    value=st.sampled_from(["none", "grid"]),
    person=st.sampled_from(["anna", "ben"]),
    kind=st.just("annotator"),
    expected=st.sampled_from(["", "grid"]),
)


@given(st.lists(st.lists(_SAID, max_size=5), min_size=1, max_size=5), st.data())
def test_imports_taken_back_in_any_order_leave_the_answers_of_those_that_stand(imports, data):
    """Also where two imports hold the same answers, and where an import comes in after some were taken back."""
    undone = data.draw(st.permutations(range(1, len(imports) + 1)))[: data.draw(st.integers(0, len(imports)))]
    entries: list[Entry] = []
    due = list(undone)
    for number, answers in enumerate(imports, start=1):
        entries.append(Entry(number, "import", "", "", tuple(answers)))
        while due and due[0] <= number and data.draw(st.booleans()):
            entries.append(_undo_of(due.pop(0), entries))
    for number in due:
        entries.append(_undo_of(number, entries))
    left = [Entry(n, "import", "", "", tuple(said)) for n, said in enumerate(imports, start=1) if n not in undone]
    assert standing(entries) == standing(left)


def _undo_of(number, entries):
    taken = [each for each in kept(entries) if each.number == number]
    return Entry(100 + number, "undo", "", "", tuple(e.answer for e in taken), tuple(e.number for e in taken))


def test_an_undo_of_a_version_that_named_no_import_takes_back_the_last_one_with_the_answer(run_dir):
    story = read_story(run_dir)
    first, second = answer(story), answer(story, person="ben")
    entries = [
        Entry(1, "import", "", "", (first,)),
        Entry(2, "import", "", "", (first, second)),
        Entry(3, "undo", "", "", (first,)),
    ]
    assert [each.number for each in kept(entries)] == [1, 2]
    assert standing(entries) == [first, second]


def test_controls_that_were_answered_wrongly_lower_how_far_a_person_is_believed(run_dir):
    story = read_story(run_dir)
    said = [answer(story, row=row, expected="grid") for row in range(6)]
    right = [Answer(each.tile_id, each.clause, "grid", "ben", "annotator", "grid") for each in said]
    wrong = [Answer(each.tile_id, each.clause, "none", "carl", "annotator", "grid") for each in said]
    people = people_of([*right, *wrong])
    assert people["carl"].accuracy < PEOPLE["annotator"].accuracy < people["ben"].accuracy < 1
    assert people["ben"].answers == 0
    assert read_word(run_dir, story.schema, story.states[0].tile_ids) is None, "controls decide nothing"


def test_a_decided_clause_is_a_training_target_as_it_was_decided_also_where_initial_captions_are_shown(made, run_dir):
    story = read_story(run_dir)
    append(run_dir, story.schema, "import", "a.csv", [answer(story)])
    word = read_word(run_dir, story.schema, story.states[-1].tile_ids)
    store = AnnotationStore(run_dir / "annotations")
    matrix = entered(story.states[-1], word, story.states[0], store, story.directory.run_id)
    nothing = np.zeros(matrix.values.shape, dtype=bool)
    targets = TrainingTargets(nothing, nothing, [[""] * len(story.schema)] * len(matrix)).with_decided(word.decided)
    config = story.config.model_copy(
        update={"schedule": story.config.schedule.model_copy(update={"initial_caption_share": (1.0,)})}
    )
    plan = Schedule(config.schedule, config.train, config.acceptance).plan(2)
    view = training_view(matrix, story.states[0], targets, plan, run_seed=0, round_=2)
    column = story.schema.column["road"]
    assert view.values[0, column] == matrix.values[0, column]
    assert view.loss_mask[0, column]
    assert view.values[1, column] == story.states[0].values[1, column]


def test_a_damaged_file_of_decisions_is_named(run_dir):
    story = read_story(run_dir)
    entry = append(run_dir, story.schema, "import", "a.csv", [answer(story)])
    path = run_dir / "decisions" / f"{entry.number:04d}.parquet"
    shutil.copyfile(story.directory.evidence(1), path)
    with pytest.raises(DecisionError, match=f"{path.name} holds no decisions"):
        read_entries(run_dir, story.schema)
