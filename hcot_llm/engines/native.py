"""The vLLM engine of the native captioner, in the calling process.

Prompts are embeddings (image tokens from our own vision tower, then embedded text), answers are JSON held to
the schema by structured output. The settings for CPU are those measured to be fastest on small machines:
engine inside the process, float32, eager.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from corpus.storage.precision import PRECISION, Precision
from corpus.storage.rng import derive_seed
from hcot_llm.engines.answer import Answer
from hcot_llm.engines.distribution import value_distribution
from hcot_llm.engines.fault_injection import inject_fault
from hcot_llm.engines.gpu import GpuConfig
from hcot_llm.engines.vllm import Pieces, answer_format, start_llm
from hcot_llm.prompts.retry import Retry
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError


class EngineConfig(GpuConfig):
    """Settings of the captioner's vLLM engine."""

    precision: Precision = Field(
        default="fp32",
        description=f"of decoder and vision tower: {PRECISION}; bf16 keeps the decoder's weights in bfloat16, which is "
        "half as fast on CPUs without AMX",
    )
    enforce_eager: bool = Field(default=True, description="no graph compilation; on a GPU set to false")
    kv_cache_gib: int = Field(default=1, ge=1, description="key-value cache on CPU, in GiB")
    max_model_len: int = Field(default=512, ge=64, description="longest prompt plus answer, in tokens")
    max_sequences: int = Field(default=256, ge=1, description="sequences generated together")
    max_new_tokens: int = Field(default=160, ge=8, description="longest answer, in tokens")
    candidates: int = Field(
        default=2, ge=1, le=16, description="answers per prompt: the first is greedy, the others sampled"
    )
    temperature: float = Field(default=1.0, gt=0, description="of the sampled candidates")
    fault_share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="fault injection, for tests of durability: share of answers "
        "that are damaged before they are read, to see that nothing is lost",
    )

    @property
    def dtype(self) -> str:
        """Of the decoder's weights, as vLLM takes it."""
        return "bfloat16" if self.precision == "bf16" else "float32"


@dataclass(frozen=True)
class ProbeOutput:
    """Greedy continuation of a fixed probe.

    Attributes:
        tokens: Per prompt the ids of the generated tokens.
        logprobs: Per prompt the log-probability of each generated token, in nats.
    """

    tokens: list[list[int]]
    logprobs: list[list[float]]


class NativeEngine:
    """vLLM serving a Llama decoder.

    Args:
        decoder_dir: Folder of the decoder.
        config: The settings.
        schema: Schema of the answers.
        gpus: Number of GPUs that this process has reserved.

    Attributes:
        generated_tokens: Number of tokens generated so far.
        generate_seconds: Time spent generating so far, in seconds.
    """

    def __init__(self, decoder_dir: Path, config: EngineConfig, schema: AnnotationSchema, gpus: float = 0) -> None:
        self._config, self._schema = config, schema
        if config.enforce_eager:
            # Even then vLLM compiles a helper that ranks the drawn tokens: 2 s of CPU time at every start, and more
            # without the compiler's cache. The helper as written costs 0.1 ms a step more with a vocabulary like ours.
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        self._llm = start_llm(
            str(decoder_dir), config, dtype=config.dtype, gpus=gpus, enable_prompt_embeds=True, max_logprobs=64
        )
        self._pieces = Pieces(self._llm.get_tokenizer())
        self.generated_tokens = 0
        self.generate_seconds = 0.0

    def reload(self, decoder_dir: Path) -> None:
        """Load new weights into the running engine. It may fail silently: `probe` afterwards."""
        self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(decoder_dir)})
        self._llm.reset_prefix_cache()

    def probe(self, prompt_embeddings: Sequence, new_tokens: int) -> ProbeOutput:
        """Continue prompts greedily.

        Args:
            prompt_embeddings: Per prompt a float32 tensor [tokens, hidden].
            new_tokens: Number of tokens to generate for each prompt.
        """
        from vllm import SamplingParams

        sampling = SamplingParams(temperature=0.0, max_tokens=new_tokens, logprobs=1, ignore_eos=True, detokenize=False)
        outputs = self._llm.generate(
            [{"prompt_embeds": prompt} for prompt in prompt_embeddings], sampling, use_tqdm=False
        )
        tokens = [list(output.outputs[0].token_ids) for output in outputs]
        logprobs = [
            [
                step[token].logprob
                for token, step in zip(output.outputs[0].token_ids, _steps(output.outputs[0]), strict=True)
            ]
            for output in outputs
        ]
        return ProbeOutput(tokens, logprobs)

    def generate(self, prompt_embeddings: Sequence, queried: Sequence[Sequence[str]], seed: int) -> list[list[Answer]]:
        """Answer prompts.

        Args:
            prompt_embeddings: Per prompt a float32 tensor [tokens, hidden].
            queried: Per prompt the clauses to answer.
            seed: Seed of the sampled candidates. Each prompt has its own stream, derived from its position, so that
                its samples do not depend on which requests happen to share a step.

        Returns:
            Per prompt its candidates, the greedy one first.
        """
        start = time.perf_counter()
        greedy = self._run(
            prompt_embeddings, [self._sampling(clauses, None, candidates=1, distributions=True) for clauses in queried]
        )
        # "poison" is a part of the seed: another word would damage other answers.
        answers = [
            [self._read(output.outputs[0], clauses, derive_seed(seed, position, 0, "poison"))]
            for position, (output, clauses) in enumerate(zip(greedy, queried, strict=True))
        ]
        if self._config.candidates > 1:
            sampled = self._run(
                prompt_embeddings,
                [
                    self._sampling(
                        clauses,
                        derive_seed(seed, position, "sampled"),
                        candidates=self._config.candidates - 1,
                        distributions=False,
                    )
                    for position, clauses in enumerate(queried)
                ],
            )
            for position, (candidates, output, clauses) in enumerate(zip(answers, sampled, queried, strict=True)):
                candidates.extend(
                    self._read(completion, clauses, derive_seed(seed, position, number, "poison"))
                    for number, completion in enumerate(output.outputs, start=1)
                )
        self._account(start, [answer for candidates in answers for answer in candidates])
        return answers

    def generate_again(self, prompt_embeddings: Sequence, retries: Sequence[Retry]) -> list[Answer]:
        """Generate one answer to each prompt, in the place of an unusable one or to correct one.

        Args:
            prompt_embeddings: Per prompt a float32 tensor [tokens, hidden].
            retries: Per prompt what is to be generated.

        Returns:
            Per prompt its answer; one for a greedy candidate has distributions.
        """
        start = time.perf_counter()
        outputs = self._run(
            prompt_embeddings,
            [
                self._sampling(
                    retry.queried,
                    None if retry.greedy else retry.seed,
                    candidates=1,
                    distributions=retry.candidate == 0,
                )
                for retry in retries
            ],
        )
        answers = [
            self._read(output.outputs[0], retry.queried, derive_seed(retry.seed, "poison"))
            for output, retry in zip(outputs, retries, strict=True)
        ]
        self._account(start, answers)
        return answers

    def _account(self, start: float, answers: Sequence[Answer]) -> None:
        self.generate_seconds += time.perf_counter() - start
        self.generated_tokens += sum(answer.tokens for answer in answers)

    def _run(self, prompt_embeddings: Sequence, sampling: list) -> list:
        prompts: list[Any] = [{"prompt_embeds": prompt} for prompt in prompt_embeddings]
        return self._llm.generate(prompts, sampling, use_tqdm=False)

    def _sampling(self, clauses: Sequence[str], seed: int | None, *, candidates: int, distributions: bool):
        """Sampling parameters of one prompt; without a seed it is greedy."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        common = {
            "max_tokens": self._config.max_new_tokens,
            "detokenize": False,
            "structured_outputs": answer_format(self._schema, clauses),
            "output_kind": RequestOutputKind.FINAL_ONLY,
        }
        if distributions:
            common["logprobs"] = min(max(len(self._schema.vocabulary[clause]) for clause in clauses) + 8, 64)
        if seed is None:
            return SamplingParams(temperature=0.0, **common)
        return SamplingParams(temperature=self._config.temperature, n=candidates, seed=seed % 2**31, **common)

    def _read(self, completion: Any, clauses: Sequence[str], fault_seed: int) -> Answer:
        pieces = [self._pieces[token] for token in completion.token_ids]
        text, injected = "".join(pieces), None
        if self._config.fault_share:
            text, injected = inject_fault(text, clauses, self._config.fault_share, fault_seed)
        try:
            values = parse_answer(self._schema, text, clauses)
        except AnswerError as error:
            return Answer({}, {}, error.reason, len(pieces), injected)
        offsets = np.cumsum([0, *map(len, pieces)])
        distributions = {}
        steps = _steps(completion)
        for clause in clauses if steps else ():
            start = text.index(f'"{clause}"') + len(f'"{clause}"')
            start = text.index('"', start) + 1
            position = int(np.searchsorted(offsets, start))
            distributions[clause] = value_distribution(
                self._schema.vocabulary[clause],
                ((self._pieces[token], entry.logprob) for token, entry in steps[position].items()),
            )
        return Answer(values, distributions, None, len(pieces), injected)


def _steps(completion: Any) -> Sequence[Any]:
    """Per generated token the log-probabilities of the likeliest tokens; empty where none were asked for."""
    return completion.logprobs or ()
