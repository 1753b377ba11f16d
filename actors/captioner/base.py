"""The captioner as the loop knows it: what it can do, and what its configuration says, whatever its kind.

A kind is a `CaptionerConfig`, which starts a `Captioner`; actors/captioner/registry.py maps names to kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa
from pydantic import Field

from actors.captioner.requests import Question, Request
from actors.data.image_index import ImageIndex
from corpus.storage.models import FrozenModel
from hcot_llm.aggregation.label_noise import SourceWeightPrior
from hcot_llm.engines.answer import Answer
from hcot_llm.prompts.retry import Retry, RetryConfig


@dataclass(frozen=True)
class PublishReceipt:
    """What is known of the captioner that will label.

    Attributes:
        captioner: "native", or what a model that is not trained here calls itself and where it is.
        weights_sha256: The weights that a replica proved to serve; None where nothing was published.
        largest_difference: The largest difference of a log-probability in that proof; None where nothing was proven.
    """

    captioner: str
    weights_sha256: str | None = None
    largest_difference: float | None = None


class Pending(Protocol):
    """A request under way."""

    def result(self) -> Sequence[Sequence[Answer]]:
        """Wait for the answers.

        Returns:
            For each question of the request its candidates, the greedy one first; one where it was asked again.
        """
        ...


AnyRequest = TypeVar("AnyRequest", bound=Request)


class Captioner(Protocol[AnyRequest]):
    """Who answers the questions about flagged clauses. Starting it does not wait until it can answer."""

    def wait_until_running(self) -> None:
        """Wait until requests can be answered.

        Raises:
            UserError: The captioner does not start, or not in time.
        """
        ...

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        """Have the weights of a round serve the next requests, and prove it. Waits until the captioner runs.

        A model that is not trained here leaves the weights where they are, and says so in the receipt.

        Args:
            weights_dir: Directory of the round's weights.
            weights_sha256: Hash of those weights.

        Raises:
            UserError: The captioner does not run, or does not serve the weights.
        """
        ...

    def request(
        self, questions: Sequence[Question], images: ImageIndex, seed: int, retries: tuple[Retry, ...] | None = None
    ) -> AnyRequest:
        """Make the request for a shard of questions, bound to what was published last.

        Args:
            questions: The questions of the shard; with `retries`, one for each of them.
            images: Where the images of the tiles lie.
            seed: Of the sampled candidates.
            retries: What is asked again, where answers could not be used; None for a shard's first answers.
        """
        ...

    def submit(self, request: AnyRequest) -> Pending:
        """Send a request without waiting for its answers."""
        ...

    def shutdown(self, wait: bool = True) -> None:
        """Let go of everything the captioner holds.

        Args:
            wait: Whether to wait until its processes and threads have ended.
        """
        ...


@dataclass(frozen=True)
class CaptionerInputs:
    """What a run has when it starts its captioner.

    Attributes:
        weights_dir: Weights of the model before its first training.
        tiles: The tiles of the corpus, see corpus/tiles.py.
        corpus_dir: Directory of that corpus.
        owner: Names the run; runs that share a cluster have a captioner each.
    """

    weights_dir: Path
    tiles: pa.Table
    corpus_dir: Path
    owner: str = ""


@dataclass(frozen=True)
class Replicas:
    """Processes of a captioner on the cluster.

    Attributes:
        count: how many a run cannot do without.
        cpus: logical CPUs that each reserves.
        gpus: GPUs that each reserves.
        most: how many there may be at one time.
    """

    count: int
    cpus: float
    gpus: float
    most: int


class CaptionerConfig(FrozenModel, ABC):
    """Settings that all kinds of captioners have, and what the loop asks of a kind.

    A kind adds a field `kind: Literal[NAME]` and its own settings.
    """

    retry: RetryConfig = Field(default_factory=RetryConfig)
    tiles_per_shard: int = Field(
        default=512, ge=1, description="tiles of one labelling request, the unit that is resumed"
    )
    feedback_in_prompt: bool = Field(
        default=True, description="tell the captioner what the encoder and the neighbours say"
    )

    @abstractmethod
    def start(self, inputs: CaptionerInputs) -> Captioner:
        """Start a captioner of this kind. It need not be ready when this returns."""

    @property
    @abstractmethod
    def candidates(self) -> int:
        """Answers per question; the first one is greedy."""

    @property
    @abstractmethod
    def prior(self) -> SourceWeightPrior:
        """Prior of the captioner's source weight: TRAINED or UNTRAINED of hcot_llm/aggregation/label_noise.py."""

    def check(self) -> None:  # a kind that needs nothing has nothing to check
        """Look before anything starts whether the captioner could start.

        Raises:
            UserError: It could not; the message says why and what to do.
        """

    @property
    def corrections(self) -> int:
        """How often the labelling asks again for contradictions within a tile; 0 where the kind does so itself."""
        return 0

    @property
    def asks_by_levels(self) -> bool:
        """Whether prompts are structured by the HCoT levels, also those that the decoder is trained on."""
        return True

    @property
    def replicas(self) -> Replicas:
        """What the captioner needs of the cluster."""
        return Replicas(0, 0, 0, 0)

    @property
    def shards_in_flight(self) -> int:
        """Shards that are under way at once."""
        return 2
