"""Draws docs/architecture.svg from the imports: packages as rows, sub-packages as boxes, imports between rows as lines.

python tools/architecture.py            write the picture
python tools/architecture.py --check    exit with status 1 if the picture in docs/ is not that of the code
"""

import argparse
import ast
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
# From the top: a row imports only from the rows below it.
ROWS = (("orchestrator",), ("actors",), ("benchmark",), ("model", "hcot_llm"), ("corpus",))
COLOURS = {
    "orchestrator": "#d9e8f6",
    "actors": "#dcefdc",
    "benchmark": "#f6ecd2",
    "model": "#f3dede",
    "hcot_llm": "#e6def3",
    "corpus": "#e4e4e4",
}
WIDTH, ROW, BOX, GAP, LEFT, TOP = 1500, 190, 84, 10, 130, 60


def part_of(module: str) -> str:
    """The box a module belongs to: its sub-package, or its package where it lies beside the sub-packages."""
    package, *rest = module.split(".")
    folder = ROOT / package / rest[0] if rest else None
    return f"{package}.{rest[0]}" if folder is not None and folder.is_dir() else package


def read_imports() -> tuple[Counter, Counter]:
    """Lines of code in each box, and how many imports go from one box to another.

    Returns:
        lines by box; imports by (importing box, imported box).
    """
    packages = {name for row in ROWS for name in row}
    lines: Counter = Counter()
    arrows: Counter = Counter()
    for package in sorted(packages):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
            lines[own] += text.count("\n")
            for node in ast.walk(ast.parse(text)):
                if not (isinstance(node, ast.ImportFrom) and node.module and node.level == 0):
                    continue
                if node.module.split(".")[0] in packages and (other := part_of(node.module)) != own:
                    arrows[own, other] += 1
    return lines, arrows


def places(lines: Counter) -> dict[str, tuple[float, float, float]]:
    """Left, top and width of each box in pixels."""
    found = {}
    for number, packages in enumerate(ROWS):
        boxes = [box for package in packages for box in sorted(lines) if box.split(".")[0] == package]
        width = (WIDTH - LEFT - 30 - GAP * (len(boxes) - 1)) / len(boxes)
        for place, box in enumerate(boxes):
            found[box] = (LEFT + place * (width + GAP), TOP + number * ROW, width)
    return found


def picture() -> str:
    """The whole SVG."""
    lines, arrows = read_imports()
    where = places(lines)
    height = TOP + ROW * len(ROWS) - (ROW - BOX) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="20" y="32" font-size="17">Imports go down only. Boxes: sub-packages and their lines of code; '
        "lines: imports between packages, thicker where there are more.</text>",
    ]
    for (own, other), count in sorted(arrows.items()):
        if own.split(".")[0] == other.split(".")[0]:
            continue  # inside a package: the test of imports has their order
        (x, y, width), (to_x, to_y, to_width) = where[own], where[other]
        start, end = (x + width / 2, y + BOX), (to_x + to_width / 2, to_y)
        bend = (end[1] - start[1]) / 2
        parts.append(
            f'<path d="M{start[0]:.0f} {start[1]} C{start[0]:.0f} {start[1] + bend:.0f} {end[0]:.0f} '
            f'{end[1] - bend:.0f} {end[0]:.0f} {end[1]}" fill="none" stroke="#5b7083" '
            f'stroke-width="{min(0.5 + count * 0.22, 4):.2f}" stroke-opacity="0.32"/>'
        )
    for row in ROWS:
        y = where[next(box for box in where if box.split(".")[0] == row[0])][1]
        for place, package in enumerate(row):
            parts.append(
                f'<text x="20" y="{y + BOX / 2 + 6 + (place - (len(row) - 1) / 2) * 24:.0f}" font-size="17" '
                f'font-weight="bold">{package}</text>'
            )
    for box, (x, y, width) in where.items():
        package, _, name = box.partition(".")
        label, middle = name or package, x + width / 2
        size = min(17, width / len(label) * 1.6)
        parts.append(
            f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{BOX}" rx="8" fill="{COLOURS[package]}" '
            f'stroke="#7a8a99"/>'
            f'<text x="{middle:.0f}" y="{y + 38}" font-size="{size:.1f}" text-anchor="middle">{escape(label)}</text>'
            f'<text x="{middle:.0f}" y="{y + 62}" font-size="13" fill="#555" text-anchor="middle">{lines[box]:,}</text>'
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
