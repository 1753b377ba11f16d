"""The gallery: one page with everything inside, of any schema, whatever the names in it."""

import json
import re
import shutil

import pytest

from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.report.page import page_data, render, write_gallery
from orchestrator.report.story import read_story
from support.made_run import make_run
from support.toy_schemas import LANDSCAPE


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("gallery"), AnnotationSchema.model_validate(LANDSCAPE), tiles=24)


@pytest.fixture(scope="module")
def page(made):
    return write_gallery(made.path, tiles=10).read_text(encoding="utf-8")


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_everything_and_names_no_address(page):
    without_data = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert set(re.findall(r"https?://[^\"' ]+", without_data)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "default-src 'none'" in page
    assert not re.search(r"<(link|iframe|script[^>]+src|img[^>]+src=\"(?!data:))", without_data)


def test_the_page_has_the_tiles_that_changed_most_with_pictures_and_whole_histories(made, page):
    data, story = data_of(page), read_story(made.path)
    assert len(data["shown"]) == 10
    changed = [sum(steps[0][0] != steps[-1][0] for steps in tile["steps"]) for tile in data["shown"]]
    assert changed == sorted(changed, reverse=True)
    assert [clause["name"] for clause in data["clauses"]] == ["terrain", "water"]
    for tile in data["shown"]:
        assert tile["pictures"]
        assert all(uri.startswith("data:image/jpeg;base64,") for _, uri, _, _ in tile["pictures"])
        for clause, steps in zip(("terrain", "water"), tile["steps"], strict=True):
            told = story.steps(tile["id"], clause)
            assert [step[0] for step in steps] == [step.value for step in told]
            assert [step[3] for step in steps] == [step.why for step in told]
    assert sum(len(site["tiles"]) for site in data["sites"]) == data["tiles"] == 24


def test_the_command_says_where_the_page_lies(made, call, tmp_path):
    status, out, error = call("gallery", str(made.path), "--out", str(tmp_path / "page.html"), "--tiles", "2")
    assert status == 0, error
    assert str(tmp_path / "page.html") in out.replace("\n", "")
    assert len(data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["shown"]) == 2


def test_nothing_in_the_data_can_end_the_script(made):
    data = page_data(read_story(made.path), 2)
    data["shown"][0]["city"] = "</script><script>alert(1)</script>&\u2028"
    page = render(data | {"name": "<img onerror=alert(1)>"})
    assert "alert(1)</script>" not in page
    assert "<img onerror" not in page
    assert data_of(page)["shown"][0]["city"] == data["shown"][0]["city"]


def test_a_run_whose_corpus_is_gone_has_a_page_without_map_and_pictures(made, tmp_path):
    run_dir = shutil.copytree(made.path, tmp_path / "run")
    about = json.loads((run_dir / "corpus.json").read_text())
    (run_dir / "corpus.json").write_text(json.dumps(about | {"corpus_dir": str(tmp_path / "nowhere")}))
    data = data_of(write_gallery(run_dir, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert data["sites"] == []
    assert all(tile["pictures"] == [] for tile in data["shown"])
