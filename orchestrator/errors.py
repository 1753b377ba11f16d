"""Errors that a user can mend. Everything else is a bug and keeps its traceback."""


def expected_errors() -> tuple[type[BaseException], ...]:
    """Exception types whose message is written for the user."""
    from actors.deployment import CaptionerFailed
    from actors.divergence import TrainingDiverged
    from actors.fence import LeaseLost, LockHeld
    from actors.probe import WeightsNotServed
    from actors.safe_load import StateRefused
    from actors.trainer import TrainingFailed
    from benchmark.reference import ReferenceFileError
    from corpus.annotations import AnnotationError
    from corpus.disk import DiskFull
    from corpus.geotiff import TileError
    from corpus.ingest import IngestError
    from corpus.parquet import ParquetError
    from corpus.tiles import CorpusError
    from hcot_llm.endpoint import EndpointFailed
    from hcot_llm.knowledge import KnowledgeError
    from hcot_llm.vision_language import VisionLanguageError
    from model.weights_check import WeightsError
    from orchestrator.ablation_config import AblationFailed
    from orchestrator.cluster import ClusterUnreachable
    from orchestrator.config import ConfigError
    from orchestrator.hcot_report import RecordsError
    from orchestrator.lease import LeaseHeld
    from orchestrator.preflight import PreflightError
    from orchestrator.records import RecordError
    from orchestrator.run_directory import RunDirectoryError
    from orchestrator.spool import RunGone
    from orchestrator.watchdog import RunStalled

    return (ConfigError, RunDirectoryError, PreflightError, IngestError, TileError, AnnotationError, CorpusError,
            KnowledgeError, WeightsNotServed, TrainingFailed, CaptionerFailed, EndpointFailed, RecordError,
            LeaseHeld, LeaseLost, LockHeld, DiskFull, RunStalled, ReferenceFileError, ParquetError, WeightsError,
            StateRefused, TrainingDiverged, AblationFailed, RecordsError, ClusterUnreachable, VisionLanguageError,
            RunGone)
