"""The proof that served weights are the trainer's: a wrong token or log-probability is named."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from actors.captioner.probe import Probe, WeightsNotServed, check_probe, compute_probe, load_probe, save_probe
from hcot_llm.engines.native import ProbeOutput


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=False,
        )
    ).eval()


def test_a_probe_survives_the_disk_and_accepts_its_own_output(decoder, tmp_path):
    prompts = [torch.randn(5, 16), torch.randn(3, 16)]
    save_probe(tmp_path, compute_probe(decoder, prompts, 6))
    probe = load_probe(tmp_path)
    assert [len(tokens) for tokens in probe.expected.tokens] == [6, 6]
    assert all(torch.equal(a, b) for a, b in zip(probe.prompts, prompts, strict=True))
    assert check_probe(probe, probe.expected, "weights") == 0


def test_other_weights_are_found_out(decoder):
    prompts = [torch.randn(5, 16)]
    probe = compute_probe(decoder, prompts, 6)
    torch.manual_seed(1)
    other = LlamaForCausalLM(decoder.config).eval()
    with pytest.raises(WeightsNotServed, match="does not serve the weights in weights/round-0002"):
        check_probe(probe, compute_probe(other, prompts, 6).expected, "weights/round-0002")


def test_a_tie_ends_the_comparison_and_nothing_compared_is_no_proof():
    tie = Probe([torch.zeros(1, 2)], ProbeOutput([[1, 2]], [[-0.5, -0.7]]), [[1.0, 1e-6]])
    assert check_probe(tie, ProbeOutput([[1, 9]], [[-0.5, -0.7]]), "w") == 0
    nothing = Probe([torch.zeros(1, 2)], ProbeOutput([[1]], [[-0.5]]), [[1e-6]])
    with pytest.raises(WeightsNotServed, match="proves nothing"):
        check_probe(nothing, nothing.expected, "w")
