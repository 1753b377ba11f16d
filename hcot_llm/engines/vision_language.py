"""A vision-language model in a vLLM engine, in the calling process: it is shown the tile beside the prompt.

The model may be any that vLLM serves with one image per prompt, from a folder or from the Hugging Face hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from corpus.storage.errors import InputError
from hcot_llm.engines.completion import Completion
from hcot_llm.engines.gpu import GpuConfig
from hcot_llm.engines.vllm import Pieces, answer_format, start_llm
from hcot_llm.prompts.chain_config import ChainConfig
from hcot_llm.schema.annotation_schema import AnnotationSchema


class VisionLanguageError(InputError):
    """The model cannot be used; the message says which, why and what to do."""


class VisionLanguageConfig(ChainConfig, GpuConfig):
    """A vision-language model that vLLM serves here."""

    model: str = Field(
        default="",
        description="folder of the model (config, safetensors, tokenizer, processor), or its name on "
        "the Hugging Face hub; required for kind vision_language",
    )
    dtype: str = Field(
        default="auto", description="of weights and activations, as vLLM takes it; auto is the model's own"
    )
    enforce_eager: bool = Field(default=True, description="no graph compilation; on a GPU set to false")
    kv_cache_gib: int = Field(default=1, ge=1, description="key-value cache on CPU, in GiB")
    max_model_len: int = Field(default=4096, ge=256, description="longest prompt with its image plus answer, in tokens")
    max_sequences: int = Field(default=16, ge=1, description="sequences generated together")
    evidence: bool = Field(
        default=False,
        description="put backscatter statistics and bright blobs of the tile into the prompt, beside the picture",
    )


@dataclass(frozen=True)
class Shown:
    """A prompt with its picture.

    Attributes:
        prompt: The text of the prompt.
        clauses: What the answer has to hold as JSON; empty for free text.
        picture: uint8 [H, W].
        seed: Of a sampled answer; None is greedy.
    """

    schema: AnnotationSchema
    prompt: str
    clauses: Sequence[str]
    picture: np.ndarray
    seed: int | None


def check_model(config: VisionLanguageConfig) -> None:
    """Look whether a model is named, and whether its folder looks like one.

    Raises:
        VisionLanguageError: No model is named, or the folder does not look like one.
    """
    if not config.model:
        raise VisionLanguageError(
            "captioner.kind is vision_language and captioner.vision_language.model names no model: "
            "give its folder, or its name on the Hugging Face hub."
        )
    folder = Path(config.model)
    if folder.is_dir() or config.model.startswith((".", "/", "~")):
        missing = [name for name in ("config.json", "tokenizer_config.json") if not (folder / name).is_file()]
        if missing or not list(folder.glob("*.safetensors")):
            raise VisionLanguageError(
                f"captioner.vision_language.model: {folder} lacks "
                f"{', '.join(missing) or 'weights as safetensors'}; it is no folder of a model as "
                "`save_pretrained` writes it."
            )


class VisionLanguageModel:
    """vLLM serving one vision-language model.

    Args:
        config: The settings.
        gpus: Number of GPUs that this process has reserved.
    """

    def __init__(self, config: VisionLanguageConfig, gpus: float = 0) -> None:
        self._config = config
        self._llm = start_llm(
            config.model,
            config,
            dtype=config.dtype,
            gpus=gpus,
            max_logprobs=20,
            limit_mm_per_prompt={"image": 1},
            # Its default needs a package that is not here.
            mm_hasher_algorithm="sha256",
        )
        self._pieces = Pieces(self._llm.get_tokenizer())

    def complete(self, shown: Sequence[Shown]) -> list[Completion]:
        """Return the model's answers."""
        messages: Any = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_pil", "image_pil": Image.fromarray(each.picture).convert("RGB")},
                        {"type": "text", "text": each.prompt},
                    ],
                }
            ]
            for each in shown
        ]
        outputs = self._llm.chat(messages, [self._sampling(each) for each in shown], use_tqdm=False)
        return [self._read(output.outputs[0], each) for output, each in zip(outputs, shown, strict=True)]

    def _sampling(self, shown: Shown):
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        common: dict[str, Any] = {
            "max_tokens": self._config.max_new_tokens,
            "output_kind": RequestOutputKind.FINAL_ONLY,
        }
        if shown.clauses:
            common["structured_outputs"] = answer_format(shown.schema, shown.clauses)
            common["logprobs"] = self._config.top_logprobs or None
        if shown.seed is None:
            return SamplingParams(temperature=0.0, **common)
        return SamplingParams(temperature=self._config.temperature, seed=shown.seed % 2**31, **common)

    def _read(self, output, shown: Shown) -> Completion:
        steps = (
            []
            if output.logprobs is None
            else [
                SimpleNamespace(
                    token=self._pieces[token],
                    top_logprobs=[
                        SimpleNamespace(token=self._pieces[other], logprob=entry.logprob)
                        for other, entry in step.items()
                    ],
                )
                for token, step in zip(output.token_ids, output.logprobs, strict=True)
            ]
        )
        return Completion.of(shown.schema, output.text, shown.clauses, steps, len(output.token_ids))
