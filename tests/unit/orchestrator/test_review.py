"""Questions to people and their answers: what is asked, how it goes out, and how it comes back, whole or not at all."""

import csv
import dataclasses
import json
import re
import shutil
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from orchestrator.decisions.corpus import read_word
from orchestrator.decisions.store import DecisionError, read_entries, standing
from orchestrator.experiments.review_gain import measure_gain
from orchestrator.report.story import read_story
from orchestrator.review.exporting import export_review, read_exports
from orchestrator.review.filters import FilterError
from orchestrator.review.formats.base import FORMATS
from orchestrator.review.importing import import_review
from orchestrator.review.taking_back import undo


@pytest.fixture
def run_dir(made, tmp_path):
    """A copy that a test may decide about."""
    return shutil.copytree(made.path, tmp_path / "run")


@pytest.fixture(scope="module")
def export_once(made, tmp_path_factory):
    """export_once(...): a run and what an export of it wrote, made once for the same arguments."""
    kept = {}

    def export_once(*arguments):
        if arguments not in kept:
            folder = tmp_path_factory.mktemp("exported")
            run_dir = shutil.copytree(made.path, folder / "run")
            format_, *rest = arguments
            kept[arguments] = folder, export_review(run_dir, format_, folder / format_, *rest)
        return kept[arguments]

    return export_once


@pytest.fixture
def exported(run_dir, tmp_path, export_once):
    """exported("csv"): what an export of the copied run wrote."""

    def exported(format_, filter_="", limit=6, controls=0.25):
        folder, done = export_once(format_, filter_, limit, controls)
        shutil.copytree(folder / "run", run_dir, dirs_exist_ok=True)
        shutil.copytree(folder / format_, tmp_path / format_)
        return dataclasses.replace(done, files=tuple(tmp_path / path.relative_to(folder) for path in done.files))

    return exported


def truth_of(made, tile, clause):
    schema, tiles = made.config.annotation_schema, sorted(made.prepared.tiles["tile_id"].to_pylist())
    return schema.vocabulary[clause][made.truth[tiles.index(tile), schema.column[clause]]]


def fill_csv(path, answer, person="anna"):
    """Fill in decisions: answer(row) gives the value; '' leaves it open."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["decision"] = answer(row)
        row["person"] = person if row["decision"] else ""
    write_csv(path, rows)
    return rows


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def fill_label_studio(path, answer, email):
    """What Label Studio's JSON export looks like once somebody has submitted every task."""
    tasks = json.loads(path.read_text())
    for number, task in enumerate(tasks, start=1):
        results = task["predictions"][0]["result"]
        for result in results:
            result["value"] = {"choices": [answer(task["data"]["tile_id"], result["from_name"])]}
            result["origin"] = "manual"
        task |= {
            "id": number,
            "annotations": [
                {
                    "id": 100 + number,
                    "completed_by": {"id": 1, "email": email, "first_name": "", "last_name": ""},
                    "result": results,
                    "was_cancelled": False,
                    "ground_truth": False,
                    "lead_time": 4.2,
                }
            ],
            "drafts": [],
            "predictions": [1],
            "meta": {},
        }
    path.write_text(json.dumps(tasks))


def fill_cvat(path, answer, person):
    """What CVAT's 'CVAT for images 1.1' looks like once a person has ticked every tag of a job."""
    tree = ElementTree.parse(path)
    root = tree.getroot()
    meta = ElementTree.SubElement(root, "meta")
    job = ElementTree.SubElement(meta, "job")
    assignee = ElementTree.SubElement(job, "assignee")
    ElementTree.SubElement(assignee, "username").text = person
    root.remove(meta)
    root.insert(1, meta)
    for tag in root.iter("tag"):
        values = {each.get("name"): each for each in tag.findall("attribute")}
        values["value"].text = answer(values["tile"].text, tag.get("label"))
        values["decided"].text = "true"
        tag.set("source", "manual")
    tree.write(path, encoding="utf-8", xml_declaration=True)


def test_questions_are_the_doubtful_ones_with_their_reasons_and_a_picture(made, exported):
    done = exported("csv", controls=0)
    rows = list(csv.DictReader(open(done.files[0], newline="")))  # noqa: SIM115
    assert len({row["tile_id"] for row in rows}) <= 6
    wrong = [row["proposed"] != truth_of(made, row["tile_id"], row["clause"]) for row in rows]
    state = read_story(made.path).states[-1]
    assert np.mean(wrong) > 2 * (state.values != made.truth).mean()
    assert all("encoder: " in row["reasons"] and "initial annotation: " in row["reasons"] for row in rows)
    assert all((done.files[0].parent / row["picture"]).stat().st_size > 5000 for row in rows)


def test_a_filter_asks_only_what_it_names(made, exported):
    done = exported("csv", "clause=road|water, confidence<0.95, split=train")
    assert {question.clause for question in done.record.questions if not question.expected} <= {"road", "water"}
    state = read_story(made.path).states[-1]
    for question in done.record.questions:
        if not question.expected:
            row, column = state.tile_ids.index(question.tile_id), state.schema.column[question.clause]
            assert state.confidence[row, column] < 0.95


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clause=raod", "there is no clause 'raod'"),
        ("change", "Did you mean 'changed'?"),
        ("confidence<much", "'much', which is no number"),
        ("clause<road", "compares a text with <"),
        ("colour=red", "there is no 'colour'"),
        ("value=purple", "no clause has the value 'purple'"),
    ],
)
def test_a_filter_that_cannot_be_read_says_which_part(exported, text, said):
    with pytest.raises(FilterError, match=re.escape(said)):
        exported("csv", text)


@pytest.mark.parametrize("format_", ["csv", "label-studio", "cvat"])
def test_what_goes_out_comes_back_as_decisions_of_the_person(made, run_dir, exported, format_):
    done = exported(format_)
    fill = {
        "csv": lambda path: fill_csv(
            path, lambda row: truth_of(made, row["tile_id"], row["clause"]), "anna@example.org"
        ),
        "label-studio": lambda path: fill_label_studio(path, lambda *asked: truth_of(made, *asked), "anna@example.org"),
        "cvat": lambda path: fill_cvat(path, lambda *asked: truth_of(made, *asked), "anna@example.org"),
    }
    fill[format_](done.files[0])
    imported = import_review(run_dir, done.files[0])
    schema = made.config.annotation_schema
    answers = standing(read_entries(run_dir, schema))
    asked = {(each.tile_id, each.clause) for each in done.record.questions}
    assert {(each.tile_id, each.clause) for each in answers} == asked
    assert {each.person for each in answers} == {"anna@example.org"}
    assert all(each.value == truth_of(made, each.tile_id, each.clause) for each in answers)
    assert imported.controls == done.controls > 0
    word = read_word(run_dir, schema, read_story(run_dir).states[0].tile_ids)
    assert word.decided.sum() == len(asked) - done.controls, "a control decides nothing"


@pytest.mark.parametrize("format_", FORMATS)
def test_what_nobody_decided_comes_back_as_no_decision(run_dir, exported, format_):
    done = exported(format_)
    if format_ == "label-studio":  # tasks that were never submitted
        tasks = json.loads(done.files[0].read_text())
        done.files[0].write_text(json.dumps([task | {"annotations": []} for task in tasks]))
    with pytest.raises(DecisionError, match="holds no decision"):
        import_review(run_dir, done.files[0], people=["anna"])


def test_planted_controls_tell_who_looks_from_who_accepts_everything(made, run_dir, exported, call):
    done = exported("csv", limit=24, controls=0.3)
    for person, answer in (
        ("looks", lambda row: truth_of(made, row["tile_id"], row["clause"])),
        ("accepts", lambda row: row["proposed"]),
    ):
        path = done.files[0].with_name(f"{person}.csv")
        shutil.copyfile(done.files[0], path)
        fill_csv(path, answer, person)
        import_review(run_dir, path, disagreements="weigh")
    status, out, _ = call("review", run_dir, "--json")
    assert status == 0
    people = {person["name"]: person for person in json.loads(out)["people"]}
    assert people["looks"]["controls"] == people["accepts"]["controls"] == done.controls > 4
    assert people["looks"]["accuracy"] > people["accepts"]["accuracy"] + 0.05
    overall = json.loads(out)["agreement"][-1]
    assert overall["shared"] == len(done.record.questions)
    assert -1 <= overall["kappa"][0]["kappa"] < 0.9
    assert -1 <= overall["alpha"] < 0.9


def test_controls_cannot_be_told_from_questions_in_the_files(exported):
    done = exported("label-studio")
    text = done.files[0].read_text() + done.files[1].read_text()
    assert "expected" not in text
    assert "control" not in re.sub(r"(zoom|brightness|contrast)Control", "", text)


@pytest.fixture
def decided(made, run_dir, exported):
    """A filled-in table and its rows; decided(change) changes the rows before they are written."""
    done = exported("csv", controls=0)
    rows = fill_csv(done.files[0], lambda row: truth_of(made, row["tile_id"], row["clause"]))

    def decided(change=lambda rows: None):
        change(rows)
        write_csv(done.files[0], rows)
        return done.files[0]

    return decided


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[2].update(tile_id="nowhere_1"), "line 4: the run has no tile 'nowhere_1'"),
        (lambda rows: rows[1].update(decision="purple"), "line 3: 'purple' is no value of clause"),
        (lambda rows: rows[0].update(clause="raod"), "line 2: there is no clause 'raod'; did you mean 'road'?"),
        (lambda rows: rows[3].update(version="7"), "line 5: it says version 7, but export '.*' asked about version 2"),
        (lambda rows: rows[3].update(version="two"), "line 5: the version 'two' is no number"),
        (lambda rows: rows[3].update(version=""), "line 5: it does not say which version it is about"),
        (lambda rows: [row.pop("version") for row in rows], "line 1: there is no column version; needed are"),
        (lambda rows: rows[1].update(export="abc"), "line 3: export 'abc' is not of this run"),
        (lambda rows: rows[4].update(person=""), "line 6: it does not say who decided; name the person with --person"),
    ],
)
def test_an_answer_that_cannot_be_taken_in_is_named_by_line_and_nothing_is_kept(made, run_dir, decided, change, said):
    with pytest.raises(DecisionError, match=said):
        import_review(run_dir, decided(change))
    assert read_entries(run_dir, made.config.annotation_schema) == []


def test_every_wrong_line_is_named_at_once(run_dir, decided):
    def change(rows):
        rows[0]["decision"] = "purple"
        rows[3]["tile_id"] = "nowhere"
        rows[4]["version"] = "two"
        rows[5]["export"] = "abc"

    with pytest.raises(DecisionError, match=r"line 2: .*\n  line 5: .*\n  line 6: .*\n  line 7: "):
        import_review(run_dir, decided(change))


def test_an_import_says_how_many_exported_questions_have_no_answer(run_dir, decided, call):
    asked = len(next(iter(read_exports(run_dir).values())).questions)
    assert import_review(run_dir, decided()).unanswered == 0

    def cut(rows):
        del rows[4:]
        rows[0]["decision"] = ""

    path = decided(cut)
    status, out, _ = call("review", run_dir, "--import", path)
    assert status == 0
    assert f"{asked - 3} of the {asked} exported questions have no answer in the file" in out


@pytest.mark.parametrize("format_", ["csv", "label-studio", "cvat"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_half_written_file_is_named_with_its_line_and_nothing_is_kept(made, run_dir, exported, format_, share):
    done = exported(format_)
    fill = {
        "csv": lambda path: fill_csv(path, lambda row: row["proposed"]),
        "label-studio": lambda path: fill_label_studio(path, lambda tile, clause: truth_of(made, tile, clause), "anna"),
        "cvat": lambda path: fill_cvat(path, lambda tile, clause: truth_of(made, tile, clause), "anna"),
    }
    fill[format_](done.files[0])
    content = done.files[0].read_bytes()
    done.files[0].write_bytes(content[: int(share * len(content))])
    with pytest.raises(DecisionError, match=r"nothing of it was kept:\n  line \d+"):
        import_review(run_dir, done.files[0])
    assert read_entries(run_dir, made.config.annotation_schema) == []


def test_cvats_own_client_takes_the_label_definitions(made, exported):
    models = pytest.importorskip("cvat_sdk.models", reason="cvat-sdk is not installed")
    labels = json.loads(exported("cvat").files[1].read_text())
    for label in labels:
        attributes = [models.AttributeRequest(**attribute) for attribute in label["attributes"]]
        taken = models.PatchedLabelRequest(**{**label, "attributes": attributes})
        assert taken.attributes[0]["values"] == list(made.config.annotation_schema.vocabulary[label["name"]])


def test_an_archive_of_cvat_is_read_and_a_damaged_one_is_named(made, run_dir, exported, tmp_path):
    done = exported("cvat")
    fill_cvat(done.files[0], lambda *asked: truth_of(made, *asked), "anna")
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(done.files[0], "annotations.xml")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecisionError, match="archive is cut off or damaged"):
        import_review(run_dir, path)
    path.write_bytes(whole)
    assert len(import_review(run_dir, path).entry.answers) == len(done.record.questions)


def test_an_entity_in_a_file_is_refused(run_dir, tmp_path):
    path = tmp_path / "annotations.xml"
    path.write_text('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bb">]>\n<annotations>&b;</annotations>\n')
    with pytest.raises(DecisionError, match="line 2: it declares an entity"):
        import_review(run_dir, path)


def test_two_people_who_disagree_are_named_by_line_unless_it_is_said_what_to_do(made, run_dir, decided):
    def other(rows):
        words = made.config.annotation_schema.vocabulary[rows[0]["clause"]]
        rows.append(rows[0] | {"person": "ben", "decision": next(w for w in words if w != rows[0]["decision"])})

    path = decided(other)
    with pytest.raises(DecisionError, match=r"line 2: people disagree on .*anna says .* \(line 2\); ben says "):
        import_review(run_dir, path)
    assert read_entries(run_dir, made.config.annotation_schema) == []
    left = import_review(run_dir, path, disagreements="leave")
    assert left.left_out == 2
    undo(run_dir, str(left.entry.number))
    weighed = import_review(run_dir, path, people=["anna:expert", "ben:crowd"], disagreements="weigh")
    assert weighed.left_out == 0
    schema, tiles = made.config.annotation_schema, read_story(run_dir).states[0].tile_ids
    first = weighed.entry.answers[0]
    value = read_word(run_dir, schema, tiles).values[tiles.index(first.tile_id), schema.column[first.clause]]
    assert schema.vocabulary[first.clause][value] == first.value, "the one who is believed more decides"


def test_who_disagrees_with_an_earlier_import_is_named_too(made, run_dir, decided):
    import_review(run_dir, decided())

    def other(rows):
        words = made.config.annotation_schema.vocabulary[rows[0]["clause"]]
        rows[0]["decision"] = next(word for word in words if word != rows[0]["decision"])
        for row in rows:
            row["person"] = "ben"

    with pytest.raises(DecisionError, match="people disagree"):
        import_review(run_dir, decided(other))


def test_decisions_are_taken_back_by_import_by_tile_and_by_person(made, run_dir, decided):
    schema = made.config.annotation_schema
    entry = import_review(run_dir, decided()).entry
    first = entry.answers[0]
    undo(run_dir, f"tile={first.tile_id}, clause={first.clause}")
    assert first not in standing(read_entries(run_dir, schema))
    assert len(standing(read_entries(run_dir, schema))) == len(entry.answers) - 1
    undo(run_dir, "person=anna")
    assert standing(read_entries(run_dir, schema)) == []
    with pytest.raises(DecisionError, match="no decision that stands"):
        undo(run_dir, "1")
    with pytest.raises(DecisionError, match="there is no import 9; imports: 1"):
        undo(run_dir, "9")
    with pytest.raises(DecisionError, match="'everything' cannot be read"):
        undo(run_dir, "everything")


def test_what_an_import_decided_anew_is_after_its_undo_as_the_earlier_import_decided_it(made, run_dir, decided):
    schema = made.config.annotation_schema
    first = import_review(run_dir, decided()).entry

    def anew(rows):
        words = schema.vocabulary[rows[0]["clause"]]
        rows[0]["decision"] = next(word for word in words if word != rows[0]["decision"])
        del rows[1:]

    second = import_review(run_dir, decided(anew)).entry
    changed = second.answers[0]
    undo(run_dir, str(second.number))
    assert standing(read_entries(run_dir, schema)) == list(first.answers)
    third = import_review(run_dir, decided()).entry
    assert standing(read_entries(run_dir, schema))[-1] == changed
    undo(run_dir, str(first.number))
    assert standing(read_entries(run_dir, schema)) == [changed], "also the replaced answer was taken back"
    undo(run_dir, str(third.number))
    assert standing(read_entries(run_dir, schema)) == []


def test_a_decision_taken_back_by_its_tile_and_clause_leaves_the_earlier_one_and_by_its_person_none(
    made, run_dir, decided
):
    schema = made.config.annotation_schema
    first = import_review(run_dir, decided()).entry
    import_review(run_dir, decided())
    question = first.answers[0]
    undo(run_dir, f"tile={question.tile_id}, clause={question.clause}")
    assert question in standing(read_entries(run_dir, schema))
    undo(run_dir, "person=anna")
    assert standing(read_entries(run_dir, schema)) == []


def test_what_is_decided_is_not_asked_again(run_dir, decided, tmp_path):
    before = {(q.tile_id, q.clause) for q in next(iter(read_exports(run_dir).values())).questions}
    import_review(run_dir, decided())
    again = export_review(run_dir, "csv", tmp_path / "again", "", 12, 0)
    assert not before & {(question.tile_id, question.clause) for question in again.record.questions}


def test_chosen_decisions_gain_several_times_what_random_ones_do(made):
    gains = measure_gain(made.path, 40)
    by_name = {each.strategy: each.total for each in gains if each.decisions == 40}
    assert by_name["most useful"] >= 2 * by_name["random"] > 0


def test_one_thing_at_a_time_is_asked_of_the_command(made, call, tmp_path):
    status, _, error = call("review", made.path, "--export", "csv", "--undo", "1")
    assert status == 2
    assert "different things to do" in error
    status, _, error = call("review", made.path, "--export", "excel", "--out", tmp_path / "x")
    assert status == 2
    assert "There is no review format 'excel'" in " ".join(error.split())
