"""The real vLLM engine: valid answers, honest probabilities, and weights that are proven to be served."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from actors.captioner.probe import PROBE_TOKENS, WeightsNotServed, check_probe, load_probe
from corpus.storage.precision import log_probability_tolerance
from hcot_llm.prompts.prompts import captioner_prompt
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.shared_training import CLAUSE, PROMPT


@pytest.fixture(scope="module")
def prompts(trained_captioner, clean_corpus):
    """24 prompts of every length, asking for one clause to all sixteen, and what they ask for."""
    generator = np.random.default_rng(0)
    texts, asked = [], []
    for row in range(24):
        chosen = generator.choice(len(CLAUSES), 1 + row * 15 // 23, replace=False)
        clauses = tuple(clause for column, clause in enumerate(CLAUSES) if column in chosen)
        kept = {c: v for c, v in clean_corpus.annotations.row_values(row).items() if c not in clauses}
        texts.append(captioner_prompt(HCOT, kept, clauses, "plain coast", {clauses[0]: VOCABULARY[clauses[0]][0]}))
        asked.append(clauses)
    return trained_captioner.embeddings(clean_corpus.images[:24], texts), asked


@pytest.fixture
def restored(engine, trained_captioner):
    """Whatever a test loads, the engine ends with the trained weights."""
    yield engine
    engine.reload(trained_captioner.decoder_dir)


def test_every_answer_is_valid_and_every_distribution_sums_to_one(engine, prompts):
    """Also where the model has learned nothing of what it is asked: the schema holds it."""
    embeddings, asked = prompts
    valid = 0
    for candidates, clauses in zip(engine.generate(embeddings, asked, 0), asked, strict=True):
        assert len(candidates) == 3
        for number, answer in enumerate(candidates):
            if answer.error is not None:
                # The grammar lets line breaks through, in which a model that learned nothing runs out of tokens.
                assert answer.error in ("cut", "repetition")
                continue
            valid += 1
            assert tuple(answer.values) == clauses
            assert tuple(answer.distributions) == (clauses if number == 0 else ())
            for clause in clauses:
                assert answer.values[clause] in VOCABULARY[clause]
            for clause in answer.distributions:
                distribution = answer.distributions[clause]
                assert distribution.shape == (len(VOCABULARY[clause]),)
                assert distribution.min() >= 0
                assert distribution.sum() == pytest.approx(1)
    assert valid > 24


def test_distributions_are_those_of_the_transformers_model(engine, trained_captioner, clean_corpus):
    """At the value's first token, by a model of another library."""
    images, vocabulary = clean_corpus.images[:12], VOCABULARY[CLAUSE]
    embeddings = trained_captioner.embeddings(images, [PROMPT] * 12)
    answers = [candidates[0] for candidates in engine.generate(embeddings, [(CLAUSE,)] * 12, 0)]
    tokenizer, decoder = trained_captioner.tokenizer, trained_captioner.captioner.decoder
    until_value = tokenizer(f'{{"{CLAUSE}": "', add_special_tokens=False)["input_ids"]
    # Values are single tokens where they follow a quotation mark.
    first = [tokenizer(f'"{value}', add_special_tokens=False)["input_ids"][1] for value in vocabulary]
    for prompt, answer in zip(embeddings, answers, strict=True):
        with torch.no_grad():
            spoken = decoder.get_input_embeddings()(torch.tensor(until_value))
            logits = decoder(inputs_embeds=torch.cat([prompt, spoken])[None]).logits[0, -1].double()
        wanted = logits[first].softmax(-1).numpy()
        np.testing.assert_allclose(answer.distributions[CLAUSE], wanted, atol=2e-3)
        assert answer.values[CLAUSE] == vocabulary[int(wanted.argmax())]


def test_greedy_answers_do_not_depend_on_the_batch(engine, prompts):
    embeddings, asked = prompts
    together = engine.generate(embeddings, asked, 0)
    for size in (1, 7):
        apart = [
            answer
            for start in range(0, 14, size)
            for answer in engine.generate(embeddings[start : start + size], asked[start : start + size], 0)
        ]
        assert [a[0].values for a in apart[:14]] == [t[0].values for t in together[:14]]


def test_sampled_answers_depend_on_seed_and_position_alone(engine, prompts):
    """Not on what happens to share a step: requests begin when their grammar is compiled, which is a matter of luck."""
    embeddings, asked = prompts
    first = engine.generate(embeddings, asked, seed=5)
    fewer = engine.generate(embeddings[:9], asked[:9], seed=5)
    other = engine.generate(embeddings, asked, seed=6)
    assert [[answer.values for answer in c] for c in fewer] == [[answer.values for answer in c] for c in first[:9]]
    assert [c[0].values for c in first] == [c[0].values for c in other]
    assert [c[1].values for c in first] != [c[1].values for c in other]


def test_more_prompts_than_one_step_can_take_are_all_answered(engine, prompts):
    """Prompts that do not fit a step any more wait whole: cut in two, sampling with a seed fails on the CPU."""
    embeddings, asked = prompts
    assert 6 * sum(map(len, embeddings)) > 4096
    generated = engine.generate(embeddings * 6, asked * 6, seed=0)
    assert len(generated) == len(asked) * 6
    assert {answer.error for candidates in generated for answer in candidates} <= {None, "cut", "repetition"}


def test_the_probe_proves_the_weights_that_are_served(engine, trained_captioner):
    probe = load_probe(trained_captioner.weights_dir)
    assert check_probe(probe, engine.probe(probe.prompts, PROBE_TOKENS), "trained") < log_probability_tolerance("fp32")


def test_new_weights_change_the_output_and_stale_ones_are_refused(restored, trained_captioner, clean_corpus):
    probe = load_probe(trained_captioner.weights_dir)
    before = restored.probe(probe.prompts, PROBE_TOKENS)
    restored.reload(trained_captioner.untrained_dir / "captioner" / "decoder")
    after = restored.probe(probe.prompts, PROBE_TOKENS)
    assert after.tokens != before.tokens
    # The trainer has published, the engine still holds what it started from.
    with pytest.raises(WeightsNotServed, match="does not serve the weights in trained: probe 0"):
        check_probe(probe, after, "trained")
    restored.reload(trained_captioner.decoder_dir)
    assert check_probe(probe, restored.probe(probe.prompts, PROBE_TOKENS), "trained") < log_probability_tolerance(
        "fp32"
    )


def test_weights_that_differ_a_little_are_refused_too(restored, trained_captioner, tmp_path):
    """Three hundredths of one matrix: other tokens need not follow, other log-probabilities do."""
    decoder = tmp_path / "decoder"
    shutil.copytree(trained_captioner.decoder_dir, decoder)
    tensors = load_file(decoder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"] * 1.03
    save_file(tensors, decoder / "model.safetensors", metadata={"format": "pt"})
    restored.reload(decoder)
    probe = load_probe(trained_captioner.weights_dir)
    with pytest.raises(WeightsNotServed):
        check_probe(probe, restored.probe(probe.prompts, PROBE_TOKENS), "trained")


def test_weights_without_their_own_output_layer_are_refused(restored, trained_captioner, tmp_path):
    """Tied weights as they lie on disk: the embedding only. The engine may take them silently and serve the rest."""
    decoder = tmp_path / "decoder"
    shutil.copytree(trained_captioner.untrained_dir / "captioner" / "decoder", decoder)
    tensors = load_file(decoder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, decoder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    tied = trained_captioner.captioner.decoder.__class__.from_pretrained(decoder).eval()

    from actors.captioner.probe import compute_probe

    prompts = load_probe(trained_captioner.weights_dir).prompts

    def serve_and_check() -> None:
        restored.reload(decoder)
        check_probe(compute_probe(tied, prompts), restored.probe(prompts, PROBE_TOKENS), "tied")

    # An engine that refuses is as good as a probe that does.
    with pytest.raises(Exception, match="lm_head|not initialized|does not serve the weights"):
        serve_and_check()


def test_the_decoder_never_ties_its_embeddings(trained_captioner):
    assert json.loads((trained_captioner.decoder_dir / "config.json").read_text())["tie_word_embeddings"] is False


def spoken(engine, trained, images: torch.Tensor) -> np.ndarray:
    """What the engine says of each image, through the prompt that all of them share."""
    asked = [(CLAUSE,)] * len(images)
    generated = engine.generate(trained.embeddings(images, [PROMPT] * len(images)), asked, 0)
    assert all(candidates[0].error is None for candidates in generated)
    return np.asarray([candidates[0].values[CLAUSE] for candidates in generated])


def test_it_answers_from_the_image_and_from_nothing_else(engine, trained_captioner, clean_corpus):
    images, annotations = clean_corpus.images, clean_corpus.annotations
    truth = np.asarray([annotations.row_values(row)[CLAUSE] for row in range(len(annotations))])
    _values, counts = np.unique(truth, return_counts=True)
    prior = counts.max() / len(truth)

    own = spoken(engine, trained_captioner, images)
    assert (own == truth).mean() > prior + 0.35

    # Every tile gets the image of another: the answers are what chance pairs, and follow the image that was shown.
    exchanged = []
    for shift in (11, 29, 53):
        shown = np.roll(np.arange(len(images)), shift)
        said = spoken(engine, trained_captioner, images[shown])
        assert (said == own[shown]).all()
        exchanged.append((said == truth).mean())
    assert np.mean(exchanged) < prior + 0.07
