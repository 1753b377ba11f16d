"""A byte-level BPE tokenizer trained on the corpus's own texts.

The pre-tokenizer cuts before and after every word whatever stands beside it: a word (letters and
underscores), a single digit, or a run of punctuation is always a token boundary. So the tokens of a JSON
prefix such as `{"terrain": "` do not depend on the value that follows, and a slot's distribution can be read
at the token after the prefix.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

PAD, CLS, SEP, BOS, EOS = "[PAD]", "[CLS]", "[SEP]", "<s>", "</s>"
# A word or digit takes the one space before it; a run of punctuation keeps the spaces inside it (`": "` is
# one piece). JSON's own pieces are whole tokens even where no text of the corpus holds JSON.
_JSON = ('{"', '": "', '", "', '"}', '":"', '","')
_PIECES = r" ?[\p{L}_]+| ?\p{N}|[^\s\p{L}\p{N}_]+(?: +[^\s\p{L}\p{N}_]+)*|\s+(?!\S)|\s+"


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Train a tokenizer; the result is the same for the same texts in any order.

    Args:
        texts: Texts to train on.
        vocab_size: Number of tokens, at most.
        words: Pieces that must be single tokens where they follow punctuation (values and names of clauses). Their
            merges are learned first.

    Raises:
        ValueError: `vocab_size` is too small for the words.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, CLS, SEP, BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    counts = Counter(texts)
    often = sum(len(text) * count for text, count in counts.items()) + 1
    corpus = [text for text, count in sorted(counts.items()) for _ in range(count)]
    # More frequent than any pair of the texts can be, so these merges come first.
    boosted = [word for word in sorted({*words, *_JSON}) for _ in repeat(None, min(often, 2000))]
    tokenizer.train_from_iterator(corpus + boosted, trainer)
    result = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        cls_token=CLS,
        sep_token=SEP,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
    split = [word for word in sorted(set(words)) if len(plain_ids(result, word)) != 1]
    if split:
        raise ValueError(
            f"A vocabulary of {vocab_size} tokens is too small to keep these words whole: "
            f"{', '.join(split)}. "
            "Raise vocab_size in the model configuration."
        )
    return result


def plain_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The tokens of a text, nothing added."""
    return tokenizer.encode(text, add_special_tokens=False)


def encode_texts(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
    """[CLS] text [SEP], padded to the longest: int64 [B, T] and bool [B, T]; longer texts lose their end."""
    rows = [
        [tokenizer.cls_token_id, *ids[: max_tokens - 2], tokenizer.sep_token_id]
        for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    ]
    pad = tokenizer.pad_token_id
    assert isinstance(pad, int)
    return pad_rows(rows, pad)


def pad_rows(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Pads on the right: int64 [B, T] and bool [B, T], true at tokens."""
    length = max(len(row) for row in rows)
    ids = torch.full((len(rows), length), pad, dtype=torch.int64)
    mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[index, : len(row)] = True
    return ids, mask
