"""Scores every clause of every annotation with the encoder, over Ray Data."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import ray
import ray.data

from actors.data.devices import device_of
from actors.data.dihedral import as_seen_unturned, turn
from actors.data.shuffler import join_by_tile
from actors.logs import join_run_log
from actors.scorer.config import ScoreConfig
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import Feedback, leave_one_out_gains
from hcot_llm.aggregation.matrix import AnnotationMatrix, one_hot_votes
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import read_schema
from hcot_llm.text.render import render_caption

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """Feedback on annotated tiles, and their embeddings for evaluation.

    Attributes:
        feedback: The encoder's feedback on N tiles.
        image_embeddings: float32 [N, E], in the order of `feedback.tile_ids`.
    """

    feedback: Feedback
    image_embeddings: np.ndarray


class _ScoreActor:
    """Holds the encoder; one call scores one block of tiles, whole, so that batches are always the same."""

    def __init__(self, weights_dir: str, leave_one_out: bool, views: int, gpus: float) -> None:
        """Load the encoder.

        Args:
            weights_dir: Folder of the weights.
            leave_one_out: Whether captions without one clause are scored too.
            views: Number of symmetries of a tile over which distributions are averaged, 1 to 8.
            gpus: Number of GPUs reserved for this actor.
        """
        join_run_log()
        import torch

        from actors.weights import slot_texts
        from model.checkpoint import load_encoder, load_tokenizer
        from model.score import Scorer

        torch.set_num_threads(1)
        tokenizer = load_tokenizer(Path(weights_dir))
        encoder = load_encoder(Path(weights_dir))
        encoder.to(device_of(gpus))  # pyright: ignore[reportArgumentType]  # transformers wraps the method without its type
        self._scorer = Scorer(encoder, tokenizer)
        self._schema = read_schema(Path(weights_dir))
        self._clause_text = slot_texts(self._schema, tokenizer)
        self._leave_one_out, self._views = leave_one_out, views
        _log.info("scoring actor with the encoder of %s is ready", weights_dir)

    def __call__(self, batch: pa.Table) -> pa.Table:
        import torch

        images = np.stack([np.frombuffer(image, dtype=np.float16) for image in batch["image"].to_pylist()])
        side = round((images.shape[1] / 2) ** 0.5)
        images = images.reshape(-1, 2, side, side).astype(np.float32)
        tokens = self._scorer.image_tokens(torch.from_numpy(images))
        zero_shot = np.concatenate(
            mean_over_views(self._schema, self._scorer, self._clause_text, images, self._views, tokens), axis=1
        )
        embeddings = self._scorer.image_embeddings(tokens).numpy()
        captions = [
            _captions(self._schema, tile_id, values, self._leave_one_out)
            for tile_id, values in zip(batch["tile_id"].to_pylist(), batch["values"].to_pylist(), strict=True)
        ]
        itc, itm = (torch.stack(rows).numpy() for rows in self._scorer.agreement(tokens, captions))
        return pa.table(
            {
                "tile_id": batch["tile_id"],
                "zero_shot": _lists(zero_shot),
                "image": _lists(embeddings),
                "itc": _lists(itc),
                "itm": _lists(itm),
            }
        )


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


def _captions(schema: AnnotationSchema, tile_id: str, indices: list[int], leave_one_out: bool) -> list[str]:
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


def _array(table: pa.Table, column: str) -> np.ndarray:
    lists = table[column].combine_chunks()
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)


def score_tiles(
    images: ray.data.Dataset, annotations: AnnotationMatrix, weights_dir: Path, config: ScoreConfig, on_progress=None
) -> Scores:
    """Score every annotated tile.

    Args:
        images: dataset of `shuffler.read_images`; its blocks are the batches.
        annotations: current annotations of the tiles to score.
        weights_dir: directory of the weights that the round has published.
        config: how many workers score, and what they score.
        on_progress: called after every block with the tiles scored so far, and all of them.
    """
    by_tile = ray.put(pa.table({"tile_id": list(annotations.tile_ids), "values": annotations.values.tolist()}))

    def join(batch: pa.Table) -> pa.Table:
        return join_by_tile(batch, ray.get(by_tile))

    scored = images.map_batches(join, batch_format="pyarrow", batch_size=None).map_batches(
        _ScoreActor,
        batch_format="pyarrow",
        batch_size=None,
        fn_constructor_args=(str(weights_dir), config.leave_one_out, config.views, config.gpus_per_worker),
        num_cpus=config.cpus_per_worker,
        num_gpus=config.gpus_per_worker or None,
        compute=ray.data.ActorPoolStrategy(min_size=config.min_workers, max_size=config.max_workers),
    )
    blocks, done = [], 0
    for batch in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
        block = cast("pa.Table", batch)  # as batch_format says
        if not block.num_rows:  # a block without a tile to score comes back as it was, with its images
            continue
        blocks.append(block)
        done += block.num_rows
        if on_progress is not None:
            on_progress(done, len(annotations))
    table = pa.concat_tables(blocks).sort_by("tile_id")
    tile_ids = tuple(table["tile_id"].to_pylist())
    if tile_ids != annotations.tile_ids:
        raise RuntimeError(
            f"{len(annotations)} tiles are annotated but {len(tile_ids)} were scored; the corpus "
            "lacks images of the others"
        )
    embeddings = _array(table, "image")
    itc, itm = _array(table, "itc"), _array(table, "itm")
    gains = [
        leave_one_out_gains(scores) if config.leave_one_out else np.zeros(annotations.values.shape)
        for scores in (itc, itm)
    ]
    schema = annotations.schema
    edges = np.cumsum([len(values) for values in schema.vocabulary.values()])[:-1]
    by_clause = np.split(_array(table, "zero_shot").astype(np.float64), edges, axis=1)
    zero_shot = dict(zip(schema.names, by_clause, strict=True))
    votes = one_hot_votes(schema, annotations.values, nearest_tiles(embeddings, config.neighbours))
    return Scores(Feedback(tile_ids, zero_shot, votes, itc[:, 0], itm[:, 0], *gains), embeddings)


def nearest_tiles(embeddings: np.ndarray, count: int, chunk: int = 4096) -> np.ndarray:
    """Rows of the nearest other tiles by cosine, int [N, min(count, N - 1)], nearest first; ties by row number."""
    count = min(count, len(embeddings) - 1)
    rows = []
    for start in range(0, len(embeddings), chunk):
        similarity = embeddings[start : start + chunk] @ embeddings.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        rows.append(np.argsort(-similarity, axis=1, kind="stable")[:, :count])
    return np.concatenate(rows)
