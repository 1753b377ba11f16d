"""The captioner: a vLLM engine in a Ray Serve deployment, and the loop's client of it."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from actors.captioner.deployment import Deployment, PendingAnswers
from actors.captioner.health import EngineEvent, EngineHealth
from actors.captioner.probe import PROBE_TOKENS, check_probe, load_probe
from actors.data.object_store import take
from actors.data.shuffler import image_of
from actors.logs import join_run_log
from corpus.storage.models import StrictModel
from hcot_llm.engines.endpoint import EndpointConfig
from hcot_llm.engines.native import Answer, EngineConfig, NativeEngine
from hcot_llm.engines.vision_language import VisionLanguageConfig
from hcot_llm.engines.vllm import configure_process
from hcot_llm.prompts.chain_config import ChainConfig
from hcot_llm.prompts.retry import Retry, RetryConfig
from hcot_llm.schema.clauses import Clause

if TYPE_CHECKING:
    from actors.captioner.labelling import ImageIndex, Question


_log = logging.getLogger(__name__)


class CaptionerConfig(StrictModel):
    """The captioner's deployment."""

    kind: Literal["native", "vision_language", "endpoint"] = Field(
        "native",
        description="the decoder of the model being trained, served by vLLM here; or a model that is not "
        "trained: a vision-language one that vLLM serves here, or one behind an OpenAI-compatible "
        "endpoint",
    )
    vision_language: VisionLanguageConfig = Field(default_factory=VisionLanguageConfig)
    endpoint: EndpointConfig = Field(default_factory=EndpointConfig)

    engine: EngineConfig = Field(default_factory=EngineConfig)
    retry: RetryConfig = Field(default_factory=RetryConfig)
    min_replicas: int = Field(1, ge=1, description="replicas kept running")
    max_replicas: int = Field(1, ge=1, description="replicas at most; Ray Serve scales between the two by load")
    cpus_per_replica: int = Field(1, ge=1, description="logical CPUs reserved for a replica")
    gpus_per_replica: float = Field(0, ge=0, description="GPUs reserved for a replica")
    threads_per_replica: int = Field(2, ge=1, description="CPU threads of a replica's engine")
    tiles_per_shard: int = Field(512, ge=1, description="tiles of one labelling request, the unit that is resumed")
    feedback_in_prompt: bool = Field(True, description="tell the captioner what the encoder and the neighbours say")
    contradiction_attempts: int = Field(
        1,
        ge=0,
        le=4,
        description="kind native: how often HCoT level 5 asks again for what contradicts the rest of its "
        "tile; the answer is one more candidate",
    )
    levels_in_prompt: bool = Field(True, description="structure the prompt by the HCoT levels")
    start_timeout_s: float = Field(300, gt=0, description="time for the first replica to become ready")

    @model_validator(mode="after")
    def _bounds(self) -> "CaptionerConfig":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas ({self.min_replicas}) is larger than max_replicas ({self.max_replicas})")
        return self

    @model_validator(mode="after")
    def _chains_have_levels(self) -> "CaptionerConfig":
        if self.chain is not None and not self.levels_in_prompt:
            raise ValueError(
                f"levels_in_prompt is false, but kind {self.kind} asks level by level; only native can do without"
            )
        return self

    @property
    def chain(self) -> ChainConfig | None:
        """How a model that is not trained here is asked by HCoT's levels; None for the native one."""
        return {"native": None, "vision_language": self.vision_language, "endpoint": self.endpoint}[self.kind]

    @property
    def candidates(self) -> int:
        """Answers per question."""
        return self.engine.candidates if self.chain is None else self.chain.candidates

    @property
    def corrections(self) -> int:
        """How often the labeller asks again for contradictions; chains do so themselves."""
        return self.contradiction_attempts if self.chain is None and self.levels_in_prompt else 0

    @property
    def replicas_needed(self) -> int:
        """Replicas on the cluster that a run cannot do without."""
        return 0 if self.kind == "endpoint" else self.min_replicas


@dataclass(frozen=True)
class CaptionRequest:
    """Prompts about tiles, all to be answered with the same weights.

    blocks: references to Arrow tables with an `image` column, so that pixels travel straight from the object
    store to the replica. where: N pairs (index into blocks, row). prompts: N texts. asked: N tuples of clauses.
    seed: of the sampled candidates. retries: where this asks again for answers that could not be used, what each
    prompt is to be answered with; else None, and every prompt gets all candidates.
    """

    weights_dir: str
    weights_sha256: str
    blocks: list = field(repr=False)
    where: list[tuple[int, int]] = field(repr=False)
    prompts: list[str] = field(repr=False)
    asked: list[tuple[Clause, ...]] = field(repr=False)
    seed: int
    retries: tuple[Retry, ...] | None = field(default=None, repr=False)

    @staticmethod
    def of(
        weights_dir: str,
        weights_sha256: str,
        questions: Sequence["Question"],
        images: "ImageIndex",
        seed: int,
        retries: tuple[Retry, ...] | None = None,
    ) -> "CaptionRequest":
        """The request for these questions, with the blocks that hold their images."""
        where = [images.where[question.tile_id] for question in questions]
        used = sorted({block for block, _ in where})
        position = {block: index for index, block in enumerate(used)}
        return CaptionRequest(
            weights_dir,
            weights_sha256,
            [images.blocks[block] for block in used],
            [(position[block], row) for block, row in where],
            [question.prompt for question in questions],
            [question.asked for question in questions],
            seed,
            retries,
        )

    @property
    def source(self) -> str:
        """What answers, for the name of the shard."""
        return self.weights_sha256


@dataclass(frozen=True)
class PublishReceipt:
    """What is known of the captioner that will label.

    weights_sha256, largest_difference: the weights that a replica proved to serve, and the largest log-probability
    difference of the probe; None for a model that is not trained here, of which nothing was published or proven.
    captioner: "native", or what that model calls itself and where it is.
    """

    weights_sha256: str | None
    largest_difference: float | None
    captioner: str = "native"


class CaptionerReplica:
    """One engine. It labels only with weights that a probe has shown it to serve."""

    def __init__(self, config: dict, weights_dir: str) -> None:
        join_run_log()
        self._config = CaptionerConfig.model_validate(config)
        # Ray Serve calls from several threads, so that the next shard waits here; the engine takes one at a time.
        self._lock = threading.Lock()
        configure_process(self._config.engine)
        import torch

        torch.set_num_threads(self._config.threads_per_replica)
        from model.checkpoint import load_captioner, load_tokenizer

        self._health = EngineHealth()
        self._load = load_captioner
        self._tokenizer = load_tokenizer(Path(weights_dir))
        self._captioner = load_captioner(Path(weights_dir))
        self._engine = NativeEngine(Path(weights_dir) / "captioner" / "decoder", self._config.engine)
        self._warm_up()
        self._health = self._health.on(EngineEvent.STARTED)
        self._receipt: PublishReceipt | None = None
        _log.info("replica with the decoder of %s is ready", weights_dir)

    def _warm_up(self) -> None:
        """The first call compiles and allocates; it is paid here, while the first round trains."""
        vision = self._captioner.config.typed().vision
        image = np.zeros((1, vision.channels, vision.image_size_px, vision.image_size_px), np.float16)
        embeddings = self._prompt_embeddings(self._captioner, image, ["warm up"])
        self._engine.generate(embeddings, [tuple(Clause)[:2]], 0)

    def publish(self, weights_dir: str, weights_sha256: str) -> PublishReceipt:
        """Load weights unless they are served already, and prove it.

        Raises:
            WeightsNotServed: the probe's output is not that of the trainer's weights.
        """
        with self._lock:
            return self._publish(weights_dir, weights_sha256)

    def _publish(self, weights_dir: str, weights_sha256: str) -> PublishReceipt:
        self._health = self._health.on(EngineEvent.PUBLISHED, weights_sha256)
        if self._health.may_label and self._receipt is not None:
            return self._receipt
        directory = Path(weights_dir)
        self._captioner = self._load(directory)
        self._engine.reload(directory / "captioner" / "decoder")
        probe = load_probe(directory)
        served = self._engine.probe(probe.prompts, PROBE_TOKENS)
        try:
            difference = check_probe(probe, served, weights_dir)
        except Exception:
            self._health = self._health.on(EngineEvent.PROBE_DIFFERED)
            _log.error("the engine does not serve weights %s of %s", weights_sha256[:12], weights_dir)
            raise
        self._health = self._health.on(EngineEvent.PROBE_MATCHED, weights_sha256)
        self._receipt = PublishReceipt(weights_sha256, difference)
        _log.info("serves weights %s, largest difference of the probe %.2g", weights_sha256[:12], difference)
        return self._receipt

    def label(self, request: CaptionRequest) -> list[list[Answer]]:
        """Candidates for every prompt; where it is asked again, one. A replica that restarted or scaled up first
        proves the weights.
        """
        with self._lock:
            proven = self._publish(request.weights_dir, request.weights_sha256)
            captioner = self._captioner
        # Outside the lock: while one shard is generated, the next one's images pass through the vision tower.
        embeddings = self._embed(captioner, request)
        with self._lock:
            if self._publish(request.weights_dir, request.weights_sha256) is not proven:
                # Others were published meanwhile, and these again: the engine's are the same, the tower another object.
                embeddings = self._embed(self._captioner, request)
            if request.retries is not None:
                return [[answer] for answer in self._engine.generate_again(embeddings, request.retries)]
            return self._engine.generate(embeddings, request.asked, request.seed)

    def label_directly(self, requests: list[CaptionRequest]) -> dict[str, float]:
        """The bare engine on the same prompts, images and texts, in its own process and without Ray Serve.

        Returns dict(seconds, embedding_seconds, tokens); the first includes the second. For `knowlip bench`.
        """
        with self._lock:
            before, start, embedding = self._engine.generated_tokens, time.perf_counter(), 0.0
            for request in requests:
                begun = time.perf_counter()
                embeddings = self._embed(self._captioner, request)
                embedding += time.perf_counter() - begun
                self._engine.generate(embeddings, request.asked, request.seed)
            return {
                "seconds": time.perf_counter() - start,
                "embedding_seconds": embedding,
                "tokens": self._engine.generated_tokens - before,
            }

    def _embed(self, captioner, request: CaptionRequest) -> list:
        tables = take(request.blocks)
        images = np.stack([image_of(tables[block], row) for block, row in request.where])
        return self._prompt_embeddings(captioner, images, request.prompts)

    def _prompt_embeddings(self, captioner, images: np.ndarray, prompts: list[str]) -> list:
        import torch

        token_ids = self._tokenizer(prompts, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            return captioner.prompt_embeddings(torch.from_numpy(images).float(), token_ids)


class CaptionerClient:
    """Deploys the native captioner and talks to it. owner: see `Deployment`."""

    def __init__(self, config: CaptionerConfig, weights_dir: Path, owner: str = "") -> None:
        self._deployment = Deployment(CaptionerReplica, config, config.model_dump(), str(weights_dir), owner=owner)
        self._weights: tuple[str, str] | None = None

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """Serve new weights, proven by the probe. Waits for the first replica to be ready."""
        self._deployment.wait_until_running()
        self._weights = (str(weights_dir), weights_sha256)
        return self._deployment.call(lambda handle: handle.publish.remote(*self._weights)).result()

    def wait_until_running(self) -> None:
        """Raises CaptionerFailed: no replica starts, or not in time."""
        self._deployment.wait_until_running()

    def request(
        self, questions: Sequence["Question"], images: "ImageIndex", seed: int, retries: tuple[Retry, ...] | None = None
    ) -> CaptionRequest:
        """A request bound to the published weights, for a shard of questions or for what is asked again of it."""
        if self._weights is None:
            raise RuntimeError("no weights were published: call publish before labelling")
        return CaptionRequest.of(*self._weights, questions, images, seed, retries)

    def submit(self, request: CaptionRequest) -> PendingAnswers:
        """Send one shard; `.result()` of what comes back waits for its answers."""
        return self._deployment.call(lambda handle: handle.label.remote(request))

    def label_directly(self, requests: list[CaptionRequest]) -> dict[str, float]:
        """The bare engine on the same prompts: dict(seconds, embedding_seconds, tokens)."""
        return self._deployment.handle.label_directly.remote(requests).result()

    def shutdown(self, wait: bool = True) -> None:
        """Remove the deployment. wait: until its replicas have ended."""
        self._deployment.shutdown(wait)
