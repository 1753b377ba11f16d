"""The native captioner: the decoder being trained, in a vLLM engine behind Ray Serve, and the loop's client of it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.util.metrics import Counter

from actors.captioner.base import PublishReceipt
from actors.captioner.deployment import Deployment, PendingAnswers
from actors.captioner.health import EngineEvent, EngineHealth
from actors.captioner.readout import as_read_out, slot_distributions
from actors.captioner.requests import CaptionRequest, Question
from actors.data.devices import device_of
from actors.data.image_index import ImageIndex
from actors.data.object_store import take
from actors.data.shuffler import image_of
from actors.logs import join_run_log
from hcot_llm.engines.answer import Answer
from hcot_llm.engines.native import NativeEngine
from hcot_llm.engines.vllm import configure_process
from hcot_llm.prompts.retry import Retry
from hcot_llm.schema.files import read_schema

if TYPE_CHECKING:
    from actors.captioner.native import NativeCaptionerConfig

GENERATED_TOKENS = "knowlip_generated_tokens"
"""Counter that Ray exports to Prometheus."""
_log = logging.getLogger(__name__)


class NativeReplica:
    """One engine. It labels only with weights that a probe has shown it to serve.

    Args:
        config: The settings.
        weights_dir: Directory of the weights it starts with.
    """

    def __init__(self, config: "NativeCaptionerConfig", weights_dir: str) -> None:
        join_run_log()
        self._config = config
        # Ray Serve calls from several threads, so that the next shard waits here; the engine takes one at a time.
        self._lock = threading.Lock()
        configure_process(self._config.engine)
        import torch

        torch.set_num_threads(self._config.threads_per_replica)
        from model.checkpoint import load_captioner, load_tokenizer
        from model.precision import use_precision

        use_precision(self._config.engine.precision)
        self._device = device_of(self._config.gpus_per_replica)
        self._health = EngineHealth()
        self._schema = read_schema(Path(weights_dir))
        self._load: Callable[[Path], Any] = partial(_on, self._device, load_captioner)
        self._tokenizer = load_tokenizer(Path(weights_dir))
        self._captioner = self._load(Path(weights_dir))
        self._engine = NativeEngine(
            Path(weights_dir) / "captioner" / "decoder",
            self._config.engine,
            self._schema,
            self._config.gpus_per_replica,
        )
        self._warm_up()
        self._health = self._health.on(EngineEvent.STARTED)
        self._receipt: PublishReceipt | None = None
        self._tokens = Counter(GENERATED_TOKENS, "tokens that captioners have generated")
        _log.info("replica with the decoder of %s is ready", weights_dir)

    def _warm_up(self) -> None:
        """The first call compiles and allocates; it is paid here, while the first round trains."""
        vision = self._captioner.config.typed().vision
        image = np.zeros((1, vision.channels, vision.image_size_px, vision.image_size_px), np.float16)
        embeddings = self._prompt_embeddings(self._captioner, image, ["warm up"])
        self._engine.generate(embeddings, [self._schema.names[:2]], 0)

    def publish(self, weights_dir: str, weights_sha256: str) -> PublishReceipt:
        """Load weights unless they are served already, and prove it.

        Raises:
            WeightsNotServed: The probe's output is not that of the trainer's weights.
        """
        with self._lock:
            return self._publish(weights_dir, weights_sha256)

    def _publish(self, weights_dir: str, weights_sha256: str) -> PublishReceipt:
        from actors.captioner.probe import PROBE_TOKENS, check_probe, load_probe

        self._health = self._health.on(EngineEvent.PUBLISHED, weights_sha256)
        if self._health.may_label and self._receipt is not None:
            return self._receipt
        directory = Path(weights_dir)
        self._captioner = self._load(directory)
        self._engine.reload(directory / "captioner" / "decoder")
        probe = load_probe(directory)
        served = self._engine.probe(probe.prompts, PROBE_TOKENS)
        try:
            difference = check_probe(probe, served, weights_dir, self._config.engine.precision)
        except Exception:
            self._health = self._health.on(EngineEvent.PROBE_DIFFERED)
            _log.error("the engine does not serve weights %s of %s", weights_sha256[:12], weights_dir)
            raise
        self._health = self._health.on(EngineEvent.PROBE_MATCHED, weights_sha256)
        self._receipt = PublishReceipt("native", weights_sha256, difference)
        _log.info("serves weights %s, largest difference of the probe %.2g", weights_sha256[:12], difference)
        return self._receipt

    def label(self, request: CaptionRequest) -> list[list[Answer]]:
        """Answer a request. A replica that restarted or scaled up first proves the weights.

        Returns:
            For every prompt its candidates; one where it is asked again.
        """
        with self._lock:
            proven = self._publish(request.weights_dir, request.weights_sha256)
            captioner = self._captioner
        # Outside the lock: while one shard is generated, the next one's images pass through the vision tower.
        images = _images(request)
        embeddings = self._prompt_embeddings(captioner, images, request.prompts)
        reads = self._reads
        read = self._read_out(captioner, images) if reads and request.retries is None else None
        with self._lock:
            if self._publish(request.weights_dir, request.weights_sha256) is not proven:
                # Others were published meanwhile, and these again: the engine's are the same, the tower another object.
                embeddings = self._prompt_embeddings(self._captioner, images, request.prompts)
            before = self._engine.generated_tokens
            if request.retries is not None:
                answers = [[answer] for answer in self._engine.generate_again(embeddings, request.retries)]
            else:
                answers = self._engine.generate(embeddings, request.queried, request.seed)
            if tokens := self._engine.generated_tokens - before:
                self._tokens.inc(tokens)
        return as_read_out(answers, read) if reads else answers

    def label_directly(self, requests: list[CaptionRequest]) -> dict[str, float]:
        """Run the bare engine on the same prompts, images and texts: without Ray Serve, for `knowlip throughput`.

        Returns:
            dict(seconds, embedding_seconds, tokens); `seconds` includes `embedding_seconds`, those of the vision
            tower and of what is read out.
        """
        with self._lock:
            before, start, embedding = self._engine.generated_tokens, time.perf_counter(), 0.0
            for request in requests:
                begun = time.perf_counter()
                images = _images(request)
                embeddings = self._prompt_embeddings(self._captioner, images, request.prompts)
                if self._reads:
                    self._read_out(self._captioner, images)
                embedding += time.perf_counter() - begun
                self._engine.generate(embeddings, request.queried, request.seed)
            return {
                "seconds": time.perf_counter() - start,
                "embedding_seconds": embedding,
                "tokens": self._engine.generated_tokens - before,
            }

    @property
    def _reads(self) -> bool:
        """Whether the image tokens say what clauses are, and not the tokens of answers."""
        return self._config.readout_views > 0 and self._captioner.readout is not None

    def _read_out(self, captioner: Any, images: np.ndarray) -> dict[str, np.ndarray]:
        import torch

        from model.precision import computing_in

        views, batch_tiles = self._config.readout_views, self._config.tower_batch_tiles
        with computing_in(self._config.engine.precision, torch.device(self._device)):
            return slot_distributions(self._schema, captioner, images, views, batch_tiles)

    def _prompt_embeddings(self, captioner: Any, images: np.ndarray, prompts: list[str]) -> list:
        import torch

        from model.precision import computing_in

        token_ids = self._tokenizer(prompts, add_special_tokens=False)["input_ids"]
        size, device = self._config.tower_batch_tiles, torch.device(self._device)
        embeddings = []
        for start in range(0, len(prompts), size):
            part = torch.from_numpy(images[start : start + size]).to(device).float()
            with torch.no_grad(), computing_in(self._config.engine.precision, device):
                embeddings += captioner.prompt_embeddings(part, token_ids[start : start + size])
        return [each.cpu() for each in embeddings]


def _images(request: CaptionRequest) -> np.ndarray:
    """The image of each prompt, float16 [N, 2, S, S]."""
    tables = take(request.blocks)
    return np.stack([image_of(tables[block], row) for block, row in request.where])


def _on(device: str, load: Callable[[Path], Any], directory: Path) -> Any:
    """What `load` makes of a folder, on a device."""
    return load(directory).to(device)


class NativeCaptioner:
    """Deploys the native captioner and talks to it.

    Args:
        config: The settings.
        weights_dir: Directory of the weights its replicas start with.
        owner: see `Deployment`.
    """

    def __init__(self, config: "NativeCaptionerConfig", weights_dir: Path, owner: str = "") -> None:
        self._deployment = Deployment(NativeReplica, config, config, str(weights_dir), owner=owner)
        self._weights: tuple[str, str] | None = None

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """Serve new weights, proven by the probe. Waits for the first replica to be ready."""
        self._deployment.wait_until_running()
        weights = self._weights = (str(weights_dir), weights_sha256)
        return self._deployment.call(lambda handle: handle.publish.remote(*weights)).result()

    def wait_until_running(self) -> None:
        """Wait for the first replica.

        Raises:
            CaptionerFailed: No replica starts, or not in time.
        """
        self._deployment.wait_until_running()

    def request(
        self, questions: Sequence[Question], images: ImageIndex, seed: int, retries: tuple[Retry, ...] | None = None
    ) -> CaptionRequest:
        """Make a request bound to the published weights, for a shard of questions or for what is asked again of it."""
        if self._weights is None:
            raise RuntimeError("no weights were published: call publish before labelling")
        return CaptionRequest.of(*self._weights, questions, images, seed, retries)

    def submit(self, request: CaptionRequest) -> PendingAnswers:
        """Send one shard; `.result()` of what comes back waits for its answers."""
        return self._deployment.call(lambda handle: handle.label.remote(request))

    def label_directly(self, requests: list[CaptionRequest]) -> dict[str, float]:
        """Run the bare engine on the same prompts: dict(seconds, embedding_seconds, tokens)."""
        return self._deployment.handle.label_directly.remote(requests).result()

    def shutdown(self, wait: bool = True) -> None:
        """Remove the deployment.

        Args:
            wait: Whether to wait until the replicas have ended.
        """
        self._deployment.shutdown(wait)
