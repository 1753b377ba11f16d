"""Scores every clause of every annotation with the encoder: what one actor does with a block of tiles."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from actors.data.devices import device_of
from actors.data.dihedral import as_seen_unturned, turn
from actors.data.shuffler import crops_of, join_by_tile
from actors.logs import join_run_log
from corpus.geotiff.sampling import centre_of
from corpus.storage.precision import Precision
from corpus.storage.rng import derive_seed
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import read_schema
from hcot_llm.text.render import render_caption

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreOrder:
    """What a block is scored with.

    Attributes:
        weights_dir: folder of the weights, whose content never changes.
        leave_one_out: whether captions without one clause are scored too.
        views: number of symmetries of a tile over which distributions are averaged, 1 to 8.
    """

    weights_dir: str
    leave_one_out: bool
    views: int


class ScoreActor:
    """Scores blocks of tiles; a block is scored whole, so that batches are always the same.

    It keeps the encoder that it used last: a round's blocks are all scored with one.

    Args:
        gpus: Number of GPUs reserved for this actor.
        precision: Of the encoder.
    """

    def __init__(self, gpus: float, precision: Precision = "fp32") -> None:
        join_run_log()
        import torch

        from model.precision import use_precision

        torch.set_num_threads(1)
        use_precision(precision)
        self._device = device_of(gpus)
        self._precision: Precision = precision
        self._loaded = ""
        self._scorer: Any = None
        self._schema: Any = None
        self._clause_text: Any = None

    def ready(self) -> None:
        """Returns once the actor has started."""

    def prepare(self, weights_dir: str) -> None:
        """Load an encoder before there is something to score with it."""
        self._load(weights_dir)

    def score(self, block: pa.Table, rows: pa.Table, order: ScoreOrder) -> pa.Table:
        """Score a block.

        Args:
            block: tile_id and image (bytes of float16 [2, H, W]) of n tiles.
            rows: tile_id and values (indices, one a clause) of the tiles to score; the block's others are left out.
            order: what the block is scored with.

        Returns:
            tile_id, zero_shot (all clauses' distributions, one after the other), image (the embedding), itc and itm (of
            the whole caption, then without each clause), float32; of the tiles to score, in the block's order.
        """
        joined = join_by_tile(block, rows)
        if not joined.num_rows:
            return joined.select(["tile_id"])
        self._load(order.weights_dir)
        return _scored(joined, self._scorer, self._schema, self._clause_text, order)

    def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function makes of its arguments; references among them are what they refer to."""
        return function(*arguments)

    def _load(self, weights_dir: str) -> None:
        if self._loaded == weights_dir:
            return
        self._schema, self._scorer, self._clause_text = open_scorer(Path(weights_dir), self._device, self._precision)
        self._loaded = weights_dir
        _log.info("scoring actor has the encoder of %s", weights_dir)


def open_scorer(
    weights_dir: Path, device: str = "cpu", precision: Precision = "fp32"
) -> tuple[AnnotationSchema, Any, Any]:
    """The encoder of a weights directory, ready to score.

    Args:
        weights_dir: Folder of the weights.
        device: Where it computes.
        precision: What it computes in.

    Returns:
        The schema of the annotations; a `model.score.Scorer`; and the tokens of the clauses' names and values, see
        `actors.weights.slot_texts`.
    """
    from actors.weights import slot_texts
    from model.checkpoint import load_encoder, load_tokenizer
    from model.score import Scorer

    schema, tokenizer = read_schema(weights_dir), load_tokenizer(weights_dir)
    encoder = load_encoder(weights_dir)
    encoder.to(device)  # pyright: ignore[reportArgumentType]  # transformers wraps the method without its type
    return schema, Scorer(encoder, tokenizer, precision=precision), slot_texts(schema, tokenizer)


def _scored(joined: pa.Table, scorer: Any, schema: AnnotationSchema, clause_text: Any, order: ScoreOrder) -> pa.Table:
    import torch

    crops = [crops_of(joined, row) for row in range(joined.num_rows)]
    seen = look_at(schema, scorer, clause_text, crops, order.views)
    captions = [
        captions_of(schema, tile_id, values, order.leave_one_out)
        for tile_id, values in zip(joined["tile_id"].to_pylist(), joined["values"].to_pylist(), strict=True)
    ]
    itc, itm = (torch.stack(rows).numpy() for rows in scorer.agreement(seen.middle, captions))
    return pa.table(
        {
            "tile_id": joined["tile_id"],
            "zero_shot": _lists(np.concatenate(seen.zero_shot, axis=1)),
            "image": _lists(seen.embeddings),
            "itc": _lists(itc),
            "itm": _lists(itm),
        }
    )


@dataclass(frozen=True)
class Looked:
    """What the encoder sees of N tiles.

    Attributes:
        zero_shot: Per clause float32 [N, V], its distribution over the values.
        embeddings: float32 [N, E], unit vectors.
        middle: Image tokens [N, tokens, width] of the middle crop of each tile.
    """

    zero_shot: list[np.ndarray]
    embeddings: np.ndarray
    middle: Any


def look_at(schema: AnnotationSchema, scorer, clause_text, crops: Sequence[np.ndarray], views: int) -> Looked:
    """Let the encoder see tiles; distributions and embeddings of several crops of a tile are averaged.

    Crops are as good as views, so that of a tile of K crops each is seen from views / K.

    Args:
        schema: The schema of the clauses.
        scorer: The encoder, see `model.score.Scorer`.
        clause_text: Tokens of the clauses' names and values, see `actors.weights.slot_texts`.
        crops: Of each tile real [K, 2, S, S].
        views: Number of symmetries of a tile over which distributions are averaged, 1 to 8.
    """
    import torch

    counts = np.asarray([len(tile) for tile in crops])
    starts = np.cumsum(counts) - counts
    images = np.concatenate(crops).astype(np.float32)
    tokens = scorer.image_tokens(torch.from_numpy(images))
    zero_shot = mean_over_views(schema, scorer, clause_text, images, -(-views // int(counts.max())), tokens)
    embeddings = scorer.image_embeddings(tokens).numpy()
    if counts.max() > 1:
        zero_shot = [np.add.reduceat(slot, starts) / counts[:, None].astype(np.float32) for slot in zero_shot]
        embeddings = np.add.reduceat(embeddings, starts)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    middle = tokens[torch.from_numpy(starts + [centre_of(int(count)) for count in counts])]
    return Looked(zero_shot, embeddings, middle if counts.max() > 1 else tokens)


def mean_over_views(
    schema: AnnotationSchema, scorer, clause_text, images: np.ndarray, views: int, unturned
) -> list[np.ndarray]:
    """The encoder's distribution over values, averaged over symmetries of the images.

    Args:
        schema: The schema of the clauses.
        scorer: The encoder, see `model.score.Scorer`.
        clause_text: Tokens of the clauses' names and values, see `actors.weights.slot_texts`.
        images: float32 [n, 2, H, W].
        views: Number of symmetries, 1 to 8.
        unturned: Image tokens of the images as they are, which are the first view.

    Returns:
        Per clause float32 [n, V].
    """
    import torch

    total: list[np.ndarray] = [np.zeros((), dtype=np.float32)] * len(schema)
    for symmetry in range(views):
        tokens = (
            unturned
            if symmetry == 0
            else scorer.image_tokens(torch.from_numpy(np.ascontiguousarray(turn(images, symmetry))))
        )
        for column, (clause, slot) in enumerate(zip(schema.names, scorer.zero_shot(tokens, clause_text), strict=True)):
            total[column] = total[column] + as_seen_unturned(schema, clause, slot.exp().numpy(), symmetry) / np.float32(
                views
            )
    return total


def captions_of(schema: AnnotationSchema, tile_id: str, indices: list[int], leave_one_out: bool) -> list[str]:
    """The whole caption and, if wanted, the caption without each clause, in schema order, in the same wording.

    Without its only clause a caption says nothing. The whole one stands in its place, so that the gain is zero.
    """
    values = {clause: words[index] for (clause, words), index in zip(schema.vocabulary.items(), indices, strict=True)}
    seed = derive_seed(tile_id, "score wording")
    captions = [render_caption(schema, values, seed=seed)]
    if leave_one_out:
        captions += [
            render_caption(schema, {c: v for c, v in values.items() if c != left_out} or values, seed=seed)
            for left_out in schema.names
        ]
    return captions


def _lists(array: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(array, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
