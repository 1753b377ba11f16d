"""From rows of the corpus to what a micro-batch shows the model: images turned and mirrored, text rendered.

Everything random here comes from the micro-batch's seed, so that it does not depend on the number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actors.data.dihedral import location_after, turn
from actors.trainer.augment import AugmentConfig, change_radiometry, crop
from actors.trainer.correction import doubted, planted_hints
from corpus.storage.rng import derive_seed
from hcot_llm.prompts.prompts import answer_text, captioner_prompt
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_caption

NO_TARGET = -100


@dataclass(frozen=True)
class TrainingRow:
    """One annotated tile as the trainer sees it; some of its clauses are to be written.

    Attributes:
        image: float32 [2, H, W]; [K, 2, H, W] of a tile that is looked at as K crops, of which one is shown.
        values: int [C], of the C clauses of the schema.
        caption_mask: bool [C], False for clauses that neither captions nor the clause losses show.
        loss_mask: bool [C], False for clauses that the captioner is not asked to write.
        knowledge: one line.
        hints: C texts, empty where there is no feedback.
    """

    tile_id: str
    image: np.ndarray
    values: np.ndarray
    caption_mask: np.ndarray
    loss_mask: np.ndarray
    knowledge: str
    hints: Sequence[str]


@dataclass(frozen=True)
class MicroBatchText:
    """What a micro-batch of B tiles shows the model.

    Attributes:
        images: float32 [B, 2, H, W], in the units of the input convention.
        captions: B texts.
        prompts: B texts.
        answers: B texts.
        targets: value index of each clause, int64 [B, clauses]; NO_TARGET where a clause is no training target.
    """

    images: np.ndarray
    captions: list[str]
    prompts: list[str]
    answers: list[str]
    targets: np.ndarray


def build_micro_batch(
    schema: AnnotationSchema,
    rows: Sequence[TrainingRow],
    seed: int,
    augment: AugmentConfig,
    *,
    feedback: bool,
    levels: bool,
) -> MicroBatchText:
    """Images, texts and targets of one micro-batch. The same rows and seed give the same result."""
    names, turning = schema.names, schema.of_kind("location")
    generator = np.random.default_rng(seed)
    images, captions, prompts, answers = [], [], [], []
    targets = np.full((len(rows), len(schema)), NO_TARGET, dtype=np.int64)
    for index, row in enumerate(rows):
        symmetry = int(generator.integers(8)) if augment.dihedral else 0
        image, is_part = _image(row.image, derive_seed(seed, index, "image"), augment)
        image = turn(image, symmetry)
        if augment.speckle_db:
            image = image + generator.normal(0, augment.speckle_db / 10, image.shape).astype(np.float32)
        images.append(np.ascontiguousarray(image, dtype=np.float32))

        values = {clause: words[row.values[c]] for c, (clause, words) in enumerate(schema.vocabulary.items())}
        hints = {clause: hint for clause, hint in zip(names, row.hints, strict=True) if hint}
        for where in turning:
            values[where] = location_after(values[where], symmetry)
            if where in hints:
                hints[where] = " ".join(location_after(word, symmetry) for word in hints[where].split())

        # Where something lies in a part of a tile is not known.
        unknown = turning if is_part else ()
        in_caption = _masked(names, row.caption_mask, unknown)
        for clause in in_caption:
            targets[index, schema.column[clause]] = schema.value_index[clause][values[clause]]
        captions.append(_caption(schema, values, in_caption, generator, augment, seed, index))

        written = _masked(names, row.loss_mask, unknown)
        queried = _some(written, generator, 1)
        shown = feedback and generator.random() < augment.feedback_share
        hinted = {c: hints[c] for c in queried if c in hints} if shown else {}
        if feedback and augment.correction_share:
            drawn = np.random.default_rng(derive_seed(seed, index, "correction"))
            if drawn.random() < augment.correction_share:
                queried = doubted(written, drawn)
                hinted = planted_hints(schema, values, hints, queried, augment.hint_error_share, drawn)
        context = {clause: value for clause, value in values.items() if clause not in (*queried, *unknown)}
        prompts.append(captioner_prompt(schema, context, queried, row.knowledge, hinted, levels))
        answers.append(answer_text(schema, values, queried))
    return MicroBatchText(np.stack(images), captions, prompts, answers, targets)


def _masked(names: Sequence[str], mask: np.ndarray, unknown: Sequence[str]) -> list[str]:
    """The clauses of a mask without the unknown ones, unless nothing else is in it."""
    chosen = [clause for c, clause in enumerate(names) if mask[c]]
    return [clause for clause in chosen if clause not in unknown] or chosen


def _image(image: np.ndarray, seed: int, augment: AugmentConfig) -> tuple[np.ndarray, bool]:
    """What a row shows, float32 [2, H, W], and whether that is a part of the tile.

    Its generator is its own, so that without these changes all other draws are what they are with them.
    """
    generator = np.random.default_rng(seed)
    is_crop = image.ndim == 4
    if is_crop:
        image = image[int(generator.integers(len(image)))]
    is_part = False
    if augment.smallest_side_share < 1:
        image, is_part = crop(image, generator, augment.smallest_side_share)
    if augment.changes_radiometry:
        image = change_radiometry(image, generator, augment)
    return image, is_crop or is_part


def _caption(schema, values, in_caption, generator, augment: AugmentConfig, seed: int, index: int) -> str:
    least = max(1, round(len(in_caption) * augment.shortest_caption_share))
    shown = _some(in_caption, generator, least)
    return render_caption(
        schema, {clause: values[clause] for clause in shown}, seed=derive_seed(seed, index, "wording")
    )


def _some(clauses: Sequence[str], generator, least: int) -> list[str]:
    """A random subset of at least `least` clauses, in schema order."""
    count = int(generator.integers(least, len(clauses) + 1))
    chosen = set(generator.choice(len(clauses), count, replace=False).tolist())
    return [clause for index, clause in enumerate(clauses) if index in chosen]
