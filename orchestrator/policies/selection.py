"""Which flagged clauses the captioner is queried about where not all may be, and which rows a round is trained on."""

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.rarity import rare_values
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.matrix import AnnotationMatrix


def choose_queried(flagged: np.ndarray, confidence: np.ndarray, limited: np.ndarray, share: float) -> np.ndarray:
    """Choose the flagged clauses to query the captioner about, bool [N, clauses].

    Of the clauses of `limited` tiles at most `share` are chosen. Those of the least confidence come first; of equal
    ones, those of earlier tiles and then of earlier clauses. The other tiles, which are held out, are not limited.

    Args:
        flagged: bool [N, clauses].
        confidence: float [N, clauses], of the current values.
        limited: bool [N].
        share: in [0, 1], of all clauses of the limited tiles.
    """
    candidates = np.flatnonzero((flagged & limited[:, None]).ravel())
    budget = int(share * limited.sum() * flagged.shape[1])
    order = np.argsort(confidence.ravel()[candidates], kind="stable")
    left_out = np.zeros(flagged.size, dtype=bool)
    left_out[candidates[order[budget:]]] = True
    return flagged & ~left_out.reshape(flagged.shape)


def shows_initial(tile_ids: Sequence[str], share: float, run_seed: int, round_: int) -> np.ndarray:
    """Draw the tiles that a round shows with their initial caption, bool [N]; each by a draw of its own."""
    # "seed caption" is a part of the seed: other words would draw other tiles.
    return np.asarray([_draw(run_seed, round_, tile_id, "seed caption") < share for tile_id in tile_ids], dtype=bool)


def rare_landforms(current: AnnotationMatrix, loss_mask: np.ndarray) -> np.ndarray:
    """Find the tiles with a rare value, as they are annotated now, of a clause whose rarity counts, bool [N].

    A clause that is no training target does not make its tile rare, because many rare values are errors.

    Args:
        current: annotations of N tiles.
        loss_mask: bool [N, clauses], the clauses that are training targets.
    """
    rare = np.zeros(len(current), dtype=bool)
    for column, clause in enumerate(current.schema.clauses):
        if not clause.rarity:
            continue
        values = [clause.values[index] for index in current.values[:, column]]
        wanted = rare_values(values)
        rare |= np.asarray([value in wanted for value in values]) & loss_mask[:, column]
    return rare


def copies(tile_ids: Sequence[str], rare: np.ndarray, factor: float, run_seed: int, round_: int) -> np.ndarray:
    """How often each tile stands in a round's rows, int [N]: once, and rare ones `factor` times on average."""
    whole, fraction = int(factor), factor - int(factor)
    drawn = [_draw(run_seed, round_, tile_id, "rare landform") < fraction for tile_id in tile_ids]
    return np.where(rare, whole + np.asarray(drawn, dtype=int), 1)


def _draw(*parts: int | str) -> float:
    """Uniform in [0, 1)."""
    return derive_seed(*parts) / 2**63
