"""The captioner as a vision-language model that Ray Serve and vLLM serve here, shown tile after tile."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from actors.captioner.base import PublishReceipt
from actors.captioner.chain import ChainProgress, ChainQuestion, ChainTiles
from actors.captioner.deployment import Deployment, PendingAnswers
from actors.captioner.requests import ChainRequest, Question
from actors.data.image_index import ImageIndex
from actors.logs import join_run_log
from hcot_llm.engines.answer import Answer
from hcot_llm.engines.vision_language import Shown, VisionLanguageConfig, VisionLanguageModel
from hcot_llm.prompts.chain import run_chains
from hcot_llm.prompts.retry import Retry

if TYPE_CHECKING:
    from actors.captioner.vision_language import VisionLanguageCaptionerConfig

_log = logging.getLogger(__name__)


class VisionLanguageReplica:
    """One engine. Its model never changes, so a new replica may answer at once.

    Args:
        config: The content of a `VisionLanguageConfig`.
        threads: CPU threads of the engine.
        gpus: Number of GPUs that the replica reserves.
    """

    def __init__(self, config: dict[str, Any], threads: int, gpus: float = 0) -> None:
        join_run_log()
        # Ray Serve calls from several threads, the engine takes one at a time.
        self._lock = threading.Lock()
        self._config = VisionLanguageConfig.model_validate(config)
        self._model = VisionLanguageModel(self._config, gpus)
        import torch

        torch.set_num_threads(threads)
        _log.info("replica with %s is ready", self._config.model)

    def answer(self, chains: list[list[ChainQuestion]]) -> list[list[Answer]]:
        """Bring all chains to their ends, level by level together."""
        asked = [one for each in chains for one in each]
        progress = [ChainProgress(one) for one in asked]
        pictures = [one.picture for one in asked]

        def ask(prompts: list[tuple[int, str, Sequence[str]]]) -> list[str]:
            with self._lock:
                completions = self._model.complete(
                    [
                        Shown(asked[number].question.schema, prompt, clauses, pictures[number], progress[number].seed)
                        for number, prompt, clauses in prompts
                    ]
                )
            return [
                progress[number].take(completion) for (number, *_), completion in zip(prompts, completions, strict=True)
            ]

        results = run_chains(
            ask,
            [
                one.settings(evidence=self._config.evidence, picture=True, attempts=self._config.contradiction_attempts)
                for one in asked
            ],
        )
        answers = iter([each.answer(result) for each, result in zip(progress, results, strict=True)])
        return [[next(answers) for _ in each] for each in chains]


class VisionLanguageCaptioner:
    """Deploys a vision-language model and talks to it. The model is not trained here: nothing is published to it.

    Args:
        config: The settings.
        tiles: The tiles of the corpus, see corpus/tiles.py.
        corpus_dir: Directory of that corpus; the replicas read its files.
        owner: see `Deployment`.
    """

    def __init__(
        self, config: "VisionLanguageCaptionerConfig", tiles: pa.Table, corpus_dir: Path, owner: str = ""
    ) -> None:
        self._config = config.vision_language
        self._tiles = ChainTiles(tiles, corpus_dir.resolve())
        self._deployment = Deployment(
            VisionLanguageReplica,
            config,
            self._config.model_dump(),
            config.threads_per_replica,
            config.gpus_per_replica,
            owner=owner,
        )

    @property
    def _model_id(self) -> str:
        return f"vision-language {self._config.model}"

    def wait_until_running(self) -> None:
        """Wait for the first replica.

        Raises:
            CaptionerFailed: No replica starts, or not in time.
        """
        self._deployment.wait_until_running()

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """Leave the round's weights where they are, and wait for the first replica."""
        self.wait_until_running()
        return PublishReceipt(self._model_id)

    def request(
        self, questions: Sequence[Question], images: ImageIndex, seed: int, retries: tuple[Retry, ...] | None = None
    ) -> ChainRequest:
        """Make a request for a shard of questions, or for what is asked again of it."""
        return ChainRequest.of(self._model_id, self._config, ("kv_cache_gib", "max_sequences"), questions, retries)

    def submit(self, request: ChainRequest) -> PendingAnswers:
        """Send the chains of a shard; `.result()` of what comes back waits for its answers."""
        chains = self._tiles.chains(request.questions, request.retries, self._config.candidates)
        return self._deployment.call(lambda handle: handle.answer.remote(chains))

    def shutdown(self, wait: bool = True) -> None:
        """Remove the deployment.

        Args:
            wait: Whether to wait until the replicas have ended.
        """
        self._deployment.shutdown(wait)
