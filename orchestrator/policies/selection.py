"""Which doubtful clauses are written again where not all may be, and which rows a round is trained on."""

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.rarity import rare_values
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.matrix import AnnotationMatrix


def most_doubtful(doubtful: np.ndarray, confidence: np.ndarray, limited: np.ndarray, share: float) -> np.ndarray:
    """The doubtful clauses that may be written again, bool [N, C].

    Of the clauses of `limited` tiles at most `share`, those of the least confidence first; of equal ones, those of
    earlier tiles and then of earlier clauses. The other tiles (held out, for calibration) are not limited.

    Args:
        doubtful: bool [N, C]. confidence: float [N, C], of the current values. limited: bool [N].
    """
    candidates = np.flatnonzero((doubtful & limited[:, None]).ravel())
    budget = int(share * limited.sum() * doubtful.shape[1])
    order = np.argsort(confidence.ravel()[candidates], kind="stable")
    left_out = np.zeros(doubtful.size, dtype=bool)
    left_out[candidates[order[budget:]]] = True
    return doubtful & ~left_out.reshape(doubtful.shape)


def shows_seed(tile_ids: Sequence[str], share: float, run_seed: int, round_: int) -> np.ndarray:
    """The tiles that a round shows with the seed's caption, bool [N]: each by a draw of its own."""
    return np.asarray([_draw(run_seed, round_, tile_id, "seed caption") < share for tile_id in tile_ids], dtype=bool)


def rare_landforms(current: AnnotationMatrix, taught: np.ndarray) -> np.ndarray:
    """Tiles with a rare value, as they are annotated now, of a clause whose rarity the schema counts, bool [N].

    A clause that is too doubtful to be taught does not make its tile rare: many rare values are errors.

    Args:
        taught: bool [N, C].
    """
    rare = np.zeros(len(current), dtype=bool)
    for column, clause in enumerate(current.schema.clauses):
        if not clause.rarity:
            continue
        values = [clause.values[index] for index in current.values[:, column]]
        wanted = rare_values(values)
        rare |= np.asarray([value in wanted for value in values]) & taught[:, column]
    return rare


def copies(tile_ids: Sequence[str], rare: np.ndarray, factor: float, run_seed: int, round_: int) -> np.ndarray:
    """How often each tile stands in a round's rows, int [N]: once, and rare ones `factor` times on average."""
    whole, fraction = int(factor), factor - int(factor)
    drawn = [_draw(run_seed, round_, tile_id, "rare landform") < fraction for tile_id in tile_ids]
    return np.where(rare, whole + np.asarray(drawn, dtype=int), 1)


def _draw(*parts: int | str) -> float:
    """Uniform in [0, 1)."""
    return derive_seed(*parts) / 2**63
