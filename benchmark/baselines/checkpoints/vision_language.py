"""A vision-language model as a method: features of its image tokens, and answers by their probability.

Every possible answer is a continuation of the prompt. Its probability is that of being written and then ended. So a
model cannot skip a question, and its confidence is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.baselines.outside_encoder import OpenedOutsideEncoder, as_map
from benchmark.baselines.text_tower import check_clauses
from corpus.geotiff.backscatter import Backscatter
from hcot_llm.prompts.prompts import answer_text, chat_prompt
from hcot_llm.schema.files import default_schema

BEFORE: Final = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
"""What LLaVA 1.5 and its successors were trained to be asked after."""
AFTER: Final = "\n{question} ASSISTANT:"
_CHOICES: Final = "The image is a synthetic aperture radar (SAR) image. {asked} Answer with one of: {answers}."


class OpenedVisionLanguage(OpenedOutsideEncoder):
    """A LLaVA of transformers and its tokenizer.

    Args:
        model: in evaluation mode.
        tokenizer: of its language model.
        entry: with the size and the normalisation of its images.
    """

    def __init__(self, model: Any, tokenizer: Any, entry: Checkpoint) -> None:
        super().__init__(
            lambda pixels: self._pieces(pixels).float().mean(1),
            *(3, entry.side, lambda pixels: [as_map(self._pieces(pixels).float())]),
            mean=entry.mean,
            deviation=entry.deviation,
        )
        self._model, self._tokenizer = model, tokenizer

    def read_clauses(self, images: Sequence[Backscatter], values: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """Each clause is asked for by the prompt of its level, and answered in JSON, as captioners are."""
        schema = default_schema()
        check_clauses(schema, values)
        level_of = {clause: level.level for level in schema.levels for clause in schema.at_level(level.level)}
        prompts = {clause: chat_prompt(schema, level_of[clause], queried=[clause], picture=True) for clause in values}
        answers = {
            clause: [answer_text(schema, {clause: value}, [clause]) for value in values[clause]] for clause in values
        }
        return self._probabilities(images, prompts, answers)

    def read_answers(
        self, images: Sequence[Backscatter], asked: Mapping[str, str], values: Mapping[str, Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Each question with its possible answers."""
        prompts = {
            question: _CHOICES.format(asked=asked[question], answers=", ".join(answers))
            for question, answers in values.items()
        }
        return self._probabilities(images, prompts, values)

    @torch.no_grad()
    def _probabilities(
        self, images: Sequence[Backscatter], prompts: Mapping[str, str], answers: Mapping[str, Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Question -> probabilities float64 [N, answers], that sum to 1 over the answers."""
        before = self._words(BEFORE, special=True)
        after = {name: self._words(AFTER.format(question=text)) for name, text in prompts.items()}
        ends = {name: self._endings(AFTER.format(question=prompts[name]), texts) for name, texts in answers.items()}
        found: dict[str, list[np.ndarray]] = {name: [] for name in prompts}
        for image in images:
            pieces = self._pieces(self.images_of([image]))
            start = torch.cat([self._embedded(before), pieces], dim=1)
            for name in prompts:
                prompt = torch.cat([start, self._embedded(after[name])], dim=1)
                found[name].append(self._log_likelihoods(prompt, *ends[name]).softmax(0).numpy())
        return {name: np.stack(rows) for name, rows in found.items()}

    def _log_likelihoods(self, prompt: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Of each answer the logarithm of its probability behind a prompt, float64 [answers].

        Args:
            prompt: embeddings [1, P, D].
            ids: int64 [answers, longest], filled up behind the end.
            lengths: int64 [answers], the end included.
        """
        said = self._model(inputs_embeds=prompt, use_cache=True)
        cache = said.past_key_values
        cache.batch_repeat_interleave(len(ids))
        more = self._model(input_ids=ids[:, :-1], past_key_values=cache).logits
        logits = torch.cat([said.logits[:, -1:].expand(len(ids), -1, -1), more], dim=1)
        scores = logits.double().log_softmax(-1).gather(2, ids[..., None])[..., 0]
        inside = torch.arange(ids.shape[1]) < lengths[:, None]
        return torch.where(inside, scores, 0.0).sum(1)

    def _endings(self, prompt: str, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Answers behind a prompt, with their ends, as ids int64 [answers, longest], and their lengths.

        They are read together with the prompt, as tokenizers join a word with the space before it.
        """
        start = self._words(prompt).shape[1]
        rows = [
            [*self._words(f"{prompt} {answer}")[0, start:].tolist(), self._tokenizer.eos_token_id] for answer in answers
        ]
        lengths = torch.tensor([len(row) for row in rows])
        longest = max(2, int(lengths.max()))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows]), lengths

    def _words(self, text: str, *, special: bool = False) -> Tensor:
        """A text as ids int64 [1, N]; with the sign of a beginning where `special`."""
        ids = self._tokenizer(text, add_special_tokens=special)["input_ids"]
        return torch.tensor([ids], dtype=torch.int64)

    def _embedded(self, ids: Tensor) -> Tensor:
        return self._model.get_input_embeddings()(ids)

    def _pieces(self, pixels: Tensor) -> Tensor:
        """Images as the language model reads them, [N, h * h, D]."""
        found = self._model.model.get_image_features(pixels.to(self._model.dtype))
        return torch.stack(list(found.pooler_output))
