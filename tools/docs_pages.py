"""A hook of MkDocs: takes pages from outside of docs/ into the site, and turns links between files into links of it."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "k8s/README.md": "kubernetes.md",
}
"""File of the repository -> page of the site. What lies in docs/ keeps its place."""
_NAME_IN_TABLE = re.compile(r"(?<=<td><code>)[^<]+(?=</code>)")
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside of docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to where their files are in the site."""
    return with_site_links(markdown, page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Let long names in tables break where a reader would break them."""
    return with_breaks(html)


def with_breaks(html: str) -> str:
    """Return HTML whose names in the cells of tables may break after each dot and underscore."""
    return _NAME_IN_TABLE.sub(lambda name: re.sub(r"([._/])(?=\w)", r"\1<wbr>", name[0]), html)


def with_site_links(markdown: str, page: str) -> str:
    """Return Markdown whose relative links lead to pages of the site; a link to another file stays as it is.

    Args:
        markdown: Text of a file of the repository.
        page: The page of the site that it becomes.
    """
    source = next((source for source, each in PAGES.items() if each == page), f"docs/{page}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        place = PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if place is None:
            return match[0]
        return f"]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{match[2]})"

    return _LINK.sub(moved, markdown)
