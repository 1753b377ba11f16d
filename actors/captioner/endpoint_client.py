"""The captioner as a model behind an endpoint: HCoT level by level, from the driver, a few tiles at a time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pyarrow as pa

from actors.captioner.base import PublishReceipt
from actors.captioner.chain import ChainProgress, ChainQuestion, ChainTiles
from actors.captioner.requests import ChainRequest, Question
from actors.data.image_index import ImageIndex
from corpus.geotiff.picture import png
from hcot_llm.engines.answer import Answer
from hcot_llm.engines.endpoint import Endpoint
from hcot_llm.prompts.chain import run_chain
from hcot_llm.prompts.retry import Retry

if TYPE_CHECKING:
    from actors.captioner.endpoint import EndpointCaptionerConfig


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
            done, _ = wait(
                [future for candidates in self._futures for future in candidates], return_when=FIRST_EXCEPTION
            )
            for future in done:
                future.result()
            return [[future.result() for future in candidates] for candidates in self._futures]
        except BaseException:
            self._abandon()
            raise


class _Threads:
    """Threads that answer questions.

    Those of a ThreadPoolExecutor would keep a process that has come to its end until the endpoint has answered, or
    patience with it has ended.
    """

    def __init__(self, answer: Callable[[ChainQuestion], Answer], count: int) -> None:
        self._answer, self._closed = answer, False
        self._waiting: SimpleQueue[tuple[Future, ChainQuestion] | None] = SimpleQueue()  # None ends a thread
        self._threads = [
            threading.Thread(target=self._work, name=f"endpoint {number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, chain: ChainQuestion) -> Future:
        """The future's result is the answer."""
        if self._closed:
            raise RuntimeError("the captioner was shut down")
        future: Future = Future()
        self._waiting.put((future, chain))
        return future

    def end(self, wait: bool) -> None:
        """Cancel the chains that have not begun.

        Args:
            wait: Whether to wait until the chains under way have ended.
        """
        self._closed = True
        with suppress(Empty):
            while True:
                if (entry := self._waiting.get_nowait()) is not None:
                    entry[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (entry := self._waiting.get()) is not None:
            future, chain = entry
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._answer(chain))
                except BaseException as error:  # raised to whoever takes the result
                    future.set_exception(error)


class EndpointCaptioner:
    """Asks a model behind an endpoint. The model is not trained here: nothing is published to it.

    Args:
        config: The settings.
        tiles: The tiles of the corpus, see corpus/tiles.py.
        corpus_dir: Directory of that corpus.

    Raises:
        EndpointFailed: see `Endpoint`.
    """

    def __init__(self, config: "EndpointCaptionerConfig", tiles: pa.Table, corpus_dir: Path) -> None:
        self._config = config.endpoint
        self._endpoint = Endpoint(self._config)
        self._tiles = ChainTiles(tiles, corpus_dir)
        self._threads = _Threads(self._answer, self._config.concurrency)

    def wait_until_running(self) -> None:
        """Ask the endpoint whether it answers and has the model.

        Raises:
            EndpointFailed: It does not.
        """
        self._endpoint.check()

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """Leave the round's weights where they are, and check that the endpoint answers and has the model."""
        self.wait_until_running()
        return PublishReceipt(self._endpoint.model_id)

    def request(
        self, questions: Sequence[Question], images: ImageIndex, seed: int, retries: tuple[Retry, ...] | None = None
    ) -> ChainRequest:
        """Make a request for a shard of questions, or for what is asked again of it."""
        return ChainRequest.of(
            self._endpoint.model_id,
            self._config,
            ("url", "key_variable", "timeout_s", "patience_s", "concurrency"),
            questions,
            retries,
        )

    def submit(self, request: ChainRequest) -> ChainAnswers:
        """Begin the chains of a shard."""
        # Here and not in the threads: each would read the maps of the whole Earth for itself.
        chains = self._tiles.chains(request.questions, request.retries, self._config.candidates)
        return ChainAnswers([[self._threads.submit(one) for one in each] for each in chains], self.shutdown)

    def shutdown(self, wait: bool = False) -> None:
        """Let go of the endpoint: chains that wait are not begun, those under way end before their next question.

        Args:
            wait: Whether to wait until the chains under way have ended. A process that ends does not wait for them.
        """
        self._endpoint.close()
        self._threads.end(wait)

    def _answer(self, chain: ChainQuestion) -> Answer:
        config, progress = self._config, ChainProgress(chain)
        picture = png(chain.picture) if config.picture else None

        def ask(prompt: str, clauses: Sequence[str]) -> str:
            return progress.take(
                self._endpoint.complete(chain.question.schema, prompt, clauses, progress.seed, picture)
            )

        result = run_chain(
            ask,
            **chain.settings(evidence=config.evidence, picture=config.picture, attempts=config.contradiction_attempts),
        )
        return progress.answer(result)
