"""A run's configuration: every key is declared once, here or in the component's own model."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    field_serializer,
    field_validator,
    model_validator,
)

from actors.captioner.base import CaptionerConfig
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.registry import CAPTIONERS
from actors.scorer.config import ScoreConfig
from actors.statistics.config import StatisticsConfig
from actors.trainer.config import TrainConfig
from benchmark.config import EvaluationConfig
from benchmark.suite.config import BenchmarkConfig
from corpus.ingest.config import IngestConfig
from corpus.labelled.config import LabelledConfig
from corpus.simulate.config import SceneConfig
from corpus.storage.config import StorageConfig
from corpus.storage.models import StrictModel
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import FlagConfig
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.label_errors import LabelErrorsConfig
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import default_schema
from model.config import ModelConfig
from orchestrator.policies.retention import RetentionConfig
from orchestrator.policies.schedule import ScheduleConfig
from orchestrator.policies.stall import WatchdogConfig
from orchestrator.tracking.registry import TrackingConfig

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w .+-]*$", max_length=100)]
"""Part of a path: no separators, and nothing like '..'."""


ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=200)]
"""A module as Python imports it."""


class CorpusConfig(StrictModel):
    """Where tiles and initial annotations come from."""

    kind: Literal["simulated", "geotiff", "labelled"] = Field(
        default="simulated",
        description="simulated scenes with known truth, GeoTIFFs given by --tiles or `tiles`, or labelled images "
        "without a place on Earth",
    )
    name: Name = Field(default="default", description="folder of the prepared corpus below data_dir")
    data_dir: Path = Field(default=Path("data"), description="prepared corpora are kept and reused here")
    tiles: Path | None = Field(default=None, description="folder or list of GeoTIFFs, for kind geotiff")
    initial: Path | None = Field(
        default=None,
        description="initial annotations from a file: CSV, Parquet, GeoParquet, GeoJSON, or STAC label items "
        "(docs/initial.md); null: simulated scenes are annotated by their facts and GeoTIFFs by geography, and so is "
        "what a file does not say",
    )
    initial_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="probability that a value of that file is right where the file does not say; null: the accuracy "
        "of the clause in the schema",
    )
    decisions: Path | None = Field(
        default=None,
        description="directory of another run on the same tiles, whose people's decisions count from the start; null: "
        "none",
    )
    simulated: SceneConfig = Field(default_factory=SceneConfig, description="the simulated scenes")
    corruption: CorruptionConfig = Field(
        default_factory=CorruptionConfig, description="errors of simulated initial annotations"
    )
    ingest: IngestConfig = Field(default_factory=IngestConfig, description="cutting and checking of real scenes")
    labelled: LabelledConfig = Field(default_factory=LabelledConfig, description="the set of kind labelled")
    label_errors: LabelErrorsConfig = Field(
        default_factory=LabelErrorsConfig, description="errors that are put into the labels of kind labelled"
    )
    rows_per_block: int = Field(default=64, ge=1, description="tiles in one block of Ray Data, the batch of the scorer")

    @property
    def tile_size(self) -> tuple[str, int]:
        """The key that says how large the tiles are, and their side in pixels."""
        if self.kind == "simulated":
            return "corpus.simulated.tile_size_pixels", self.simulated.tile_size_pixels
        if self.kind == "labelled":
            return "corpus.labelled.tile_px", self.labelled.tile_px
        return "corpus.ingest.tile_px", self.ingest.tile_px


class ClusterConfig(StrictModel):
    """The Ray cluster."""

    address: str | None = Field(
        default=None, description="address of a running cluster ('auto' finds one); null starts a local one"
    )
    local_cpus: int = Field(
        default=6, ge=2, description="logical CPUs of a local cluster; more than the machine has is fine"
    )
    object_store_memory_gib: float = Field(
        default=2, ge=0.075, description="object store of a local cluster, in GiB; it spills to disk"
    )
    grace_period_s: float = Field(default=30, gt=0, description="time to save the state when the run is told to end")
    memory_gib: float = Field(
        default=6, gt=0, description="memory the run needs at least, in GiB, named by the preflight"
    )
    free_disk_gib: float = Field(
        default=2,
        ge=0,
        description="free disk, in GiB, that the run directory and a local cluster's "
        "spilled objects need at least, named by the preflight",
    )
    spill_dir: Path | None = Field(
        default=None, description="where a local cluster's object store spills to; null: Ray's own place"
    )

    @field_validator("address")
    @classmethod
    def _without_secret(cls, address: str | None) -> str | None:
        if address is not None and "@" in address:
            raise ValueError(
                "an address holds no user and no password, as it is stored with the run; Ray takes its "
                "token from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            )
        return address


class RunConfig(StrictModel):
    """One run of the loop."""

    # A field named schema would hide a method of pydantic's.
    model_config = ConfigDict(serialize_by_alias=True)

    name: Name = Field(description="names the run directory and the MLflow experiment")
    plugins: tuple[ModuleName, ...] = Field(
        default=(),
        description="modules on the Python path that add members of their own, such as captioner kinds; imported "
        "before the rest of the configuration is read, and in every process of the run",
    )
    seed: int = Field(default=0, ge=0, description="every random draw derives from it")
    annotation_schema: AnnotationSchema = Field(
        default_factory=default_schema,
        alias="schema",
        description="what annotations say: a YAML file beside this one or in configs/, or its content; `knowlip schema "
        "check` reads it",
    )
    rounds: int = Field(default=3, ge=1, description="rounds of the loop")
    start_weights: Path | None = Field(
        default=None, description="weights directory of an earlier run of the same model to start from; null: untrained"
    )
    corpus: CorpusConfig = Field(default_factory=CorpusConfig)
    model: ModelConfig = Field(
        default_factory=ModelConfig, description="a YAML file beside this one or in configs/, or its content"
    )
    schedule: ScheduleConfig = Field(
        default_factory=ScheduleConfig, description="a YAML file beside this one or in configs/, or its content"
    )
    train: TrainConfig = Field(default_factory=TrainConfig)
    captioner: Annotated[SerializeAsAny[CaptionerConfig], CAPTIONERS] = Field(default_factory=NativeCaptionerConfig)
    score: ScoreConfig = Field(default_factory=ScoreConfig)
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)
    flag: FlagConfig = Field(default_factory=FlagConfig)
    acceptance: AcceptanceConfig = Field(default_factory=AcceptanceConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    benchmark: BenchmarkConfig = Field(default_factory=BenchmarkConfig, description="`knowlip benchmark`")
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)
    storage: StorageConfig | None = Field(
        default=None,
        description="a store that holds the run's state, s3://BUCKET/PREFIX (docs/storage.md); null: the run directory "
        "alone",
    )
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    watchdog: WatchdogConfig = Field(default_factory=WatchdogConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @field_serializer("annotation_schema")
    def _schema_as_content(self, schema: AnnotationSchema) -> dict[str, Any]:
        return json.loads(schema.content)

    def judged_data_sets(self) -> dict[str, Path]:
        """Labelled data sets that the encoder is judged on after every round, and where each lies."""
        return {name: self.benchmark.path_of(name).resolve() for name in self.evaluation.data_sets}

    @model_validator(mode="after")
    def _reaches_every_phase(self) -> "RunConfig":
        if len(self.schedule.phase) > self.rounds:
            raise ValueError(
                f"schedule.phase has {len(self.schedule.phase)} entries, one a round, and the run ends "
                f"after {self.rounds}: set rounds to {len(self.schedule.phase)} or more"
            )
        return self

    @model_validator(mode="after")
    def _has_a_model(self) -> "RunConfig":
        if not self.acceptance.use_encoder and not self.acceptance.use_captioner:
            raise ValueError(
                "acceptance.use_encoder and acceptance.use_captioner are both false, so nothing is left "
                "to weigh the initial annotations against: set one of them to true"
            )
        return self
