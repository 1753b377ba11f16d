"""A captioner kind from outside the project: replicas on Ray Serve that look their answers up in a table.

A configuration uses it with `plugins: [support.toy_captioner]` and `captioner.kind: table`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from actors.captioner.base import CaptionerInputs, PublishReceipt
from actors.captioner.config import DeployedConfig
from actors.captioner.deployment import Deployment, PendingAnswers
from actors.captioner.registry import CAPTIONERS
from actors.captioner.requests import Question
from actors.data.image_index import ImageIndex
from corpus.storage.errors import UserError
from hcot_llm.aggregation.label_noise import UNTRAINED, SourceWeightPrior
from hcot_llm.engines.answer import Answer
from hcot_llm.prompts.retry import Retry


class TableMissing(UserError):
    """The table of answers is not there."""


@CAPTIONERS.register("table")
class TableCaptionerConfig(DeployedConfig):
    """Answers from a table."""

    kind: Literal["table"] = "table"
    table: Path = Field(default=Path("answers.json"), description="JSON file of values by tile and clause")

    @property
    def candidates(self) -> int:
        return 1

    @property
    def prior(self) -> SourceWeightPrior:
        return UNTRAINED

    def check(self) -> None:
        if not self.table.is_file():
            raise TableMissing(f"captioner.table names {self.table}, which does not exist.")

    def start(self, inputs: CaptionerInputs) -> "TableCaptioner":
        return TableCaptioner(self, inputs.owner)


@dataclass(frozen=True)
class TableRequest:
    source: str
    questions: Sequence[Question]


class TableReplica:
    def __init__(self, table: str) -> None:
        self._table = json.loads(Path(table).read_text())

    def answer(self, questions: Sequence[Question]) -> list[list[Answer]]:
        return [[self._look_up(question)] for question in questions]

    def _look_up(self, question: Question) -> Answer:
        row = self._table.get(question.tile_id, {})
        values = {clause: row[clause] for clause in question.queried if clause in row}
        return Answer(values, {}, None if values else "empty", tokens=0)


class TableCaptioner:
    def __init__(self, config: TableCaptionerConfig, owner: str = "") -> None:
        self._source = hashlib.sha256(config.table.read_bytes()).hexdigest()
        self._deployment = Deployment(TableReplica, config, str(config.table.resolve()), owner=owner)

    def wait_until_running(self) -> None:
        self._deployment.wait_until_running()

    def publish(self, weights_dir: Path, weights_sha256: str) -> PublishReceipt:
        self.wait_until_running()
        return PublishReceipt("table")

    def request(
        self, questions: Sequence[Question], images: ImageIndex, seed: int, retries: tuple[Retry, ...] | None = None
    ) -> TableRequest:
        return TableRequest(self._source, questions)

    def submit(self, request: TableRequest) -> PendingAnswers:
        return self._deployment.call(lambda handle: handle.answer.remote(request.questions))

    def shutdown(self, wait: bool = True) -> None:
        self._deployment.shutdown(wait)
