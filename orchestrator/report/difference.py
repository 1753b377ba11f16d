"""`knowlip diff`: what changed between two rounds, as a table and as a map."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orchestrator.report import plots
from orchestrator.report.change_map import draw_change_map
from orchestrator.report.places import sites_of
from orchestrator.report.story import Story
from orchestrator.report.tables import titled_table

_TRANSITIONS = 3
_TILES = 10


@dataclass(frozen=True)
class Difference:
    """The annotations after two rounds.

    Attributes:
        first: earlier round; 0 is what the run began with.
        second: the other round.
        tile_ids: N tiles.
        changed: bool [N, C].
        transitions: for each clause, (value after the first round, value after the second) -> number of tiles.
        mean_confidence: for each clause, of its values after either round.
    """

    first: int
    second: int
    tile_ids: tuple[str, ...]
    changed: np.ndarray
    transitions: dict[str, Counter[tuple[str, str]]]
    mean_confidence: dict[str, tuple[float, float]]

    def most_changed(self, most: int = _TILES) -> list[tuple[str, int]]:
        """The tiles of which most clauses changed, with how many."""
        counts = self.changed.sum(axis=1)
        return [
            (self.tile_ids[row], int(counts[row])) for row in np.argsort(-counts, kind="stable")[:most] if counts[row]
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain values: all transitions, and every tile that changed with its clauses."""
        names = list(self.transitions)
        return {
            "rounds": [self.first, self.second],
            "tiles": len(self.tile_ids),
            "changed_clauses": int(self.changed.sum()),
            "changed_tiles": int(self.changed.any(axis=1).sum()),
            "clauses": {
                clause: {
                    "changed": int(self.changed[:, column].sum()),
                    "mean_confidence": [round(each, 4) for each in self.mean_confidence[clause]],
                    "transitions": [
                        {"from": old, "to": new, "tiles": count}
                        for (old, new), count in self.transitions[clause].most_common()
                    ],
                }
                for column, clause in enumerate(names)
            },
            "by_tile": {
                tile_id: [clause for clause, differs in zip(names, row, strict=True) if differs]
                for tile_id, row in zip(self.tile_ids, self.changed, strict=True)
                if row.any()
            },
        }


def compare_rounds(story: Story, first: int, second: int) -> Difference:
    """What is different after the second round. Raises UnknownInRun: the run has no such round."""
    old, new, schema = story.state(first), story.state(second), story.schema
    changed = old.values != new.values
    transitions, confidence = {}, {}
    for column, (clause, words) in enumerate(schema.vocabulary.items()):
        rows = np.flatnonzero(changed[:, column])
        pairs = zip(old.values[rows, column], new.values[rows, column], strict=True)
        transitions[clause] = Counter((words[a], words[b]) for a, b in pairs)
        confidence[clause] = (float(old.confidence[:, column].mean()), float(new.confidence[:, column].mean()))
    return Difference(first, second, old.tile_ids, changed, transitions, confidence)


def print_difference(story: Story, found: Difference, picture: Path | None, console: Console) -> None:
    """Print what changed between two rounds, and draw the map.

    Args:
        story: of the run.
        found: what changed.
        picture: the map's PNG file; None: in the run's folder of figures.
        console: where the user reads.
    """
    if found.changed.any():
        console.print(_table(found))
        worst = ", ".join(f"{tile_id} ({count})" for tile_id, count in found.most_changed(5))
        console.print(f"Changed most: {worst}.", highlight=False, soft_wrap=True, markup=False)
    else:
        console.print(f"Nothing is different between {_name(found.first)} and {_name(found.second)}.", highlight=False)
    path = picture or story.directory.figures / f"diff_{found.first}_{found.second}.png"
    if (drawn := _draw(story, found, path)) is None:
        console.print("No map: the corpus of the run is not where it was.", highlight=False)
    else:
        console.print(f"map {drawn}", highlight=False, soft_wrap=True, markup=False)


def _draw(story: Story, found: Difference, path: Path) -> Path | None:
    if story.corpus is None:
        return None
    counts = dict(zip(found.tile_ids, found.changed.sum(axis=1).tolist(), strict=True))
    title = f"Clauses that changed between {_name(found.first)} and {_name(found.second)}"
    figure = draw_change_map(sites_of(story.corpus.tiles, set(found.tile_ids)), counts, len(story.schema), title)
    return plots.save(figure, path)


def _table(found: Difference) -> Table:
    tiles, changed = len(found.tile_ids), int(found.changed.any(axis=1).sum())
    heading = f"{_name(found.first)} against {_name(found.second)}"
    table = titled_table(
        f"{heading.capitalize()}: {int(found.changed.sum()):,} clauses of {changed:,} of {tiles:,} tiles"
    )
    table.add_column("clause", no_wrap=True)
    for name in ("changed", "share", "mean p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("most often")
    for column, (clause, transitions) in enumerate(found.transitions.items()):
        count = int(found.changed[:, column].sum())
        before, after = found.mean_confidence[clause]
        most = ", ".join(f"{old} → {new} {n}" for (old, new), n in transitions.most_common(_TRANSITIONS))
        table.add_row(
            clause.replace("_", " "),
            f"{count:,}",
            f"{count / tiles:.1%}",
            f"{before:.2f} → {after:.2f}",
            most.replace("_", " "),
        )
    return table


def _name(round_: int) -> str:
    return f"round {round_}" if round_ else "the initial annotations"
