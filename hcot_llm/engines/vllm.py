"""What all vLLM engines here share: their start, structured output of a schema's answers, and the text of tokens."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import answer_json_schema

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.sampling_params import StructuredOutputsParams


class EngineSettings(Protocol):
    """Settings that every engine's configuration has."""

    enforce_eager: bool
    kv_cache_gib: int
    max_model_len: int
    max_sequences: int

    def arguments(self, gpus: float) -> dict[str, Any]:
        """What vLLM is told of the GPUs that this process has reserved."""
        ...


def configure_process(config: EngineSettings) -> None:
    """Environment that vLLM reads when it is imported; call before the first import of vllm."""
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(config.kv_cache_gib))
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def start_llm(model: str, config: EngineSettings, *, dtype: str, gpus: float = 0, **own: Any) -> "LLM":
    """Start vLLM in this process. It loads safetensors only and runs no code that a model brings.

    Args:
        model: Folder of the model, or its name on the Hugging Face hub.
        config: The settings that all engines have.
        dtype: Of weights and activations, as vLLM takes it.
        gpus: Number of GPUs that this process has reserved.
        **own: Further settings of this engine.
    """
    configure_process(config)
    from vllm import LLM  # imported here: it takes ten seconds and reads the environment

    return LLM(
        model=model,
        dtype=dtype,  # pyright: ignore[reportArgumentType]  # a string of the configuration, which vLLM checks
        enforce_eager=config.enforce_eager,
        max_model_len=config.max_model_len,
        max_num_seqs=config.max_sequences,
        seed=0,
        load_format="safetensors",
        trust_remote_code=False,
        enable_prefix_caching=False,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        # A prompt cut in two would wind its request's generator back, which those of the CPU cannot.
        enable_chunked_prefill=False,
        **config.arguments(gpus),
        **own,
    )


def answer_format(schema: AnnotationSchema, clauses: Sequence[str]) -> "StructuredOutputsParams":
    """Structured output that restricts an answer to JSON with a value of the vocabulary for each clause."""
    from vllm.sampling_params import StructuredOutputsParams

    return StructuredOutputsParams(json=json.dumps(answer_json_schema(schema, clauses)), disable_any_whitespace=True)


class Pieces:
    """Token id -> text of the token by itself; each is decoded once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def __getitem__(self, token: int) -> str:
        if token not in self._known:
            self._known[token] = self._tokenizer.decode([token], skip_special_tokens=True)
        return self._known[token]
