"""Errors that a user can mend. Everything else is a bug and keeps its traceback."""


def expected_errors() -> tuple[type[BaseException], ...]:
    """Exception types whose message is written for the user."""
    from actors.captioner.deployment import CaptionerFailed
    from actors.captioner.probe import WeightsNotServed
    from actors.trainer.divergence import TrainingDiverged
    from actors.trainer.group import TrainingFailed
    from actors.trainer.safe_load import StateRefused
    from benchmark.reference import ReferenceFileError
    from corpus.annotations import AnnotationError
    from corpus.geotiff.read import TileError
    from corpus.ingest.ingest import IngestError
    from corpus.storage.disk import DiskFull
    from corpus.storage.fence import LeaseLost, LockHeld
    from corpus.storage.parquet import ParquetError
    from corpus.tiles import CorpusError
    from hcot_llm.engines.endpoint import EndpointFailed
    from hcot_llm.engines.vision_language import VisionLanguageError
    from hcot_llm.knowledge.knowledge import KnowledgeError
    from model.weights_check import WeightsError
    from orchestrator.cluster.connect import ClusterUnreachable
    from orchestrator.config.schema import ConfigError
    from orchestrator.experiments.config import AblationFailed
    from orchestrator.monitoring.watchdog import RunStalled
    from orchestrator.report.free_text import RecordsError
    from orchestrator.run.preflight import PreflightError
    from orchestrator.state.lease import LeaseHeld
    from orchestrator.state.records import RecordError
    from orchestrator.state.run_directory import RunDirectoryError
    from orchestrator.tracking.outbox import RunGone

    return (
        ConfigError,
        RunDirectoryError,
        PreflightError,
        IngestError,
        TileError,
        AnnotationError,
        CorpusError,
        KnowledgeError,
        WeightsNotServed,
        TrainingFailed,
        CaptionerFailed,
        EndpointFailed,
        RecordError,
        LeaseHeld,
        LeaseLost,
        LockHeld,
        DiskFull,
        RunStalled,
        ReferenceFileError,
        ParquetError,
        WeightsError,
        StateRefused,
        TrainingDiverged,
        AblationFailed,
        RecordsError,
        ClusterUnreachable,
        VisionLanguageError,
        RunGone,
    )
