"""What vLLM is told of GPUs, and settings that do not fit what a replica reserves."""

import sys
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.vision_language import VisionLanguageCaptionerConfig
from hcot_llm.engines.native import EngineConfig, NativeEngine
from hcot_llm.engines.vision_language import VisionLanguageConfig
from support.hcot import HCOT


def native(**settings) -> NativeCaptionerConfig:
    return NativeCaptionerConfig.model_validate(settings)


def test_an_engine_without_a_gpu_is_told_nothing_of_gpus():
    assert EngineConfig(gpu_memory_share=0.5).arguments(0) == {}


@pytest.mark.parametrize(
    ("settings", "gpus", "told"),
    [
        ({}, 1, {"gpu_memory_utilization": 0.85, "tensor_parallel_size": 1}),
        ({}, 0.5, {"gpu_memory_utilization": 0.425, "tensor_parallel_size": 1}),
        ({"gpu_memory_share": 0.3}, 0.5, {"gpu_memory_utilization": 0.3, "tensor_parallel_size": 1}),
        (
            {"tensor_parallel": 4, "gpu_memory_share": 0.9},
            4,
            {"gpu_memory_utilization": 0.9, "tensor_parallel_size": 4, "distributed_executor_backend": "mp"},
        ),
    ],
)
@pytest.mark.parametrize("kind", [EngineConfig, VisionLanguageConfig])
def test_an_engine_takes_its_share_of_the_gpus_that_its_replica_reserves(kind, settings, gpus, told):
    assert kind(**settings).arguments(gpus) == told


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("tf32", "float32"), ("bf16", "bfloat16")])
def test_the_engine_is_started_with_the_type_of_its_precision_and_the_gpus_of_its_replica(
    monkeypatch, tmp_path, precision, dtype
):
    told = {}

    class Engine:
        def __init__(self, **arguments) -> None:
            told.update(arguments)

        def get_tokenizer(self):
            return None

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=Engine))
    NativeEngine(tmp_path, EngineConfig(precision=precision), HCOT, gpus=0.5)
    assert told["dtype"] == dtype
    assert told["gpu_memory_utilization"] == 0.425


def test_a_replica_reserves_all_gpus_that_its_engine_computes_on():
    replicas = native(gpus_per_replica=2, engine={"tensor_parallel": 2}).replicas
    assert replicas.gpus == 2
    for gpus in (0, 1):
        with pytest.raises(
            ValidationError, match=r"tensor_parallel is 2 and gpus_per_replica \d.*set gpus_per_replica to 2"
        ):
            native(gpus_per_replica=gpus, engine={"tensor_parallel": 2})
    with pytest.raises(ValidationError, match="set gpus_per_replica to 2"):
        VisionLanguageCaptionerConfig.model_validate({"vision_language": {"tensor_parallel": 2}})


def test_an_engine_takes_no_memory_that_others_have_reserved():
    with pytest.raises(ValidationError, match=r"gpu_memory_share is 0.9 and gpus_per_replica 0.5"):
        native(gpus_per_replica=0.5, engine={"gpu_memory_share": 0.9})
    assert native(gpus_per_replica=0.5, engine={"gpu_memory_share": 0.4}).gpu_settings.arguments(0.5)
