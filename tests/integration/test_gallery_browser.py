"""The gallery in a real browser: it shows, filters, zooms and tells, and asks for nothing from a network."""

import os
import shutil

import pytest

from orchestrator.report.page import write_gallery
from orchestrator.report.story import read_story
from support.made_run import make_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = os.environ.get("KNOWLIP_TESTS_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("browser"), tiles=40)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        if BROWSER is None and not os.path.exists(playwright.chromium.executable_path):
            pytest.skip("there is no browser: `apt install chromium`, or name one in KNOWLIP_TESTS_BROWSER")
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def page(made, browser):
    path = write_gallery(made.path)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    told, asked = [], []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".card")
    yield page
    assert told == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    page.close()


def tiles_of(page) -> int:
    return int(page.locator("#count").inner_text().split()[0])


def test_filters_narrow_what_is_shown_and_a_reset_brings_all_back(page):
    everything = tiles_of(page)
    page.select_option("#clause", "road")
    page.check("#onlychanged")
    changed = tiles_of(page)
    assert 0 < changed < everything
    assert page.locator(".card .new").count() == changed
    page.locator("#confidence").fill("50")
    assert tiles_of(page) < changed
    page.select_option("#before", "1")
    page.click("#reset")
    assert tiles_of(page) == everything


def test_a_site_on_the_map_shows_its_tiles_alone(page):
    everything = tiles_of(page)
    page.locator("svg .site").last.click()
    assert 0 < tiles_of(page) < everything
    assert page.locator("svg .tile").count() == tiles_of(page)
    page.click("#world")
    assert tiles_of(page) == everything
    page.select_option("#site", "0")
    assert page.locator("svg .tile").count() == tiles_of(page) < everything


def shown_values(page) -> dict[str, dict[str, tuple[str, str]]]:
    """Tile -> clause -> value to compare to and value after the round, as the cards show them."""
    rows = page.evaluate(
        """[...document.querySelectorAll('.card')].flatMap(card => [...card.querySelectorAll('tbody tr')].map(
            row => [card.dataset.tile, ...[...row.cells].slice(0, 3).map(cell => cell.innerText)]))"""
    )
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for tile, clause, before, after in rows:
        found.setdefault(tile, {})[clause.replace(" ", "_")] = before, after
    return found


def map_colours(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('svg .site')].map(each => each.getAttribute('fill'))")


def test_the_slider_shows_clauses_and_map_as_they_were_after_each_round(made, page):
    story, colours, orders = read_story(made.path), [], []
    for number in range(story.rounds + 1):
        page.locator("#round").fill(str(number))
        assert page.locator("#roundname").inner_text() == (f"After round {number}" if number else "Initial annotations")
        shown = shown_values(page)
        assert sum(map(len, shown.values())) > 20
        for tile, clauses in shown.items():
            for clause, (before, after) in clauses.items():
                steps = story.steps(tile, clause)
                assert before == steps[0].value.replace("_", " ")
                assert after == steps[number].value.replace("_", " ")
        changed = sum((story.states[number].values != story.states[0].values).ravel())
        assert page.locator("#then").inner_text().endswith(f"{changed} clauses changed so far")
        assert f", {changed} clauses changed" in page.locator("#count").inner_text()
        colours.append(map_colours(page))
        orders.append(list(shown))
    assert orders[0] == orders[1] == orders[2]  # a tile keeps its place
    assert set(colours[0]) == {"rgb(242,242,242)"}
    assert colours[0] != colours[1]


def test_play_goes_from_the_initial_annotations_to_the_last_round_and_ends(page):
    page.click("#play")
    assert page.locator("#roundname").inner_text() == "Initial annotations"
    sync_api.expect(page.locator("#roundname")).to_have_text("After round 2")
    sync_api.expect(page.locator("#play")).to_have_text("Play")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["a laptop", "a telephone"])
def test_nothing_is_wider_than_the_screen_and_the_slider_stays_in_sight(page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.reload()
    page.wait_for_selector(".card")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    page.evaluate("scrollTo(0, 1500)")
    top = page.locator("#round").bounding_box()["y"]
    assert 0 <= top < 100
    page.locator(".card").nth(3).click()
    box = page.locator("#detail").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size[0]


def test_a_tile_tells_who_said_what_in_every_round(page):
    page.locator(".card").first.click()
    page.locator("tr.row").first.click()
    told = page.locator("tr.story:visible").inner_text()
    for word in ("initial", "round 1", "round 2", "encoder", "probable"):
        assert word in told
    assert page.locator("#detail img").count() >= 1
    assert page.evaluate("[...document.querySelectorAll('#detail img')].every(i => i.naturalWidth > 0)")
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()


def test_the_page_works_inside_the_frame_that_mlflow_shows_artifacts_in(made, browser, tmp_path):
    frame = tmp_path / "frame.html"
    source = write_gallery(made.path).as_uri()
    frame.write_text(f'<iframe sandbox="allow-scripts" src="{source}" width="1200" height="800"></iframe>')
    page = browser.new_page()
    told = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(frame.as_uri())
    inner = page.frame_locator("iframe")
    inner.locator(".card").first.click()
    assert inner.locator("#detail").is_visible()
    assert told == []
    page.close()
