"""The captioner as a model behind an endpoint: HCoT level by level, from the driver, a few tiles at a time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from actors.captioner import CaptionerConfig, PublishReceipt
from corpus.evidence import measure
from corpus.geotiff import read_backscatter
from corpus.seeds import derive_seed
from corpus.tiles import tile_path
from hcot_llm.chain import run_chain
from hcot_llm.endpoint import Endpoint, EndpointFailed
from hcot_llm.engine import Answer
from hcot_llm.knowledge import tile_knowledge
from hcot_llm.prompts import prompt_sha256
from hcot_llm.retry import Retry
from hcot_llm.schema import Clause, in_order

if TYPE_CHECKING:
    from actors.labeller import ImageIndex, Question


@dataclass(frozen=True)
class ChainRequest:
    """Questions for HCoT chains. source: the model, its settings and the prompts, for the name of the shard."""

    source: str
    questions: Sequence["Question"]
    seed: int
    retries: tuple[Retry, ...] | None = None


class ChainAnswers:
    """A request under way: one future for every chain."""

    def __init__(self, futures: list[list[Future]], abandon: Callable[[], None]) -> None:
        self._futures, self._abandon = futures, abandon

    def result(self) -> list[list[Answer]]:
        """Wait for the answers. After a failure, or an interruption, no chain goes on.

        Raises:
            EndpointFailed: the endpoint cannot be used.
        """
        try:
            done, _ = wait([future for candidates in self._futures for future in candidates],
                           return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [[future.result() for future in candidates] for candidates in self._futures]
        except BaseException:
            self._abandon()
            raise


class EndpointCaptioner:
    """What the loop calls its captioner, for a model that is not trained here: nothing is published to it."""

    def __init__(self, config: CaptionerConfig, tiles: pa.Table, corpus_dir: Path) -> None:
        """tiles: of the corpus in `corpus_dir`, see corpus/tiles.py. Raises EndpointFailed: see `Endpoint`."""
        self._config = config.endpoint
        self._endpoint = Endpoint(self._config)
        self._corpus_dir = corpus_dir
        columns = tiles.select(["tile_id", "path", "gsd_m", "lon", "lat"])
        self._tiles = {row["tile_id"]: row for row in columns.to_pylist()}
        self._pool = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="endpoint")
        self._closed = threading.Event()

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """The round's weights stay here. What is checked is that the endpoint answers and has the model."""
        self._endpoint.check()
        return PublishReceipt(None, None, self._endpoint.model_id)

    def request(self, questions: Sequence["Question"], images: "ImageIndex", seed: int,
                retries: tuple[Retry, ...] | None = None) -> ChainRequest:
        """A request for a shard of questions, or for what is asked again of it."""
        settings = self._config.model_dump_json(
            exclude={"url", "key_variable", "timeout_s", "patience_s", "concurrency"})
        return ChainRequest(f"{self._endpoint.model_id} {settings} {prompt_sha256()}", questions, seed, retries)

    def submit(self, request: ChainRequest) -> ChainAnswers:
        """Begin the chains of a shard."""
        if request.retries is not None:
            seeds = [[None if retry.greedy else retry.seed] for retry in request.retries]
        else:
            seeds = [[None, *(derive_seed(question.seed, number, "sampled")
                              for number in range(1, self._config.candidates))] for question in request.questions]
        # Here and not in the threads: each would read the maps of the whole Earth for itself.
        places = [self._place(question.tile_id) for question in request.questions]
        futures = [[self._pool.submit(self._answer, question, place, seed) for seed in each]
                   for question, place, each in zip(request.questions, places, seeds, strict=True)]
        return ChainAnswers(futures, self.shutdown)

    def shutdown(self) -> None:
        """Let go of the threads; chains end before their next question."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _place(self, tile_id: str) -> str:
        return tile_knowledge(self._tiles[tile_id]["lon"], self._tiles[tile_id]["lat"]).sentences()

    def _answer(self, question: "Question", knowledge: str, seed: int | None) -> Answer:
        tile = self._tiles[question.tile_id]
        evidence = None
        if self._config.evidence:
            evidence = measure(read_backscatter(tile_path(self._corpus_dir, tile["path"])), tile["gsd_m"]).as_prompt()
        distributions, tokens, prompts = {}, 0, 0

        def ask(prompt: str, clauses: Sequence[Clause]) -> str:
            nonlocal tokens, prompts
            if self._closed.is_set():
                raise EndpointFailed(f"The captioner of {self._config.url} was shut down.")
            drawn = None if seed is None else derive_seed(seed, prompts)
            completion = self._endpoint.complete(prompt, clauses, drawn)
            distributions.update(completion.distributions)
            tokens, prompts = tokens + completion.tokens, prompts + 1
            return completion.text

        result = run_chain(ask, asked=question.asked, kept=question.kept, feedback=question.hints, evidence=evidence,
                           knowledge=knowledge, gsd_m=tile["gsd_m"],
                           attempts=self._config.contradiction_attempts)
        values = in_order({clause: result.values[clause] for clause in question.asked if clause in result.values})
        return Answer(values, {clause: distributions[clause] for clause in values if clause in distributions},
                      next(iter(result.failed.values()), None), tokens)
