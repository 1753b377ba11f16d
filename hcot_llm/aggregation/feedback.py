"""The encoder's feedback on every clause of every annotation, and which clauses it flags.

Sign and class conventions live here and nowhere else: similarity and match probability are both "higher is
better", and a gain is positive when the caption scores better WITHOUT the clause (paper, section on SCIO,
phase 2). The released code of the paper compares distances to 1 on unbounded logits, which can prefer the
lower similarity; nothing here does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.storage.arrow import in_lists
from corpus.storage.models import StrictModel
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema


class FlagConfig(StrictModel):
    """Which clauses are flagged, to be written again."""

    leave_one_out: bool = Field(
        default=False,
        description="flag a clause whose removal improves both ITC and ITM (the paper's rule); as many more captions "
        "are scored as there are clauses",
    )
    minimum_gain: float = Field(
        default=0.0, ge=0, description="both gains must exceed this (similarity, probability) to flag by leave-one-out"
    )
    minimum_confidence: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="also flag a clause whose probability, given the encoder and the initial annotation, is lower; "
        "1 flags all",
    )


@dataclass(frozen=True)
class Feedback:
    """Scores of N annotated tiles, all in the order of `tile_ids`. Distributions may be float32, as they were made.

    Attributes:
        tile_ids: Ids of the N tiles.
        zero_shot: Per clause float [N, V], the encoder's distribution over the clause's values.
        neighbours: Per clause float [N, V], the share of the nearest tiles (by image embedding) that have each value.
        itc: float [N], cosine similarity of the image and the whole caption.
        itm: float [N], probability that image and whole caption match.
        itc_gain: float [N, C], `itc` of the caption without the clause minus that of the whole caption.
        itm_gain: float [N, C], `itm` of the caption without the clause minus that of the whole caption.
    """

    tile_ids: Sequence[str]
    zero_shot: Mapping[str, np.ndarray]
    neighbours: Mapping[str, np.ndarray]
    itc: np.ndarray
    itm: np.ndarray
    itc_gain: np.ndarray
    itm_gain: np.ndarray


def leave_one_out_gains(scores: np.ndarray) -> np.ndarray:
    """What the score of each caption gains when a clause is left out.

    Args:
        scores: float [N, 1 + C], higher is better: the whole caption's, then the caption's without each of C clauses.

    Returns:
        float [N, C], positive where the caption scores better WITHOUT the clause.
    """
    return scores[:, 1:] - scores[:, :1]


def leave_one_out_flags(itc_gain: np.ndarray, itm_gain: np.ndarray, minimum_gain: float = 0.0) -> np.ndarray:
    """Clauses whose removal improves both scores.

    Args:
        itc_gain: float [N, C], gain in cosine similarity.
        itm_gain: float [N, C], gain in the probability of a match.
        minimum_gain: Both gains must exceed it.

    Returns:
        bool [N, C].
    """
    return (itc_gain > minimum_gain) & (itm_gain > minimum_gain)


def flagged_clauses(feedback: Feedback, confidence: np.ndarray, config: FlagConfig) -> np.ndarray:
    """Clauses to write again.

    Args:
        feedback: The encoder's feedback on the N tiles.
        confidence: float [N, C], probability of the current value given the encoder and the initial annotation.
        config: Which clauses are flagged.

    Returns:
        bool [N, C].
    """
    # A threshold of 1 flags all clauses, also those whose probability is rounded to 1.
    flags = (confidence < config.minimum_confidence) | (config.minimum_confidence == 1)
    if config.leave_one_out:
        flags = flags | leave_one_out_flags(feedback.itc_gain, feedback.itm_gain, config.minimum_gain)
    return flags


def feedback_hints(schema: AnnotationSchema, feedback: Feedback, row: int, clauses: Sequence[str]) -> dict[str, str]:
    """The hints that a prompt gives on its queried clauses.

    Args:
        schema: The schema of the clauses.
        feedback: The encoder's feedback.
        row: Row of the tile.
        clauses: The queried clauses.

    Returns:
        Per clause the encoder's most probable value, then the neighbours' most frequent one where it differs:
        `{"water": "lake sea"}`.
    """
    hints = {}
    for clause in clauses:
        vocabulary = schema.vocabulary[clause]
        encoder = vocabulary[int(feedback.zero_shot[clause][row].argmax())]
        neighbours = vocabulary[int(feedback.neighbours[clause][row].argmax())]
        hints[clause] = hint_of(encoder, neighbours)
    return hints


def hints_of_all(schema: AnnotationSchema, feedback: Feedback, rows: np.ndarray) -> pa.ListArray:
    """The hints of `feedback_hints` on every clause of many tiles.

    Args:
        schema: The schema of the C clauses.
        feedback: The encoder's feedback.
        rows: int [n], rows of the tiles.

    Returns:
        n lists of C texts.
    """
    # Every hint that a clause can have: one after the other, for each value of the encoder those of the neighbours.
    possible, chosen = [], np.empty((len(rows), len(schema)), dtype=np.int64)
    for column, (clause, words) in enumerate(schema.vocabulary.items()):
        encoder, neighbours = (each[clause][rows].argmax(axis=1) for each in (feedback.zero_shot, feedback.neighbours))
        chosen[:, column] = len(possible) + encoder * len(words) + neighbours
        possible += [hint_of(own, others) for own in words for others in words]
    return in_lists(pa.array(possible, pa.string()).take(pa.array(chosen.reshape(-1))), len(rows), len(schema))


def hint_of(encoder: str, neighbours: str) -> str:
    """The words of a hint: the encoder's value, then that of the neighbours where it differs."""
    return encoder if neighbours == encoder else f"{encoder} {neighbours}"


def hint_follow_rates(
    annotations: AnnotationMatrix, feedback: Feedback, answers: np.ndarray
) -> tuple[float | None, float | None]:
    """How often the captioner's answers repeat the encoder's hint where it contradicts the current value.

    A captioner may agree with the encoder because both read the same image, so a high rate does not prove that the
    hint was read; a rate no higher than that of a random hint proves that it was not.

    Args:
        annotations: Current values of the N tiles.
        feedback: The encoder's feedback on them.
        answers: int [N, C], value indices that the captioner gave; negative where it gave none.

    Returns:
        The rate in [0, 1], and the rate that a hint would have that names a random value other than the current one;
        None where no answered clause has a hint that contradicts it.
    """
    followed, at_random = [], []
    for column, (clause, values) in enumerate(annotations.schema.vocabulary.items()):
        current, answer = annotations.values[:, column], answers[:, column]
        hint = feedback.zero_shot[clause].argmax(axis=1)
        counted = (answer >= 0) & (hint != current)
        followed.append((answer == hint)[counted])
        at_random.append((answer != current)[counted] / (len(values) - 1))
    every = np.concatenate(followed)
    return (float(every.mean()), float(np.concatenate(at_random).mean())) if every.size else (None, None)
