"""The `knowlip` commands that README and docs show."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "k8s" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_START = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\.venv(?:-gpu)?/bin/)?knowlip ")
_INLINE = re.compile(r"`(?:\.venv/bin/)?knowlip ([^`]+)`", re.DOTALL)


@dataclass(frozen=True)
class Documented:
    """A command as it is written: where, its words after `knowlip`, and whether it stands in a block of its own."""

    page: str
    arguments: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.arguments)}"


def documented_commands() -> list[Documented]:
    """All commands, each once: those of code blocks, which are whole, and those inside of sentences."""
    return list(dict.fromkeys(command for page in PAGES for command in _of(page)))


def _of(page: Path) -> list[Documented]:
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        indented = line.startswith("    ") or line.startswith("\t")
        if indented and (start := _START.match(line.strip())):
            found.append(Documented(name, _words(line.strip()[start.end() :]), True))
    for match in _INLINE.finditer(text):
        found.append(Documented(name, _words(match[1]), False))
    return found


def _words(text: str) -> tuple[str, ...]:
    """The words of a command. What is optional or one of several is all given.

    A number stands for N, R or R1, and an address for URL.
    """
    if "[--" in text:
        text = re.sub(r"[\[\]]", "", text).replace(" | ", " ")
    words = shlex.split(text.replace(" ...", ""), comments=True)
    words = words[: words.index("&")] if "&" in words else words
    words = ["http://localhost:8265" if word == "URL" else word for word in words]
    return tuple("1" if re.fullmatch(r"[NR]\d?", word) else word for word in words)
