"""The documentation as a site: which files become which pages, and where their links lead."""

import pytest
import yaml

from support.paths import ROOT

docs_pages = pytest.importorskip("tools.docs_pages", reason="mkdocs is not installed", exc_type=ImportError)


@pytest.mark.parametrize(
    ("page", "link", "wanted"),
    [
        ("index.md", "docs/method.md#the-loop", "method.md#the-loop"),
        ("index.md", "k8s/README.md", "kubernetes.md"),
        ("kubernetes.md", "../docs/durability.md#exit-statuses", "durability.md#exit-statuses"),
        ("architecture.md", "../CONTRIBUTING.md", "contributing.md"),
        ("decisions/0009-fixed-level-matched-contrast.md", "../input.md", "../input.md"),
        ("decisions/README.md", "0003-no-pickles.md", "0003-no-pickles.md"),
        ("index.md", "https://arxiv.org/abs/2509.23927", "https://arxiv.org/abs/2509.23927"),
        ("index.md", "tools/lock.py", "tools/lock.py"),
    ],
)
def test_links_lead_to_the_page_that_their_file_became(page, link, wanted):
    assert docs_pages.with_site_links(f"see [this]({link}).", page) == f"see [this]({wanted})."


def test_names_in_tables_break_at_dots_and_underscores_alone():
    cell = "<td><code>corpus.data_dir</code></td>"
    assert docs_pages.with_breaks(cell) == "<td><code>corpus.<wbr>data_<wbr>dir</code></td>"
    assert docs_pages.with_breaks("<p><code>corpus.data_dir</code></p>") == "<p><code>corpus.data_dir</code></p>"


def test_every_page_stands_in_the_navigation():
    def pages(nav):
        for entry in nav:
            for value in entry.values() if isinstance(entry, dict) else [entry]:
                yield from pages(value) if isinstance(value, list) else [value]

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    docs = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(pages(nav)) == docs | set(docs_pages.PAGES.values())
