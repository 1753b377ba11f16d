"""Proof that the served engine holds the trainer's weights.

The trainer continues a fixed probe greedily with its own model in memory and leaves prompts, tokens and
log-probabilities beside the weights. The engine, after its reload, must produce the same.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from corpus.storage.errors import UserError
from corpus.storage.precision import Precision, log_probability_tolerance
from hcot_llm.engines.native import ProbeOutput

PROBE_TOKENS = 24


class WeightsNotServed(UserError):
    """The engine's output for the probe is not that of the trainer's weights."""


@dataclass(frozen=True)
class Probe:
    """Fixed prompts and the output that an engine has to give for them.

    Attributes:
        prompts: Per prompt float32 [tokens, hidden], its embeddings.
        expected: Output of the trainer's own decoder.
        margins: Per prompt and token the log-probability of the chosen token minus that of the second best, in nats.
    """

    prompts: list[torch.Tensor]
    expected: ProbeOutput
    margins: list[list[float]]


def save_probe(directory: Path, probe: Probe) -> None:
    """Write probe.safetensors and probe.json into a weights directory."""
    save_file(
        {f"prompt_{i:03d}": prompt.contiguous() for i, prompt in enumerate(probe.prompts)},
        directory / "probe.safetensors",
    )
    (directory / "probe.json").write_text(
        json.dumps({"tokens": probe.expected.tokens, "logprobs": probe.expected.logprobs, "margins": probe.margins})
    )


def load_probe(directory: Path) -> Probe:
    """Read what `save_probe` wrote."""
    prompts = load_file(directory / "probe.safetensors")
    expected = json.loads((directory / "probe.json").read_text())
    return Probe(
        [prompts[name] for name in sorted(prompts)],
        ProbeOutput(expected["tokens"], expected["logprobs"]),
        expected["margins"],
    )


@torch.no_grad()
def compute_probe(decoder, prompts: list[torch.Tensor], new_tokens: int = PROBE_TOKENS) -> Probe:
    """Continue prompts greedily with the trainer's own decoder.

    Args:
        decoder: A causal language model of transformers, in memory.
        prompts: Per prompt float32 [tokens, hidden], its embeddings.
        new_tokens: Number of tokens to generate for each prompt.
    """
    tokens, logprobs, margins = [], [], []
    was_training = decoder.training
    decoder.eval()
    for prompt in prompts:
        embeddings = prompt[None]
        row_tokens, row_logprobs, row_margins = [], [], []
        for _ in range(new_tokens):
            scores = decoder(inputs_embeds=embeddings, use_cache=False).logits[0, -1].float().log_softmax(-1)
            top = scores.topk(2)
            token = int(top.indices[0])
            row_tokens.append(token)
            row_logprobs.append(float(top.values[0]))
            row_margins.append(float(top.values[0] - top.values[1]))
            next_embedding = decoder.get_input_embeddings()(torch.tensor([[token]], device=prompt.device))
            embeddings = torch.cat([embeddings, next_embedding], dim=1)
        tokens.append(row_tokens)
        logprobs.append(row_logprobs)
        margins.append(row_margins)
    decoder.train(was_training)
    return Probe([prompt.detach().cpu() for prompt in prompts], ProbeOutput(tokens, logprobs), margins)


def check_probe(probe: Probe, served: ProbeOutput, weights_dir: Path | str, precision: Precision = "fp32") -> float:
    """Largest difference of a log-probability between engine and trainer.

    A prompt is compared up to the first token whose runner-up was closer than the tolerance: behind a tie
    both continuations are right.

    Args:
        probe: What the trainer's model says, in float32.
        served: What the engine says.
        weights_dir: Folder of the weights, for the message.
        precision: Of the engine. The tolerance is `log_probability_tolerance` of it.

    Raises:
        WeightsNotServed: a token differs or a log-probability is further off than the tolerance.
    """
    tolerance = log_probability_tolerance(precision)
    largest, compared = 0.0, 0
    for index, margins in enumerate(probe.margins):
        for position, margin in enumerate(margins):
            if margin < tolerance:
                break
            wanted, got = probe.expected.tokens[index][position], served.tokens[index][position]
            difference = abs(probe.expected.logprobs[index][position] - served.logprobs[index][position])
            if wanted != got or difference > tolerance:
                raise WeightsNotServed(
                    f"the captioner does not serve the weights in {weights_dir}: probe {index}, token {position}: "
                    f"the trainer's model gives token {wanted} (log-probability "
                    f"{probe.expected.logprobs[index][position]:.4f}), the engine token {got} "
                    f"({served.logprobs[index][position]:.4f}). Labels of this round would come from other weights. "
                    "Look for 'Failed to load weights' in the captioner's log; embeddings must not be tied."
                )
            largest, compared = max(largest, difference), compared + 1
    if compared == 0:
        raise WeightsNotServed(
            f"the probe of {weights_dir} proves nothing: every prompt begins with a tie between two "
            "tokens. The weights are probably untrained or not finite."
        )
    return largest
