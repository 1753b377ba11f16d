"""Draws docs/architecture.svg from the imports: packages as rows, sub-packages as boxes, imports between rows as lines.

python tools/architecture.py            write the picture
python tools/architecture.py --check    exit with status 1 if the picture in docs/ is not that of the code
"""

import argparse
import ast
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
# From the top: a row imports only from the rows below it.
ROWS = (("orchestrator",), ("actors",), ("benchmark", "export"), ("model", "hcot_llm"), ("corpus",))
COLOURS = {
    "orchestrator": "#d9e8f6",
    "actors": "#dcefdc",
    "benchmark": "#f6ecd2",
    "export": "#fde8d7",
    "model": "#f3dede",
    "hcot_llm": "#e6def3",
    "corpus": "#e4e4e4",
}
WIDTH, ROW, BOX, GAP, LEFT, RIGHT, TOP = 1680, 210, 166, 10, 176, 140, 66


def part_of(module: str) -> str:
    """The box a module belongs to: its sub-package, or its package where it lies beside the sub-packages."""
    package, *rest = module.split(".")
    folder = ROOT / package / rest[0] if rest else None
    return f"{package}.{rest[0]}" if folder is not None and folder.is_dir() else package


def read_imports() -> tuple[set[str], set[tuple[str, str]]]:
    """All boxes, and every (importing box, imported box)."""
    packages = {name for row in ROWS for name in row}
    boxes: set[str] = set()
    arrows: set[tuple[str, str]] = set()
    for package in sorted(packages):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if path.name == "__init__.py" and text.count("\n") < 2:
                continue  # a docstring
            own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
            boxes.add(own)
            for node in ast.walk(ast.parse(text)):
                if not (isinstance(node, ast.ImportFrom) and node.module and node.level == 0):
                    continue
                if node.module.split(".")[0] in packages and (other := part_of(node.module)) != own:
                    arrows.add((own, other))
    return boxes, arrows


def places(boxes: set[str], arrows: set[tuple[str, str]]) -> dict[str, tuple[float, float, float]]:
    """Left, top and width of each box in pixels; in a row, who imports more of the others stands further left."""
    found = {}
    for number, packages in enumerate(ROWS):
        row = [
            box
            for package in packages
            for box in sorted(
                (each for each in boxes if each.split(".")[0] == package),
                key=lambda box: (len(used_by(box, arrows)) - len(uses(box, arrows)), box),
            )
        ]
        width = (WIDTH - LEFT - RIGHT - GAP * (len(row) - 1)) / len(row)
        for place, box in enumerate(row):
            found[box] = (LEFT + place * (width + GAP), TOP + number * ROW, width)
    return found


def uses(box: str, arrows: set[tuple[str, str]]) -> list[str]:
    """Boxes of the same package that this one imports."""
    return [other for own, other in sorted(arrows) if own == box and other.split(".")[0] == box.split(".")[0]]


def used_by(box: str, arrows: set[tuple[str, str]]) -> list[str]:
    """Boxes of the same package that import this one."""
    return [own for own, other in sorted(arrows) if other == box and own.split(".")[0] == box.split(".")[0]]


def title(box: str) -> str:
    """What a box is called: its sub-package, or the files that lie beside the sub-packages."""
    package, _, name = box.partition(".")
    return name or f"{package}/*.py"


def picture() -> str:
    """The whole SVG."""
    boxes, arrows = read_imports()
    where = places(boxes, arrows)
    height = TOP + ROW * len(ROWS) - (ROW - BOX) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="20" y="36" font-size="18">Imports between packages point down only. A box is a sub-package: below '
        "its name, what it imports inside its package. On the right: imports from row to row.</text>",
    ]
    row_of = {package: number for number, row in enumerate(ROWS) for package in row}
    for start, end in sorted({(row_of[own.split(".")[0]], row_of[other.split(".")[0]]) for own, other in arrows}):
        if start == end:
            continue
        x, y, to_y = WIDTH - RIGHT + 6, TOP + start * ROW + 60 + 16 * (end - start), TOP + end * ROW + 40 + 14 * start
        reach = x + 26 + 22 * (end - start)
        parts.append(
            f'<path d="M{x} {y} C{reach} {y} {reach} {to_y} {x} {to_y}" fill="none" stroke="#5b7083" '
            f'stroke-width="2"/><path d="M{x - 2} {to_y} l9 -5 v10 z" fill="#5b7083"/>'
        )
    for row in ROWS:
        y = where[next(box for box in where if box.split(".")[0] == row[0])][1]
        for place, package in enumerate(row):
            parts.append(
                f'<text x="20" y="{y + BOX / 2 + 6 + (place - (len(row) - 1) / 2) * 24:.0f}" font-size="18" '
                f'font-weight="bold">{package}</text>'
            )
    for box, (x, y, width) in where.items():
        middle, label = x + width / 2, title(box)
        size = min(16, width / len(label) * 1.6)
        parts.append(
            f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{BOX}" rx="8" '
            f'fill="{COLOURS[box.split(".")[0]]}" stroke="#7a8a99"/>'
            f'<text x="{middle:.0f}" y="{y + 26}" font-size="{size:.1f}" font-weight="bold" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
        for number, other in enumerate(uses(box, arrows)):
            parts.append(
                f'<text x="{middle:.0f}" y="{y + 46 + number * 12.5:.0f}" font-size="10.5" text-anchor="middle">'
                f"→ {escape(title(other))}</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    """Write the picture, or compare it with the one in docs/."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    if parser.parse_args().check:
        same = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == picture()
        print("the picture is that of the code" if same else f"run python {Path(__file__).name}: the picture is old")
        return 0 if same else 1
    PICTURE.write_text(picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
