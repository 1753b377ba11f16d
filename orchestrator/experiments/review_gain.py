"""What people's decisions are worth on simulated scenes: the last round weighed again with decisions, chosen or random.

The truth is opened here, to play the person and to count; nothing of the run is changed, and no round reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from actors.evaluator import Judge
from corpus.storage.errors import InputError
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.people import PeoplesWord, Said, peoples_word
from hcot_llm.aggregation.relabel import Proposals, update_labels
from orchestrator.data.inputs import read_inputs
from orchestrator.decisions.people import DEFAULT_KIND, PEOPLE
from orchestrator.report.story import Story, read_story
from orchestrator.report.tables import titled_table
from orchestrator.review.usefulness import ask_first
from orchestrator.state.evidence import Evidence

RANDOM_DRAWS = 5


class NothingToMeasure(InputError):
    """A run of which the gain of decisions cannot be measured; the message says why."""


@dataclass(frozen=True)
class Gain:
    """Right clauses of training tiles, more than without decisions. direct: of the decided clauses themselves."""

    strategy: str
    decisions: int
    direct: float
    others: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.direct + self.others


def measure_gain(run_dir: Path, most: int, accuracy: float = 1.0) -> list[Gain]:
    """Gain of the most useful, the least probable and random decisions, for a quarter, a half and all of `most`.

    Args:
        run_dir: of a run on simulated scenes, with a round recorded.
        most: decisions, each of one clause of one tile.
        accuracy: share of right answers of the simulated person.

    Raises:
        NothingToMeasure: the run has no truth, or no evidence.
    """
    story = read_story(run_dir)
    evidence, truth, training = _last(story), _truth(story), _training(story)
    before = _weighed(story, evidence, None, training)
    open_ = np.broadcast_to(training[:, None], truth.shape)
    useful = [(r, c) for r, c, _ in ask_first(evidence, story.states[-1], story.states[0], open_, most)]
    doubt = 1 - story.states[-1].confidence
    doubtful = [tuple(each) for each in np.argwhere(open_)[np.argsort(-doubt[open_], kind="stable")][:most]]
    draws = []
    for number in range(RANDOM_DRAWS):
        draw = np.random.default_rng(derive_seed(story.config.seed, number, "random decisions"))
        draws.append([tuple(each) for each in draw.permutation(np.argwhere(open_))[:most]])
    found = []
    for count in sorted({max(most // 4, 1), max(most // 2, 1), most}):
        for name, lists in (("most useful", [useful]), ("least probable", [doubtful]), ("random", draws)):
            gains = [
                _gain(story, evidence, truth, training, before, chosen[:count], accuracy, number)
                for number, chosen in enumerate(lists)
            ]
            direct, others = np.mean(gains, axis=0)
            found.append(Gain(name, count, float(direct), float(others)))
    return found


def print_gain(run_dir: Path, most: int, console: Console) -> None:
    """Print the gain with a person who is always right, and with one as is expected of an annotator."""
    expected = PEOPLE[DEFAULT_KIND].accuracy
    for accuracy in (1.0, expected):
        gains = measure_gain(run_dir, most, accuracy)
        table = titled_table(f"Right clauses gained by decisions of a person who is right in {accuracy:.0%}")
        for name in ("chosen", "decisions", "decided clauses", "other clauses", "in all", "a decision", "times random"):
            table.add_column(name, justify="left" if name == "chosen" else "right")
        for gain in gains:
            chance = next(each for each in gains if each.strategy == "random" and each.decisions == gain.decisions)
            times = f"{gain.total / chance.total:.1f}" if chance.total > 0 else "unknown"
            table.add_row(
                gain.strategy,
                str(gain.decisions),
                f"{gain.direct:.1f}",
                f"{gain.others:+.1f}",
                f"{gain.total:.1f}",
                f"{gain.total / gain.decisions:.3f}",
                times,
            )
        console.print(table)
    console.print(
        f"Weighed again with the last round's evidence, without training anew; random: mean of {RANDOM_DRAWS} draws.",
        style="dim",
        highlight=False,
    )


def gain_as_json(run_dir: Path, most: int) -> dict[str, Any]:
    """The same as plain values."""
    return {
        f"{accuracy:g}": [
            {"chosen": g.strategy, "decisions": g.decisions, "decided_clauses": g.direct, "other_clauses": g.others}
            for g in measure_gain(run_dir, most, accuracy)
        ]
        for accuracy in (1.0, PEOPLE[DEFAULT_KIND].accuracy)
    }


def _gain(
    story: Story,
    evidence: Evidence,
    truth: np.ndarray,
    training: np.ndarray,
    before: np.ndarray,
    chosen: Sequence[tuple[int, int]],
    accuracy: float,
    number: int,
) -> tuple[float, float]:
    schema, tile_ids = story.schema, story.states[-1].tile_ids
    draw = np.random.default_rng(derive_seed(story.config.seed, number, len(chosen), "simulated person"))
    said, decided = [], np.zeros(truth.shape, dtype=bool)
    for row, column in chosen:
        words, right = schema.vocabulary[schema.names[column]], int(truth[row, column])
        others = [index for index in range(len(words)) if index != right]
        value = right if draw.random() < accuracy or not others else others[int(draw.integers(len(others)))]
        believed = PEOPLE[DEFAULT_KIND].accuracy
        said.append(Said(tile_ids[row], schema.names[column], words[value], believed))
        decided[row, column] = True
    after = _weighed(story, evidence, peoples_word(schema, tile_ids, said), training)
    better = (after == truth).astype(int) - (before == truth)
    better[~training] = 0
    return float(better[decided].sum()), float(better[~decided].sum())


def _weighed(story: Story, evidence: Evidence, people: PeoplesWord | None, training: np.ndarray) -> np.ndarray:
    """The last round's annotations, int [N, C], aggregated once more from what its sources said."""
    nothing = np.zeros(len(evidence.tile_ids))
    feedback = Feedback(
        evidence.tile_ids,
        evidence.distributions["encoder"],
        evidence.distributions["neighbours"],
        nothing,
        nothing,
        evidence.gains["itc_gain"],
        evidence.gains["itm_gain"],
    )
    proposals = Proposals(evidence.proposed, dict(evidence.distributions["captioner"]), {})
    config = story.config
    update = update_labels(
        feedback,
        story.states[-2],
        story.states[0],
        proposals,
        ~training,
        config.acceptance,
        captioner=config.captioner.prior,
        people=people,
    )
    return update.matrix.values


def _last(story: Story) -> Evidence:
    evidence = story.evidence[-1] if story.evidence else None
    if evidence is None:
        raise NothingToMeasure(
            f"{story.directory.path} has no recorded round that left its evidence. Run a round first."
        )
    return evidence


def _training(story: Story) -> np.ndarray:
    return np.asarray([story.splits.get(tile, "train") == "train" for tile in story.states[-1].tile_ids])


def _truth(story: Story) -> np.ndarray:
    """Value indices int [N, C]."""
    folder = read_inputs(story.directory.path).corpus_dir.parent / "truth"
    tile_ids = list(story.states[-1].tile_ids)
    known = Judge(story.schema, str(folder)).truth_for_pictures(tile_ids)
    if known is None:
        raise NothingToMeasure(
            f"The truth of {story.directory.path} is not known, so what decisions gain cannot be counted. Take a run "
            "on simulated scenes."
        )
    index = story.schema.value_index
    return np.asarray([[index[clause][known[tile][clause]] for clause in story.schema.names] for tile in tile_ids])
