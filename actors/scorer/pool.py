"""The scoring actors of a run, and how a corpus's blocks are shared out among them."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from actors.scorer.config import ScoreConfig
from actors.scorer.nearest import find_nearest
from actors.scorer.scorer import ScoreActor, ScoreOrder
from corpus.storage.arrow import array_of, lists
from hcot_llm.aggregation.feedback import Feedback, leave_one_out_gains
from hcot_llm.aggregation.matrix import AnnotationMatrix, one_hot_votes, split_by_clause
from hcot_llm.aggregation.workers import Found

_GROW_AFTER_S = 10.0
"""An actor takes about this long to start: scoring that is over sooner gains nothing by another one."""
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Scores:
    """Feedback on annotated tiles, and their embeddings for evaluation.

    Attributes:
        feedback: The encoder's feedback on N tiles.
        image_embeddings: float32 [N, E], in the order of `feedback.tile_ids`.
        neighbour_recall: Share of the nearest tiles that were found, of a sample; None where all pairs were compared.
    """

    feedback: Feedback
    image_embeddings: np.ndarray
    neighbour_recall: float | None = None


class ScorerPool:
    """Scores tiles with actors that live as long as the pool. They start with what they are first asked for.

    Between scoring they are `hcot_llm.aggregation.workers.Workers`: they compute what is done block by block.

    As many as `score.min_workers` stay between rounds, because a run has room for them besides everything else. More
    start while scoring takes long, up to `score.max_workers`. They end with the scoring: what they reserve is needed.
    Ray starts an actor anew that has died, and gives it its block again.

    Args:
        config: how many workers score, and what each reserves.
        actor: the class of the actors.
    """

    def __init__(self, config: ScoreConfig, actor: type[ScoreActor] = ScoreActor) -> None:
        self._config = config
        self._remote = ray.remote(
            num_cpus=config.cpus_per_worker, num_gpus=config.gpus_per_worker, max_restarts=-1, max_task_retries=-1
        )(actor)
        self._lasting: list[Any] = []

    def prepare(self, weights_dir: Path) -> None:
        """Have the actors that stay between rounds load an encoder, without waiting for them.

        What goes wrong comes up again when they score.

        Args:
            weights_dir: directory of published weights.
        """
        self._start_lasting()
        for actor in self._lasting:
            actor.prepare.remote(str(weights_dir))

    def score(
        self,
        images: ray.data.Dataset,
        annotations: AnnotationMatrix,
        weights_dir: Path,
        *,
        leave_one_out: bool,
        seed: int,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Scores:
        """Score every annotated tile.

        Args:
            images: dataset of `shuffler.read_images`; its blocks are the batches.
            annotations: current annotations of the tiles to score.
            weights_dir: directory of the weights that the round has published.
            leave_one_out: whether captions without one clause are scored too; without them no clause has a gain, and a
                tile takes a third of the time.
            seed: of what is drawn to find the neighbours in a large corpus.
            on_progress: called after every block with the tiles scored so far, and all of them.
        """
        rows = ray.put(pa.table({"tile_id": list(annotations.tile_ids), "values": lists(annotations.values)}))
        order = ScoreOrder(str(weights_dir), leave_one_out, self._config.views)
        done = 0

        def scored(block: pa.Table) -> None:
            nonlocal done
            done += block.num_rows
            if on_progress is not None and block.num_rows:
                on_progress(done, len(annotations))

        blocks = self._share_out(
            images.to_arrow_refs(), lambda actor, block: actor.score.remote(block, rows, order), scored
        )
        table = pa.concat_tables([block for block in blocks if block.num_rows]).sort_by("tile_id")
        _check_all_scored(table, annotations)
        embeddings = array_of(table["image"])
        del blocks
        nearest, found = find_nearest(embeddings, self._config, seed, self)
        return replace(_scores(table, annotations, leave_one_out, embeddings, nearest), neighbour_recall=found)

    def hold(self, what: Any) -> Any:
        """Put something into the object store; see `Workers`."""
        return ray.put(what)

    def map(self, function: Callable[..., Found], calls: Iterable[tuple]) -> list[Found]:
        """Have the actors compute; see `Workers`."""
        return self._share_out(list(calls), lambda actor, call: actor.compute.remote(function, *call))

    def map_kept(self, function: Callable[..., tuple[Found, Any]], calls: Iterable[tuple]) -> list[tuple[Found, Any]]:
        """Have the actors compute, and leave the second part of the results in the object store; see `Workers`."""
        kept: dict[int, Any] = {}

        def hand_out(actor: Any, numbered: tuple[int, tuple]) -> Any:
            number, call = numbered
            found, kept[number] = actor.compute.options(num_returns=2).remote(function, *call)
            return found

        found = self._share_out(list(enumerate(calls)), hand_out)
        return [(each, kept[number]) for number, each in enumerate(found)]

    def get(self, kept: Any) -> Any:
        """What lies in the object store; see `Workers`."""
        return ray.get(kept) if isinstance(kept, ray.ObjectRef) else kept

    def _share_out(
        self,
        blocks: Sequence[Any],
        hand_out: Callable[[Any, Any], Any],
        done: Callable[[Any], None] = lambda _: None,
    ) -> list[Any]:
        """What the actors make of the blocks, in the blocks' order; an actor has one block at a time.

        Args:
            blocks: What is shared out.
            hand_out: Hands an actor a block; returns the reference of what the actor will make of it.
            done: Called with what an actor has made of a block.
        """
        self._start_lasting()
        idle, queue = list(self._lasting), deque(enumerate(blocks))
        found: dict[int, Any] = {}
        running: dict[Any, tuple[int, Any]] = {}
        starting: dict[Any, Any] = {}
        added: list[Any] = []
        begun = time.monotonic()
        try:
            while queue or running:
                while idle and queue:
                    (number, block), actor = queue.popleft(), idle.pop()
                    running[hand_out(actor, block)] = number, actor
                if queue and not added and time.monotonic() - begun > _GROW_AFTER_S:
                    added = [self._start() for _ in range(self._config.max_workers - self._config.min_workers)]
                    starting = {actor.ready.remote(): actor for actor in added}
                for ref in ray.wait([*running, *starting], num_returns=1, timeout=_LOOK_EVERY_S)[0]:
                    if ref in starting:
                        idle.append(starting.pop(ref))
                        continue
                    number, actor = running.pop(ref)
                    found[number] = ray.get(ref)
                    idle.append(actor)
                    done(found[number])
        finally:
            for actor in added:
                ray.kill(actor)
        return [found[number] for number in range(len(blocks))]

    def _start_lasting(self) -> None:
        while len(self._lasting) < self._config.min_workers:
            self._lasting.append(self._start())

    def _start(self) -> Any:
        return self._remote.remote(self._config.gpus_per_worker, self._config.precision)


def _check_all_scored(table: pa.Table, annotations: AnnotationMatrix) -> None:
    if table["tile_id"].to_pylist() != list(annotations.tile_ids):
        raise RuntimeError(
            f"{len(annotations)} tiles are annotated but {table.num_rows} were scored; the corpus "
            "lacks images of the others"
        )


def _scores(
    table: pa.Table, annotations: AnnotationMatrix, leave_one_out: bool, embeddings: np.ndarray, nearest: np.ndarray
) -> Scores:
    """Feedback from the rows that the actors have written, sorted by tile."""
    itc, itm = array_of(table["itc"]), array_of(table["itm"])
    gains = [
        leave_one_out_gains(scores) if leave_one_out else np.broadcast_to(np.float32(0), annotations.values.shape)
        for scores in (itc, itm)
    ]
    schema = annotations.schema
    zero_shot = split_by_clause(schema, array_of(table["zero_shot"]))
    votes = one_hot_votes(schema, annotations.values, nearest)
    return Scores(Feedback(annotations.tile_ids, zero_shot, votes, itc[:, 0], itm[:, 0], *gains), embeddings)
